"""The only writers of a run's state: each move is one guarded UPDATE and one line of history.

The Run row is the truth; the queue only carries its key. A message delivered twice finds the
run claimed and does nothing; a worker that was thought dead writes with an old fence and is
refused. Three faults of the run's own set it aside; the death of a worker or of the database
is not its fault and does not count.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.db.models import Count, F, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce, Now
from django.http import Http404
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import audit
from accounts.models import User
from corecmr.queue import enqueue
from processing import states
from processing.models import ProtocolVersion, Run, RunEvent
from studies import access, corrections
from studies.models import Notification, Result, StoredFile, Study
from studies.notifications import notify

MOST_OWN_FAULTS = 3
#: For so long it counts what a trust was served when the next run is chosen.
_LATELY = timedelta(minutes=10)
#: A waiting run whose message may have been lost is rung again after this.
RING_AGAIN = timedelta(seconds=30)
#: The same for the next in line while a worker has nothing to do: a message dies with the process
#: that has fetched it. More than one message does no harm, and few are few.
RING_SOON = timedelta(seconds=1)


class RunError(Exception):
    """Why a run could not be started or stopped; the text is for the person who asked."""


def submit(
    study: Study,
    *,
    engine: str,
    parameters: Mapping[str, Any] | None = None,
    protocol: ProtocolVersion | None = None,
    by: User | None,
) -> Run:
    """Queue a run and its message in one transaction.

    The same request while one is open returns the open one, however often it is pressed.
    protocol: the version that ``parameters`` are taken from, see ``protocols.parameters``.
    ``by`` is the person who asked; ``None`` is the system, after an upload.
    """
    if by is not None:
        access.require(by, "run", study)
    wanted = _wanted(study, parameters)
    key = _input_key(study, wanted)
    for _attempt in range(2):
        open_run = Run.objects.filter(
            study=study, engine=engine, input_key=key, state__in=states.OPEN
        ).first()
        if open_run is not None:
            return open_run
        try:
            with transaction.atomic():
                run = Run.objects.create(
                    study=study, engine=engine, parameters=wanted, protocol_version=protocol,
                    input_key=key, requested_by=by,
                )  # fmt: skip
                RunEvent.objects.create(run=run, after=states.QUEUED)
                audit.record(by, "run.submit", run, engine=engine)
                enqueue("run", run.pk)
            return run
        except IntegrityError:
            continue  # another request was quicker by a moment: its run is the one
    raise RunError(_("This study is being submitted by somebody else. Try again in a moment."))


def submit_drawn(study: Study, result: Result, drawn: Mapping[str, Any], *, by: User) -> Run:
    """Queue a run like the one that made ``result``, with outlines drawn over it.

    drawn: by folder, see ``studies.edits``. What was drawn for that result itself stays, where
    nothing new was drawn over it.
    """
    earlier = Run.objects.filter(result=result).first()
    held = {} if earlier is None else earlier.parameters
    given = dict(held.get("given") or {})
    for folder, outlines in drawn.items():
        given[folder] = {**(given.get(folder) or {}), **outlines}
    told = {
        "from_result": result.number,
        "series": {folder: sorted(outlines) for folder, outlines in given.items()},
    }
    parameters = {key: value for key, value in held.items() if key != "corrections"}
    return submit(
        study,
        engine=result.engine if earlier is None else earlier.engine,
        parameters={**parameters, "given": given, "edited": told},
        protocol=None if earlier is None else earlier.protocol_version,
        by=by,
    )


def was_analysed(study: Study, *, engine: str, parameters: Mapping[str, Any] | None = None) -> bool:
    """Whether the engine has a result of these very images with these parameters."""
    key = _input_key(study, _wanted(study, parameters))
    return Run.objects.filter(
        study=study, engine=engine, input_key=key, state=states.SUCCEEDED
    ).exists()


def _wanted(study: Study, parameters: Mapping[str, Any] | None) -> dict[str, Any]:
    """The parameters with what a person corrected in the study's series: no run goes without."""
    told = corrections.of(study)
    return {**(parameters or {}), **({"corrections": told} if told else {})}


def _input_key(study: Study, parameters: dict[str, Any]) -> str:
    """What makes two requests the same: the parameters and the images held."""
    images = study.files.filter(kind=StoredFile.Kind.SOURCE).order_by("sha256")
    text = json.dumps([parameters, list(images.values_list("sha256", flat=True))], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def still_allowed(run: Run) -> bool:
    """Whether who asked for the run may still ask for it; the system always may."""
    return run.requested_by is None or access.may(run.requested_by, "run", run.study)


def claim(pk: int) -> Run | None:
    """Take a run for work: counted before it starts, leased, with a new fence."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE processing_run AS run
               SET state = 'running', attempt = attempt + 1, fence = fence + 1, stage = '',
                   fraction = 0, heartbeat_at = now(),
                   lease_until = now() + %s * interval '1 second'
              FROM (SELECT id, state FROM processing_run WHERE id = %s FOR UPDATE) AS old
             WHERE run.id = old.id AND own_faults < %s
               AND (run.state = 'queued' OR (run.state = 'running' AND run.lease_until < now()))
            RETURNING old.state
            """,
            [settings.RUN_LEASE_SECONDS, pk, MOST_OWN_FAULTS],
        )
        row = cursor.fetchone()
        if row is None:
            return None
        run = Run.objects.select_related("study", "study__trust").get(pk=pk)
        RunEvent.objects.create(run=run, before=row[0], after=states.RUNNING)
        return run


def claim_fairly(pk: int) -> Run | None:
    """Take the run that is to be next, whichever a message was for.

    Of all that wait it is one of the trust with the fewest analyses at work, then with the fewest
    ended lately, then the oldest: who sends a hundred studies does not keep the others waiting,
    even where there is one worker alone. There is a message for each run, so
    each message takes one; where none waits it is the run's own, whose lease may have run out.
    """
    for _attempt in range(5):
        chosen = _fairest()
        if chosen is None:
            break
        run = claim(chosen)
        if run is not None:  # else another worker was quicker by a moment
            return run
    return claim(pk)


def _fairest() -> int | None:
    return (
        Run.objects.filter(state=states.QUEUED, own_faults__lt=MOST_OWN_FAULTS)
        .annotate(
            busy=_of_the_trust(state=states.RUNNING),
            served=_of_the_trust(finished_at__gt=timezone.now() - _LATELY),
        )
        .order_by("busy", "served", "created_at", "pk")
        .values_list("pk", flat=True)
        .first()
    )


def _of_the_trust(**which: object) -> Coalesce:
    """How many runs like this the trust of the outer row's study has."""
    runs = Run.objects.filter(study__trust=OuterRef("study__trust"), **which).order_by()
    count = runs.values("study__trust").annotate(count=Count("pk")).values("count")
    return Coalesce(Subquery(count), 0)


def _lease() -> timedelta:
    return timedelta(seconds=settings.RUN_LEASE_SECONDS)


def heartbeat(run: Run, stage: str, fraction: float) -> bool:
    """Renew the lease and show progress; False if the run is no longer ours."""
    return bool(
        _mine(run).update(
            stage=stage[:20],
            fraction=max(0.0, min(1.0, fraction)),
            heartbeat_at=Now(),
            lease_until=Now() + _lease(),
        )
    )


def _mine(run: Run) -> QuerySet[Run]:
    return Run.objects.filter(pk=run.pk, fence=run.fence, state=states.RUNNING)


def lock_mine(run: Run) -> bool:
    """Inside a transaction: lock the row, and say whether the run is still ours."""
    return _mine(run).select_for_update().exists()


def succeed(run: Run, result: Result) -> None:
    """Link the result; the caller holds the transaction that made it and the lock on the run."""
    _move(
        _mine(run), run, states.RUNNING, states.SUCCEEDED,
        result=result, stage="", fraction=1.0, lease_until=None, finished_at=Now(), reason="",
    )  # fmt: skip
    audit.record(None, "run.succeed", run, result=result.public_id)
    _tell(run, Notification.Kind.FINISHED)


def fail(run: Run, reason: str) -> bool:
    """End a run with a sentence for the user: what it met was expected and final."""
    with transaction.atomic():
        moved = _move(
            _mine(run), run, states.RUNNING, states.FAILED,
            reason=reason, stage="", lease_until=None, finished_at=Now(),
        )  # fmt: skip
        if moved:
            audit.record(None, "run.fail", run)
            _tell(run, Notification.Kind.FAILED)
        return moved


def _tell(run: Run, kind: str) -> None:
    """Tell who asked for the run; of one that the site began itself, who sent the study."""
    person = run.requested_by or run.study.uploaded_by
    if person is not None:
        notify([person], kind, study=run.study)


def fault(run: Run, reason: str) -> bool:
    """Count a fault of the run's own: tried again, or set aside with ``reason`` at the third."""
    with transaction.atomic():
        locked = _mine(run).select_for_update().first()
        if locked is None:
            return False
        faults = locked.own_faults + 1
        if faults >= MOST_OWN_FAULTS:
            Run.objects.filter(pk=run.pk).update(own_faults=faults)
            return fail(run, reason)
        moved = _move(
            _mine(run), run, states.RUNNING, states.QUEUED, "fault",
            own_faults=faults, stage="", fraction=0, lease_until=None, rung_at=Now(),
        )  # fmt: skip
        enqueue("run", run.pk)
        return moved


def may_cancel(user: User, run: Run) -> bool:
    """A guest who may analyse stops only what the guest started."""
    verb: access.Verb = "run" if run.requested_by_id == user.pk else "manage"
    return access.may(user, verb, run.study)


def cancel(run: Run, *, by: User) -> bool:
    """Stop a waiting or running run; its worker notices at the next heartbeat."""
    if not may_cancel(by, run):
        raise Http404
    with transaction.atomic():
        locked = Run.objects.select_for_update().filter(pk=run.pk).first()
        if locked is None or locked.state not in states.OPEN:
            return False
        _move(
            Run.objects.filter(pk=run.pk), run, locked.state, states.CANCELLED,
            lease_until=None, finished_at=Now(), stage="",
        )  # fmt: skip
        audit.record(by, "run.cancel", run)
        return True


def reap() -> int:
    """Give back runs whose lease ran out, and ring again for runs nobody came for."""
    rung = 0
    now = timezone.now()
    for run in Run.objects.filter(state=states.RUNNING, lease_until__lt=now):
        with transaction.atomic():
            lapsed = Run.objects.filter(
                pk=run.pk, state=states.RUNNING, fence=run.fence, lease_until__lt=Now()
            )
            if _move(
                lapsed, run, states.RUNNING, states.QUEUED, "lease ran out",
                lease_until=None, stage="", fraction=0, rung_at=Now(), fence=F("fence") + 1,
            ):  # fmt: skip
                enqueue("run", run.pk)
                rung += 1
    for pk, since in _not_come_for():
        with transaction.atomic():
            if Run.objects.filter(pk=pk, state=states.QUEUED, rung_at__lt=now - since).update(
                rung_at=Now()
            ):
                enqueue("run", pk)
                rung += 1
    return rung


def _not_come_for() -> list[tuple[int, timedelta]]:
    """Waiting runs that may have to be rung again, and how long ago they were to be rung last."""
    waiting = Run.objects.filter(state=states.QUEUED)
    idle = settings.WORKERS - Run.objects.filter(state=states.RUNNING).count()
    soon = waiting.filter(rung_at__lt=timezone.now() - RING_SOON).order_by("created_at", "pk")
    found = dict.fromkeys(soon.values_list("pk", flat=True)[: max(0, idle)], RING_SOON)
    late = waiting.filter(rung_at__lt=timezone.now() - RING_AGAIN)
    return list((dict.fromkeys(late.values_list("pk", flat=True), RING_AGAIN) | found).items())


def _move(
    rows: QuerySet[Run], run: Run, before: str, after: str, detail: str = "", **fields: Any
) -> bool:
    """The one guarded UPDATE: moves the run if ``rows`` still holds it in ``before``."""
    if not states.may_move(before, after):
        raise ValueError(f"a run cannot go from {before} to {after}")
    if not rows.filter(state=before).update(state=after, **fields):
        return False
    RunEvent.objects.create(run=run, before=before, after=after, detail=detail)
    return True

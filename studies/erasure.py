"""A study's end: asked for by one person, confirmed by a second, done in one transaction.

Rows go with the confirmation: files, results, shares, runs, the uploads they came by, and messages
in the queue. The keys of files are written down with it, so that a worker deletes them however
often it is broken off. What stays is the certificate and the record, which hold ids of ours only.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.conf import settings
from django.core.files.storage import storages
from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from django.http import Http404
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import audit
from accounts.models import User
from corecmr.queue import enqueue, forget
from studies import access, openings
from studies.models import Erasure, Retention, Study, Upload

#: A confirmed erasure whose message may have been lost is rung again after this.
RING_AGAIN = timedelta(minutes=5)


class ErasureError(Exception):
    """Why a study is not erased; the text is for the person who asked."""


# --- asking and confirming ----------------------------------------------------------------------


def request(study: Study, *, by: User, reason: str) -> Erasure:
    """Ask for the erasure of a study of one's own trust. Asking twice is one request."""
    access.require(by, "manage", study)
    if reason not in Erasure.Reason.values or reason in Erasure.BY_THE_SITE:
        raise ErasureError(_("Choose why the study is to be erased."))
    try:
        with transaction.atomic():
            locked = Study.objects.select_for_update().get(pk=study.pk)
            _refuse_if_held(locked)
            erasure = Erasure.objects.create(
                trust_id=locked.trust_id, study=locked, study_public_id=locked.public_id,
                reference=locked.reference, reason=reason, requested_by=by,
            )  # fmt: skip
            audit.record(by, "erasure.request", locked, erasure=erasure.public_id, reason=reason)
            return erasure
    except IntegrityError:
        return Erasure.objects.get(study=study, withdrawn_at=None, confirmed_at=None)


def withdraw(erasure: Erasure, *, by: User) -> None:
    """Take a request back before it is confirmed; anybody who may confirm it may do so."""
    _require(erasure, by)
    with transaction.atomic():
        locked = Erasure.objects.select_for_update().get(pk=erasure.pk)
        if not locked.is_open:
            return
        locked.withdrawn_at = timezone.now()
        locked.save(update_fields=["withdrawn_at"])
        audit.record(by, "erasure.withdraw", locked, study=locked.study_public_id)


def confirm(erasure: Erasure, *, by: User) -> None:
    """The second person's word: the study is erased. Confirming twice is once."""
    _require(erasure, by)
    with transaction.atomic():
        locked = Erasure.objects.select_for_update().get(pk=erasure.pk)
        if locked.withdrawn_at is not None:
            raise ErasureError(_("The request was withdrawn meanwhile. The study stays."))
        if not locked.is_open:
            return
        if locked.requested_by_id == by.pk:
            raise ErasureError(
                _("You asked for this yourself. A second person of your trust must confirm it.")
            )
        study = Study.objects.select_for_update().filter(erasures=locked).first()
        if study is None:
            return
        _refuse_if_held(study)
        locked.confirmed_by = by
        _erase(locked, study)
        audit.record(by, "erasure.confirm", locked, study=locked.study_public_id)


def visible_to(user: User) -> QuerySet[Erasure]:
    """Requests and certificates of the trusts for which the person decides."""
    return Erasure.objects.filter(trust__in=access.decides_for(user).values("trust"))


def get_visible_or_404(user: User, public_id: str) -> Erasure:
    found = (
        visible_to(user)
        .select_related("trust", "study", "requested_by", "confirmed_by")
        .filter(public_id=public_id)
        .first()
    )
    if found is None:
        raise Http404
    return found


def _require(erasure: Erasure, by: User) -> None:
    if not visible_to(by).filter(pk=erasure.pk).exists():
        raise Http404


# --- holds --------------------------------------------------------------------------------------


def hold(study: Study, *, by: User, reason: str) -> None:
    """Keep a study whatever else is decided, until the hold is lifted."""
    access.require(by, "manage", study)
    with transaction.atomic():
        if Study.objects.filter(pk=study.pk, hold_reason="").update(hold_reason=reason):
            audit.record(by, "study.hold", study)


def lift_hold(study: Study, *, by: User) -> None:
    access.require(by, "manage", study)
    with transaction.atomic():
        if Study.objects.filter(pk=study.pk).exclude(hold_reason="").update(hold_reason=""):
            audit.record(by, "study.lift_hold", study)


def _refuse_if_held(study: Study) -> None:
    if study.hold_reason:
        raise ErasureError(
            _("This study is on hold and must be kept: %(reason)s") % {"reason": study.hold_reason}
        )


# --- retention ----------------------------------------------------------------------------------


def kept_until(study: Study) -> datetime | None:
    """When the trust's retention period of the study ends; ``None`` where it has no rule."""
    rule = Retention.objects.filter(trust=study.trust_id).first()
    return study.created_at + timedelta(days=rule.days) if rule else None


def due(now: datetime | None = None) -> list[Study]:
    """Studies whose retention period is over; those on hold too, which are not erased."""
    now = now or timezone.now()
    found: list[Study] = []
    for rule in Retention.objects.select_related("trust").order_by("trust__name"):
        oldest = now - timedelta(days=rule.days)
        found += rule.trust.studies.filter(created_at__lt=oldest).order_by("created_at")
    return found


def erase_by_retention(study: Study) -> Erasure | None:
    """Erase a study whose period is over; ``None`` if it is on hold or gone by now."""
    with transaction.atomic():
        locked = Study.objects.select_for_update().filter(pk=study.pk, hold_reason="").first()
        if locked is None:
            return None
        return _erase_by_the_site(locked, Erasure.Reason.RETENTION, "erasure.retention")


# --- doing it -----------------------------------------------------------------------------------


def _erase_by_the_site(locked: Study, reason: str, verb: str) -> Erasure:
    """Erase a study that no person was asked about; what a person had asked for is set aside."""
    Erasure.objects.filter(study=locked, withdrawn_at=None, confirmed_at=None).update(
        withdrawn_at=timezone.now()
    )
    erasure = Erasure(
        trust_id=locked.trust_id, study_public_id=locked.public_id, reference=locked.reference,
        reason=reason,
    )  # fmt: skip
    _erase(erasure, locked)
    audit.record(None, verb, erasure, study=erasure.study_public_id)
    return erasure


def _erase(erasure: Erasure, study: Study) -> None:
    """Delete the rows and write down what is left to delete; inside the caller's transaction."""
    erasure.object_ids = sorted(openings.object_ids(study))
    runs = list(study.runs.values_list("pk", flat=True))
    keys = [["default", name] for name in study.files.values_list("file", flat=True)]
    counts = {"queue": forget("run", runs) + forget("submit", [study.pk])}
    for upload in study.uploads.select_for_update():
        items = upload.items.exclude(key="").values_list("key", flat=True)
        if upload.studies.exclude(pk=study.pk).exists():
            # It brought other studies too. Names of files may name the patient.
            upload.items.exclude(name="").update(name="")
            continue
        keys += [["quarantine", key] for key in items]
        _add(counts, Upload.objects.filter(pk=upload.pk).delete()[1].items())
    # The study's own certificate stays: its row lets go of the study.
    _add(counts, study.delete()[1].items())
    erasure.study = None
    erasure.counts = {kind: number for kind, number in counts.items() if number}
    erasure.pending = keys
    erasure.confirmed_at = timezone.now()
    erasure.save()
    enqueue("erase", erasure.pk)


def _add(counts: dict[str, int], deleted: Iterable[tuple[str, int]]) -> None:
    for label, number in deleted:
        kind = label.rpartition(".")[2].lower()
        counts[kind] = counts.get(kind, 0) + number


def finish(pk: int) -> None:
    """Delete the files of a confirmed erasure. Broken off, it is simply done again."""
    erasure = Erasure.objects.filter(pk=pk, confirmed_at__isnull=False, finished_at=None).first()
    if erasure is None:
        return
    for name, key in erasure.pending:
        storages[name].delete(key)
    _note(erasure)
    with transaction.atomic():
        locked = Erasure.objects.select_for_update().filter(pk=pk, finished_at=None).first()
        if locked is None:
            return
        locked.counts = {**locked.counts, "files": len(locked.pending)}
        locked.pending, locked.finished_at = [], timezone.now()
        locked.save(update_fields=["counts", "pending", "finished_at"])
        audit.record(None, "erasure.finish", locked, files=locked.counts["files"])


def _note(erasure: Erasure) -> None:
    """A line outside of the database, so that a restored backup can be told to forget again.

    Broken off and done again it is there twice, which is as good as once.
    """
    line = {"study": erasure.study_public_id, "at": timezone.now().isoformat(timespec="seconds")}
    path = settings.ERASURE_LEDGER
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as ledger:
        ledger.write(json.dumps(line) + "\n")
        ledger.flush()
        os.fsync(ledger.fileno())


def replay(public_ids: Iterable[str]) -> int:
    """After a restore: erase what was erased after the backup was made. Says how many studies."""
    count = 0
    for study in Study.objects.filter(public_id__in=set(public_ids)):
        with transaction.atomic():
            locked = Study.objects.select_for_update().get(pk=study.pk)
            erasure = _erase_by_the_site(locked, Erasure.Reason.RESTORED, "erasure.replay")
        finish(erasure.pk)
        count += 1
    return count


def reap() -> int:
    """Ring again for erasures that were confirmed a while ago and whose files are still there."""
    late = Erasure.objects.filter(
        Q(confirmed_at__lt=timezone.now() - RING_AGAIN), finished_at=None
    ).values_list("pk", flat=True)
    for pk in late:
        finish(pk)
    return len(late)

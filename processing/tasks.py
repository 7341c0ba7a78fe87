"""What a worker is asked to do. Each may be asked twice without harm."""

from __future__ import annotations

import logging
import secrets
import traceback

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext as _

from corecmr import temporary
from corecmr.database import went_away
from processing import child, outputs, protocols, runs
from processing.models import Pulse, Run
from studies.models import Study

log = logging.getLogger(__name__)


def submit_study(pk: int) -> None:
    """A study has arrived: analyse it with the engine of record and its protocol."""
    study = Study.objects.filter(pk=pk).first()
    if study is None:
        return
    engine, choice = settings.DEFAULT_ENGINE, protocols.wanted(study)
    wanted = protocols.parameters(choice, study=study)
    if not runs.was_analysed(study, engine=engine, parameters=wanted):
        runs.submit(study, engine=engine, parameters=wanted, protocol=choice.version, by=None)


def execute_run(pk: int) -> None:
    run = runs.claim_fairly(pk)
    if run is None:
        return
    try:
        _execute(run)
    except outputs.LostRun:
        log.info("run %s was taken away", run.public_id)
    except Exception as error:
        if went_away(error):
            # No fault of the run's own: its lease runs out, and the reaper gives it back.
            log.warning("run %s lost the database", run.public_id)
            return
        identifier = secrets.token_hex(4)
        place = traceback.extract_tb(error.__traceback__)[-1]
        log.error(
            "run %s, log id %s: %s at %s:%s",
            run.public_id, identifier, type(error).__name__, place.name, place.lineno,
        )  # fmt: skip
        runs.fault(run, _again(_("the site met an error, log id %(id)s") % {"id": identifier}))


def _execute(run: Run) -> None:
    if not runs.still_allowed(run):
        runs.fail(
            run,
            _("Who asked for this analysis may no longer use the study. Start it again yourself."),
        )
        return
    with temporary.scratch(f"run-{run.pk}-") as work:
        if not child.fetch(run, work / "in", lambda part: runs.heartbeat(run, "fetch", part / 20)):
            return
        ended = child.run_engine(run, work, lambda stage, part: runs.heartbeat(run, stage, part))
        if ended.output is not None:
            outputs.store(run, ended.output)
        elif ended.sentence:
            runs.fail(run, ended.sentence)
        elif ended.fault:
            runs.fault(run, _again(ended.fault))


def _again(cause: str) -> str:
    return _(
        "This study was set aside after %(number)s attempts: %(cause)s. Try again; if it happens "
        "again, tell your administrator."
    ) % {"number": runs.MOST_OWN_FAULTS, "cause": cause}


def ping(pk: int) -> None:
    """Answer the watchdog."""
    Pulse.objects.filter(pk=pk).update(answered_at=timezone.now())

"""An engine in a child process with limits: a crash, a hang or a glutton ends the child alone."""

from __future__ import annotations

import json
import logging
import shutil
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.utils.translation import gettext as _

from corecmr import sandbox
from processing.models import Run
from studies.models import StoredFile

log = logging.getLogger(__name__)

#: The child's exit status when no series could be analysed; its last line says why.
NOTHING_TO_ANALYSE = 2


@dataclass(frozen=True)
class Ended:
    """How a child ended: with an output folder, a sentence, a fault of its own, or stopped."""

    output: Path | None = None
    sentence: str = ""
    fault: str = ""
    stopped: bool = False


def fetch(run: Run, folder: Path, beat: Callable[[float], bool]) -> bool:
    """Copy the study's rebuilt images into ``folder``; False if the run was taken away."""
    folder.mkdir()
    files = list(run.study.files.filter(kind=StoredFile.Kind.SOURCE))
    for number, stored in enumerate(files):
        with stored.file.open("rb") as source, (folder / f"{stored.pk}.dcm").open("wb") as target:
            shutil.copyfileobj(source, target, 1024**2)
        if number % 50 == 49 and not beat(number / len(files)):
            return False
    return True


def run_engine(run: Run, work: Path, heartbeat: Callable[[str, float], bool]) -> Ended:
    """Run the engine of ``run`` on ``work/in``; what it makes lies in ``work/out``."""
    progress: tuple[str, float] = ("read", 0.0)
    said = [""]

    def on_line(line: str) -> None:
        nonlocal progress
        message = sandbox.parse_json_line(line)
        stage, fraction = message.get("stage"), message.get("fraction")
        if isinstance(stage, str) and isinstance(fraction, int | float):
            progress = (stage, float(fraction))
        if isinstance(message.get("sentence"), str):
            said[0] = str(message["sentence"])

    request = {
        "input": str(work / "in"),
        "output": str(work / "out"),
        "engine": run.engine,
        "parameters": run.parameters,
    }
    outcome = sandbox.run(
        "processing.child_entry",
        [],
        sandbox.Limits(
            memory_bytes=settings.RUN_MEMORY_BYTES,
            wall_seconds=settings.RUN_WALL_SECONDS,
            cpu_seconds=2 * settings.RUN_WALL_SECONDS,
        ),
        stdin=json.dumps(request),
        on_line=on_line,
        keep_going=lambda: heartbeat(*progress),
        beat_seconds=min(1.0, settings.RUN_LEASE_SECONDS / 4),
    )
    if outcome.ended_by == "caller":
        return Ended(stopped=True)
    if outcome.ended_by == "wall":
        return Ended(
            fault=_("the analysis took longer than %(seconds)s seconds")
            % {"seconds": settings.RUN_WALL_SECONDS}
        )
    if outcome.returncode == 0 and (work / "out" / "report.json").exists():
        return Ended(output=work / "out")
    if outcome.returncode == NOTHING_TO_ANALYSE and said[0]:
        return Ended(sentence=said[0])
    log.error("engine %s ended with %s: %s", run.engine, outcome.returncode, _tail(outcome.stderr))
    return Ended(fault=_cause(outcome))


def _cause(outcome: sandbox.Outcome) -> str:
    """What ended the child, in words for the reader."""
    if outcome.returncode == -signal.SIGKILL:
        return _("the analysis was ended by the system, most likely for want of memory")
    if outcome.returncode == -signal.SIGXCPU:
        return _("the analysis took more processor time than it may use")
    if outcome.returncode < 0:
        return _("the analysis program crashed")
    # numpy raises a subclass of its own, under a name that ends the same.
    if _last_line(outcome.stderr).split(":", 1)[0].endswith("MemoryError"):
        megabytes = settings.RUN_MEMORY_BYTES // 1024**2
        return _("the analysis needed more than the %(megabytes)s MB of memory that it may use") % {
            "megabytes": megabytes
        }
    return _("the analysis program stopped with an error")


def _last_line(stderr: str) -> str:
    return (stderr.strip().splitlines() or [""])[-1]


def _tail(stderr: str) -> str:
    """Places in our code, not messages: a message may hold something read from a file."""
    places = [line.strip() for line in stderr.splitlines() if line.strip().startswith("File ")]
    kind = _last_line(stderr).split(":", 1)[0]
    return " < ".join([kind, *(place.split("/")[-1] for place in places[-3:])])

"""One worker machine against two: each a cluster of one worker on the same database and files.

The engine waits for half a second and computes little, so that two find a processor each; what is
measured is the queue. DRILL_RUNS says how many analyses each pass has (24).
"""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from scripts.bench.table import Figure
from scripts.drill.brief import Brief
from scripts.drill.durability_kills import comes, patiently, server_of, studies_of
from scripts.drill.python import python_with
from scripts.steps import CHECKOUT

RUNS = 24
_ALONE = 12
_PATIENCE_SECONDS = 300


def measure(said: Callable[[str], None]) -> Iterator[Figure]:
    count = int(os.environ.get("DRILL_RUNS", str(RUNS)))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        with server_of(folder):
            python = python_with(folder / "environment", "drill-engine", [Brief])
            studies, user = patiently(studies_of)
            seconds = {}
            for machines in (1, 2):
                said(f"{machines} of them")
                with ExitStack() as stack:
                    for number in range(machines):
                        stack.enter_context(machine(python, folder, machines, number))
                    _settle(studies, user)
                    if machines == 1:
                        alone = [_started(studies, user, n) for n in range(_ALONE)]
                    seconds[machines] = _all(studies, user, count, machines)
                    twice = _twice()
                where = f"{machines} clusters of 1 worker, {count} analyses"
                yield Figure("analyses a minute", where, 60 * count / seconds[machines])
                yield Figure("analyses that ran twice, or not", where, twice, reach=0)
            waits = sorted(alone)
            yield Figure(
                "from asking to starting, p95, s", f"{_ALONE} on an idle site",
                waits[int(0.95 * (len(waits) - 1))], note=f"median {waits[len(waits) // 2]:.2f}",
            )  # fmt: skip
            yield Figure(
                "two are quicker than one, times", "the same analyses",
                seconds[1] / seconds[2], reach=1.5, aim=1.9, larger_is_better=True,
            )  # fmt: skip


@contextmanager
def machine(python: Path, folder: Path, machines: int, number: int) -> Iterator[int]:
    """A worker with folders of its own but for the files, which all machines share; its process."""
    own = folder / f"machine-{machines}-{number}"
    own.mkdir()
    for name in ("media", "quarantine"):
        (folder / "files" / name).mkdir(exist_ok=True)
        (own / name).symlink_to(folder / "files" / name)
    with (own / "worker.log").open("ab") as log:
        process = subprocess.Popen(
            [python, CHECKOUT / "manage.py", "runworker"],
            env={**os.environ, "CORECMR_VAR_DIR": str(own), "CORECMR_WORKERS": "1"},
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    try:
        yield process.pid
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(60)
        with suppress(ProcessLookupError, OSError, ValueError):
            os.killpg(int((own / "worker.pgid").read_text()), signal.SIGKILL)
        process.kill()
        process.wait()


def _submit(studies: list[Any], user: Any, number: int, mark: str) -> Any:
    from processing import runs

    return runs.submit(
        studies[number % len(studies)], engine="brief", by=user,
        parameters={"number": number, "pass": mark},
    )  # fmt: skip


def _settle(studies: list[Any], user: Any) -> None:
    """All machines are up once each has had something to do."""
    from processing.models import Run

    mark = f"settle {time.time()}"
    for number in range(6):
        _submit(studies, user, number, mark)
    _wait(lambda: not Run.objects.filter(finished_at=None).exists())


def _started(studies: list[Any], user: Any, number: int) -> float:
    """Seconds from asking until a worker had begun, with nothing else to do."""
    from processing import states
    from processing.models import RunEvent

    run = _submit(studies, user, number, "alone")
    begun = RunEvent.objects.filter(run=run, after=states.RUNNING)
    _wait(lambda: begun.exists())
    at: datetime = begun.values_list("at", flat=True)[0]
    _wait(lambda: type(run).objects.filter(pk=run.pk, finished_at__isnull=False).exists())
    return (at - run.created_at).total_seconds()


def _all(studies: list[Any], user: Any, count: int, machines: int) -> float:
    from processing.models import Run

    begun = time.monotonic()
    for number in range(count):
        _submit(studies, user, number, f"all {machines}")
    _wait(lambda: not Run.objects.filter(finished_at=None).exists())
    return time.monotonic() - begun


def _twice() -> int:
    from processing import states
    from processing.models import Run
    from studies.models import Result

    well = Run.objects.filter(state=states.SUCCEEDED).count()
    return Run.objects.count() - well + abs(Result.objects.count() - well)


def _wait(what: Callable[[], bool]) -> None:
    if not comes(what, _PATIENCE_SECONDS):
        raise TimeoutError("the analyses did not end")

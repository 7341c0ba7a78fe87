"""Engines, workers, whole clusters and the database killed at random, at every step of runs.

Nothing may be lost, done twice or half done. DRILL_KILLS says how often (200; the long form 1000).
The site is a real one: a PostgreSQL server of its own, ``manage.py runworker`` with two workers, a
lease of two seconds, an engine of half a second.
"""

from __future__ import annotations

import hashlib
import math
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from scripts.bench.table import Figure
from scripts.drill.brief import Brief
from scripts.drill.python import python_with
from scripts.steps import CHECKOUT

LEASE_SECONDS = 2
STUDIES = 6
WEIGHTS = {"engine": 50, "worker": 30, "cluster": 17, "database": 3}
#: As many as there are workers: none waits for its turn, and what is measured is recovery.
OPEN_AT_ONCE = 2
#: After the last kill all that is open must end within this.
PATIENCE_SECONDS = 120
_pause = threading.Event()


def measure(said: Callable[[str], None]) -> Iterator[Figure]:
    kills = int(os.environ.get("DRILL_KILLS", "200"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        with server_of(folder), worker_of(folder) as worker:
            yield from _drill(kills, worker, said)


@contextmanager
def server_of(folder: Path) -> Iterator[tuple[str, Any]]:
    from scripts import postgres

    server = postgres.Server(folder / "database" / "postgres", test=True)
    server.data.parent.mkdir(parents=True, exist_ok=True)
    try:
        postgres.start(server)
        password = quote(server.password_file.read_text().strip())
        url = f"postgresql://postgres:{password}@/corecmr?host={quote(str(server.socket), safe='')}"
        os.environ.update(_environment(folder, url))
        subprocess.run(
            [sys.executable, CHECKOUT / "manage.py", "migrate", "--no-input", "--verbosity", "0"],
            check=True,
        )
        import django

        django.setup()
        yield url, server
    finally:
        postgres.reset(server)


def _environment(folder: Path, url: str) -> dict[str, str]:
    files = folder / "files"
    files.mkdir(exist_ok=True)
    return {
        "DJANGO_SETTINGS_MODULE": "corecmr.settings.test",
        "DATABASE_URL": url,
        "CORECMR_VAR_DIR": str(files),
        "TMPDIR": str(folder),
    }


class _Worker:
    """``manage.py runworker``, and all its processes, known by their temporary folder."""

    def __init__(self, python: Path, folder: Path) -> None:
        self.folder = folder
        self._log = (folder / "worker.log").open("ab")
        self.process = subprocess.Popen(
            [python, CHECKOUT / "manage.py", "runworker", "--silence", "3"],
            stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log, start_new_session=True,
        )  # fmt: skip

    def family(self) -> Iterator[tuple[int, list[str]]]:
        mark = f"TMPDIR={self.folder}".encode()
        for path in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if mark in (path / "environ").read_bytes().split(b"\0"):
                    yield int(path.name), (path / "cmdline").read_text().split("\0")

    def engines(self) -> list[int]:
        return [pid for pid, words in self.family() if "processing.child_entry" in words]

    def cluster(self) -> int | None:
        with suppress(OSError, ValueError):
            pid = int((self.folder / "files" / "worker.pgid").read_text())
            os.kill(pid, 0)
            return pid
        return None

    def queue_workers(self) -> list[int]:
        """Grandchildren of the cluster's first process."""
        first = self.cluster()
        return [two for one in _children(first) for two in _children(one)] if first else []

    def end(self) -> None:
        self.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(60)
        for pid, _words in list(self.family()):
            if pid != os.getpid():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        self.process.wait()
        self._log.close()


def _children(pid: int) -> list[int]:
    try:
        return [int(n) for n in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


@contextmanager
def worker_of(folder: Path) -> Iterator[_Worker]:
    worker = _Worker(python_with(folder / "environment", "drill-engine", [Brief]), folder)
    try:
        yield worker
    finally:
        worker.end()


def patiently(ask: Callable[[], Any]) -> Any:
    """Ask the database, which may be coming back from a crash."""
    from django.db import Error, connection

    deadline = time.monotonic() + 30
    while True:
        try:
            return ask()
        except Error:
            connection.close()
            if time.monotonic() > deadline:
                raise
            _pause.wait(0.1)


def _drill(kills: int, worker: _Worker, said: Callable[[str], None]) -> Iterator[Figure]:
    from processing import runs, states
    from processing.models import Run

    draw = random.Random(20)  # noqa: S311  (a drill that can be done again)
    studies, user = patiently(studies_of)
    submitted: list[int] = []

    def feed() -> None:
        open_now = Run.objects.filter(state__in=states.OPEN).count()
        for _ in range(OPEN_AT_ONCE - open_now):
            study = studies[len(submitted) % len(studies)]
            run = runs.submit(study, engine="brief", parameters={"number": len(submitted)}, by=user)
            submitted.append(run.pk)

    done: list[tuple[float, str]] = []
    per_kind: Counter[str] = Counter()
    stages: Counter[str] = Counter()
    started = time.monotonic()
    while len(done) < kills:
        patiently(feed)
        # Each kill meets work: what the one before stopped has been taken up again.
        if not comes(worker.engines, 60):
            break
        _pause.wait(draw.random() * 0.9)
        kind = draw.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        if kind == "engine" and patiently(
            lambda: Run.objects.filter(
                state=states.RUNNING, own_faults__gte=runs.MOST_OWN_FAULTS - 1
            ).exists()
        ):
            # A third fault sets a run aside, as it should: some are left to end well.
            kind = "worker" if draw.random() < 0.8 else "engine"
        at_work = list(
            patiently(lambda: list(Run.objects.filter(state=states.RUNNING).values_list("stage")))
        )
        if _kill(kind, worker, draw):
            done.append((time.time(), kind))
            per_kind[kind] += 1
            stages.update(stage or "begin" for (stage,) in at_work)
            if len(done) % 25 == 0:
                said(f"{len(done)} kills, {len(submitted)} runs")
    minutes = (time.monotonic() - started) / 60
    all_ended = comes(
        lambda: not Run.objects.filter(state__in=states.OPEN).exists(), PATIENCE_SECONDS
    )
    yield from patiently(
        lambda: list(_figures(submitted, done, per_kind, stages, minutes, all_ended))
    )


def comes(what: Callable[[], Any], seconds: float) -> bool:
    """Whether ``what`` becomes true within so many seconds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if patiently(what):
            return True
        _pause.wait(0.05)
    return False


def studies_of() -> tuple[list[Any], Any]:
    from processing.mcaq.phantom import make_study as phantom
    from processing.phantom_dicom import write_study
    from tests.people import make_study, make_trust, make_user, store_source

    made = phantom(3, states=("stress",), levels=("mid",), frames=14, rows=64, cols=56)
    with tempfile.TemporaryDirectory() as name:
        paths = write_study(made, Path(name))
        files = [(path.name, path.read_bytes()) for path in paths]
    user = make_user(make_trust())
    studies = [make_study(user.trust) for _ in range(STUDIES)]
    for study in studies:
        store_source(study, files)
    return studies, user


def _kill(kind: str, worker: _Worker, draw: random.Random) -> bool:
    """Kill one thing of that kind; False if there was none at that moment."""
    if kind == "database":
        return _crash_database(draw)
    pids = {
        "engine": worker.engines,
        "worker": worker.queue_workers,
        "cluster": lambda: [pid] if (pid := worker.cluster()) else [],
    }[kind]()
    if not pids:
        return False
    pid = draw.choice(pids)
    try:
        if kind == "cluster":
            os.killpg(pid, signal.SIGKILL)
        else:
            os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def _crash_database(draw: random.Random) -> bool:
    """Kill a server process: PostgreSQL then ends all others and recovers as after a crash."""
    from django.db import connection

    def others() -> list[int]:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pid FROM pg_stat_activity"
                " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
            )
            return [pid for (pid,) in cursor.fetchall()]

    pids = patiently(others)
    if not pids:
        return False
    with suppress(ProcessLookupError):
        os.kill(draw.choice(pids), signal.SIGKILL)
        return True
    return False


def _figures(
    submitted: list[int], done: list[tuple[float, str]], per_kind: Counter[str],
    stages: Counter[str], minutes: float, all_ended: bool,
) -> Iterator[Figure]:  # fmt: skip
    from processing import runs, states
    from processing.models import Run
    from studies.models import Result, StoredFile

    where = ", ".join(f"{kind} {count}" for kind, count in per_kind.most_common())
    every = list(Run.objects.filter(pk__in=submitted))
    ends = Counter(run.state for run in every)
    yield Figure("kills", where, len(done), note=f"{len(every)} runs, {minutes:.1f} min")
    yield Figure(
        "kills by step", ", ".join(f"{name} {n}" for name, n in stages.most_common()), len(stages)
    )
    lost = len(submitted) - len(every) + sum(run.is_open for run in every)
    yield Figure("runs lost or never ended", "of all", lost + (not all_ended), reach=0)
    aside = [run for run in every if run.state == states.FAILED]
    wrongly = sum(run.own_faults < runs.MOST_OWN_FAULTS for run in aside)
    yield Figure(
        "runs that failed without three faults", f"{len(aside)} set aside", wrongly, reach=0
    )
    results = Result.objects.count()
    yield Figure(
        "results too many", f"{results} results", results - ends[states.SUCCEEDED], reach=0
    )
    half = 0
    for result in Result.objects.all():
        files = list(StoredFile.objects.filter(result=result))
        whole = {"report.json", "mbf.npy", "cine.mp4"} <= {one.name for one in files}
        half += not (whole and result.segment_flows.count() == 6 and all(map(_is_sound, files)))
    yield Figure("results that are not whole", "files, hashes, segments", half, reach=0)
    waits = sorted(_recoveries(submitted, done))
    p99 = waits[min(len(waits) - 1, math.ceil(0.99 * len(waits)) - 1)] if waits else float("nan")
    middle = waits[len(waits) // 2] if waits else float("nan")
    yield Figure(
        "recovery p99, s", f"{len(waits)} runs taken up again, database restarts apart", p99,
        reach=LEASE_SECONDS + 2, note=f"median {middle:.1f} s",
    )  # fmt: skip


def _is_sound(stored: Any) -> bool:
    with stored.file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest() == stored.sha256


def _recoveries(submitted: list[int], done: list[tuple[float, str]]) -> Iterator[float]:
    """Seconds from the kill that stopped a run until it ran again.

    A kill near a restart of the database is left out: what is measured is the lease.
    """
    from processing import states
    from processing.models import RunEvent

    crashes = [at for at, kind in done if kind == "database"]
    for pk in submitted:
        stopped = None
        for event in RunEvent.objects.filter(run=pk).order_by("pk"):
            at = event.at.timestamp()
            if event.after == states.QUEUED and event.before == states.RUNNING:
                stopped = at
            elif event.after == states.RUNNING and (stopped or event.before == states.RUNNING):
                known = stopped or at
                stopped = None
                # One that was stopped once more on its way begins again with that.
                before = [
                    kill
                    for kill, kind in done
                    if kind != "database" and (kill <= known + 0.05 or _stops_all(kind, kill, at))
                ]
                if before and not any(abs(crash - at) < 10 for crash in crashes):
                    yield at - before[-1]


def _stops_all(kind: str, kill: float, until: float) -> bool:
    """Whether a kill held up whatever waited at that moment."""
    return kind != "engine" and kill < until

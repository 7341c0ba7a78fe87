"""The site in use for half an hour: what grows does not come back.

Twenty readers, and one analysis after another through a worker. After a warm-up the memory of
every web and worker process, their open files and the database's connections are read once a
second; the slope is that of a line through the memory. DRILL_SECONDS says for how long (1800).
"""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from scripts.bench.table import Figure
from scripts.drill.brief import Brief
from scripts.drill.durability_kills import patiently, server_of, studies_of
from scripts.drill.load_readers import OPTIONS, Told, read, signed_in
from scripts.drill.memory import resident
from scripts.drill.python import python_with
from scripts.drill.scale_clusters import machine
from scripts.drill.served import served

SECONDS, READERS = 1800, 20
#: Templates, caches and connections of a fresh process are no leak.
_WARM_UP = 0.2
_pause = threading.Event()


def measure(said: Callable[[str], None]) -> Iterator[Figure]:
    seconds = int(os.environ.get("DRILL_SECONDS", str(SECONDS)))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        with server_of(folder) as (url, _server):
            python = python_with(folder / "environment", "drill-engine", [Brief])
            studies, user = patiently(studies_of)
            cookies = [signed_in(user)] * READERS
            with (
                machine(python, folder, 1, 0) as worker,
                served("corecmr", *OPTIONS, DATABASE_URL=url) as (port, web),
            ):
                yield from _soak(seconds, port, cookies, studies, user, [*web, worker], said)


def _soak(
    seconds: int, port: int, cookies: list[str], studies: list[Any], user: Any, pids: list[int],
    said: Callable[[str], None],
) -> Iterator[Figure]:  # fmt: skip
    from django.db import connection

    from processing import runs, states
    from processing.models import Run

    told, done = Told(), threading.Event()
    paths = [study.public_id for study in studies]
    reader = threading.Thread(
        target=lambda: read(
            ("127.0.0.1", port), cookies, paths, seconds + 60, into=told, until=done
        )
    )
    reader.start()
    samples: list[tuple[float, list[int], int, int]] = []
    begun = time.monotonic()
    number = 0
    try:
        while (now := time.monotonic() - begun) < seconds:
            if not Run.objects.filter(state__in=states.OPEN).exists():
                study = studies[number % len(studies)]
                runs.submit(study, engine="brief", parameters={"number": number}, by=user)
                number += 1
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
                )
                held = int(cursor.fetchone()[0])
            samples.append((now, [resident(pid) for pid in pids], _files(pids), held))
            if len(samples) % 60 == 0:
                said(f"{now:.0f} s")
            _pause.wait(1)
    finally:
        done.set()
        reader.join()
    kept = [one for one in samples if one[0] > _WARM_UP * seconds]
    hours = np.array([one[0] for one in kept]) / 3600
    slopes = [
        float(np.polyfit(hours, np.array([one[1][k] for one in kept]) / 2**20, 1)[0])
        for k in range(len(pids))
    ]
    first, last = kept[: len(kept) // 10 or 1], kept[-(len(kept) // 10 or 1) :]
    where = f"{seconds / 60:.0f} min, {len(told.seconds)} pages, {number} analyses"
    yield Figure("a process grows by at most, MB an hour", where, max(slopes), reach=20)
    yield Figure("largest process at the end, MB", where, max(samples[-1][1]) / 2**20)
    # The least of a tenth of the time is what is held, not what is in use at that moment.
    for name, place in (("open files", 2), ("database connections", 3)):
        more = min(one[place] for one in last) - min(one[place] for one in first)
        yield Figure(f"{name} more than at the beginning", where, more, reach=0)
    yield Figure("answers that are errors", where, told.errors, reach=0)


def _files(pids: list[int]) -> int:
    return sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in pids)

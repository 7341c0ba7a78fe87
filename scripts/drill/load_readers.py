"""A hundred readers with time to think while an analysis computes; ten; and three times too many.

gunicorn with the processes and threads of deploy/gunicorn.py on this machine, asked over the
loopback by threads that keep their connections. Latency is printed, and so is what a page costs
the processor: figures of this machine.
"""

from __future__ import annotations

import http.client
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scripts.bench.table import Figure
from scripts.drill.database import scene
from scripts.drill.served import served

SECONDS = 60
STUDIES = 200
THINK_S = (3.0, 10.0)
#: Three times what is asked of the site, at a pace that no reader keeps.
RUSH, RUSH_SECONDS = 64, 20
OPTIONS = (
    "--workers", "4", "--worker-class", "gthread", "--threads", "8", "--timeout", "120",
    "--keep-alive", "30",
)  # fmt: skip
_ENVIRONMENT = {"CORECMR_TRUSTED_PROXIES": "1", "CORECMR_SHED_AFTER_SECONDS": "3"}


@dataclass
class Told:
    """What the readers met: seconds of each answer, and how often each status."""

    seconds: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    retry_after: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, seconds: float, status: int, *, retry: bool = False) -> None:
        with self.lock:
            self.seconds.append(seconds)
            self.statuses[status] += 1
            self.retry_after += retry

    def percentile(self, share: float) -> float:
        ordered = sorted(self.seconds)
        return (
            ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")
        )

    @property
    def errors(self) -> int:
        return sum(count for status, count in self.statuses.items() if status != 200)


def measure(said: Callable[[str], None]) -> Iterator[Figure]:
    seconds = int(os.environ.get("DRILL_SECONDS", str(SECONDS)))
    with scene():
        from django.db import connection

        people, studies = _people(100), _studies()
        cookies = [signed_in(person) for person in people]
        name = str(connection.settings_dict["NAME"])
        # As behind one proxy, which tells when each request came.
        with served(name, *OPTIONS, **_ENVIRONMENT) as (port, web):
            address = ("127.0.0.1", port)
            for count in (10, 100):
                said(f"{count} readers")
                with _computing() as computing:
                    before = _processor(web)
                    told = read(address, cookies[:count], studies, seconds)
                    spent = _processor(web) - before
                    computed = computing()
                where = f"{count} readers, {len(told.seconds)} pages"
                yield Figure(
                    "page p95, ms", where, 1000 * told.percentile(0.95),
                    reach=300 if count == 100 else 150, aim=150,
                    note=f"median {1000 * told.percentile(0.5):.0f}",
                )  # fmt: skip
                yield Figure("answers that are errors", where, told.errors, reach=0)
                yield Figure(
                    "processor ms a page", where, 1000 * spent / max(1, len(told.seconds)), aim=8
                )
                yield Figure("analyses meanwhile", where, computed)
            said("three times too many")
            told = _rush(address, cookies, studies)
            where = f"{len(told.seconds)} requests"
            shed = told.statuses[503]
            yield Figure("shed with 503", where, shed, note=f"{told.retry_after} say when to retry")
            yield Figure(
                "other errors", where, told.errors - shed + shed - told.retry_after, reach=0
            )
            after = read(address, cookies[:10], studies, 15)
            yield Figure("errors after it", f"{len(after.seconds)} pages", after.errors, reach=0)
            yield Figure(
                "page p95 after it, ms", "10 readers", 1000 * after.percentile(0.95), reach=300
            )


def _people(count: int) -> list[Any]:
    from tests.people import make_trust, make_user

    trust = make_trust("Drill Trust")
    return [make_user(trust) for _ in range(count)]


def _studies() -> list[str]:
    from accounts.models import Trust
    from tests.people import make_result, make_study

    trust = Trust.objects.get(name="Drill Trust")
    studies = [make_study(trust) for _ in range(STUDIES)]
    for study in studies:
        make_result(study, summed=True)
    return [study.public_id for study in studies]


def signed_in(person: Any) -> str:
    from django.test import Client

    client = Client()
    client.force_login(person)
    return "; ".join(f"{name}={cookie.value}" for name, cookie in client.cookies.items())


def _processor(pids: list[int]) -> float:
    """Seconds of the processor that the processes have had."""
    spent = 0.0
    for pid in pids:
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        spent += (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")
    return spent


@contextmanager
def _computing() -> Iterator[Callable[[], int]]:
    """One analysis after another on this machine, each in a child such as a worker's."""
    from corecmr import sandbox

    done = [0]
    stop = threading.Event()
    limits = sandbox.Limits(memory_bytes=4 * 2**30, wall_seconds=600, cpu_seconds=600)

    def work() -> None:
        while not stop.is_set():
            outcome = sandbox.run(
                "scripts.drill.analysis", [], limits, keep_going=lambda: not stop.is_set(),
                beat_seconds=0.1,
            )  # fmt: skip
            done[0] += outcome.returncode == 0

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield lambda: done[0]
    finally:
        stop.set()
        thread.join()


def _pages(study: str) -> list[str]:
    return [
        "/", f"/studies/{study}/", f"/studies/{study}/run/", "/progress/", "/notifications/",
        "/?state=unreported", f"/studies/{study}/comments/",
    ]  # fmt: skip


def read(
    address: Any,
    cookies: list[str],
    studies: list[str],
    seconds: float,
    *,
    into: Told | None = None,
    until: threading.Event | None = None,
) -> Told:
    """Readers, each with one of the cookies, for some seconds or ``until`` something ends."""
    told, ended = into or Told(), until or threading.Event()
    end = time.monotonic() + seconds

    def reader(number: int) -> None:
        draw = random.Random(number)  # noqa: S311  (a drill that can be done again)
        connection = http.client.HTTPConnection(*address, timeout=60)
        ended.wait(draw.uniform(0, THINK_S[1]))
        while time.monotonic() < end and not ended.is_set():
            path = draw.choice(_pages(draw.choice(studies)))
            begun = time.monotonic()
            status, _headers = _ask(connection, path, cookies[number])
            told.add(time.monotonic() - begun, status)
            ended.wait(draw.uniform(*THINK_S))
        connection.close()

    _all(reader, len(cookies))
    return told


def _rush(address: Any, cookies: list[str], studies: list[str]) -> Told:
    """Many at once, each asking anew before the answer could be read."""
    told = Told()
    until = time.monotonic() + RUSH_SECONDS

    def reader(number: int) -> None:
        draw = random.Random(number)  # noqa: S311
        while time.monotonic() < until:
            connection = http.client.HTTPConnection(*address, timeout=120)
            begun = time.monotonic()
            path = f"/studies/{draw.choice(studies)}/"
            status, headers = _ask(connection, path, cookies[number % len(cookies)])
            connection.close()
            told.add(time.monotonic() - begun, status, retry="Retry-After" in headers)

    _all(reader, RUSH * 6)
    return told


def _all(reader: Callable[[int], None], count: int) -> None:
    threads = [threading.Thread(target=reader, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _ask(connection: http.client.HTTPConnection, path: str, cookie: str) -> tuple[int, Any]:
    headers = {"Cookie": cookie, "X-Request-Start": f"{time.time() * 1000:.0f}"}
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        answer.read()
    except (OSError, http.client.HTTPException):
        connection.close()
        return 0, {}
    return answer.status, answer.headers

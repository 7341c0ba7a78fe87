"""The database away for a minute while people read and send, and an analysis runs.

What is asked meanwhile is answered clearly; what was acknowledged is there afterwards; all goes on
without a hand. DRILL_OUTAGE says for how many seconds (60).
"""

from __future__ import annotations

import http.client
import os
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from scripts.bench.table import Figure
from scripts.drill.durability_kills import comes, patiently, server_of, studies_of, worker_of
from scripts.drill.load_readers import OPTIONS, signed_in
from scripts.drill.served import served

SECONDS = 60
#: After the database is back, pages answer and work goes on within this.
BACK_SECONDS = 10
_PATIENCE_SECONDS = 120
_pause = threading.Event()


def measure(said: Callable[[str], None]) -> Iterator[Figure]:
    seconds = int(os.environ.get("DRILL_OUTAGE", str(SECONDS)))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        with server_of(folder) as (url, server), worker_of(folder):
            studies, user = patiently(studies_of)
            cookie = signed_in(user)
            with served("corecmr", *OPTIONS, DATABASE_URL=url) as (port, _web):
                yield from _outage(seconds, server, port, cookie, studies, user, said)


def _outage(
    seconds: int, server: Any, port: int, cookie: str, studies: list[Any], user: Any,
    said: Callable[[str], None],
) -> Iterator[Figure]:  # fmt: skip
    from django.db import connection

    from processing import runs, states
    from processing.models import Run
    from scripts import postgres
    from studies.models import Comment

    paths = ["/", f"/studies/{studies[0].public_id}/", "/notifications/"]
    before = [_asked(port, path, cookie)[0] for path in paths]
    # Acknowledged just before: a comment, and an analysis that is under way.
    runs.submit(studies[0], engine="brief", parameters={"number": 1}, by=user)
    running = comes(lambda: Run.objects.filter(state=states.RUNNING).exists(), 60)
    Comment.objects.create(study=studies[0], by=user, by_name=str(user), text="Kept.")
    said(f"without the database for {seconds} s")
    connection.close()
    postgres.stop(server)
    met: Counter[int] = Counter()
    clear, alive, slowest = 0, 0, 0.0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for path in paths:
            begun = time.monotonic()
            status, headers, text = _asked(port, path, cookie)
            slowest = max(slowest, time.monotonic() - begun)
            met[status] += 1
            clear += status == 503 and "Retry-After" in headers and "<h1" in text
        alive += _asked(port, "/health/live/", "")[0] == 200
        _pause.wait(1)
    postgres.start(server)
    back = time.monotonic()
    answered = comes(lambda: _asked(port, paths[1], cookie)[0] == 200, _PATIENCE_SECONDS)
    page = time.monotonic() - back
    ended = comes(lambda: not Run.objects.filter(state__in=states.OPEN).exists(), 120)
    work = time.monotonic() - back
    succeeded = patiently(lambda: Run.objects.filter(state=states.SUCCEEDED).count())
    kept = patiently(lambda: Comment.objects.filter(text="Kept.").count())
    asked = sum(met.values())
    where = f"{seconds} s without a database"
    yield Figure("pages before it that are there", "", before.count(200), 3, larger_is_better=True)
    yield Figure(
        "answers that are no 503 with a sentence and Retry-After", f"{asked} asked",
        asked - clear, reach=0, note=", ".join(f"{status}: {n}" for status, n in met.items()),
    )  # fmt: skip
    yield Figure("longest wait for such an answer, s", where, slowest, reach=10)
    yield Figure("the process says that it lives", where, alive > 0, 1, larger_is_better=True)
    yield Figure("a page is there again after, s", where, page, reach=BACK_SECONDS)
    well = succeeded if running and answered and ended else 0
    yield Figure("the analysis had begun and ended well", where, well, 1, larger_is_better=True)
    yield Figure("it ended after, s", where, work)
    yield Figure("what was acknowledged is there", where, kept, 1, larger_is_better=True)


def _asked(port: int, path: str, cookie: str) -> tuple[int, Any, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", path, headers={"Cookie": cookie} if cookie else {})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read().decode("utf-8", "replace")
    except OSError:
        return 0, {}, ""
    finally:
        connection.close()

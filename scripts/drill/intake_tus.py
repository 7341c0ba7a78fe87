"""The web server killed again and again in the middle of an upload by tus-js-client.

What is stored in the end is what was sent: the same files, byte for byte.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg2

from scripts import frontend
from scripts.bench.table import Figure
from scripts.drill.database import server
from scripts.steps import CHECKOUT, run
from scripts.visitor import Visitor
from tests.browser.server import empty_database, people_of

KILLS = 20
FILES = 32
_LARGEST_BYTES = 20 * 1024**2
#: The server dies when so many more bytes have gone out, at most.
_MOST_BYTES_BETWEEN = 8 * 1024**2
_CHUNK_BYTES = 4 * 1024**2
_PATIENCE_SECONDS = 600


def measure(
    said: Callable[[str], None], kills: int = KILLS, files: int = FILES, seed: int = 1
) -> list[Figure]:
    with server(), tempfile.TemporaryDirectory() as folder, empty_database() as url:
        seen = send_while_killed(Path(folder), url, said, kills, files, seed)
    where = f"{files} files by tus-js-client"
    return [
        Figure("times the web server was killed", where, seen["kills"], kills, kills, True),
        Figure("requests that broke off", where, seen["broken"], 1, 1, True),
        Figure("files stored, of those sent", where, seen["stored"], files, files, True),
        Figure("files whose SHA-256 differs, or that were not sent", where, seen["wrong"], 0, 0),
        Figure("bytes stored ÷ bytes sent", where, seen["bytes"], 1, 1, True),
    ]


def send_while_killed(
    folder: Path, url: str, said: Callable[[str], None], kills: int, files: int, seed: int
) -> dict[str, float]:
    """Send, kill, start anew; what came of it."""
    rng = random.Random(seed)  # noqa: S311  (no secret: when to kill)
    var = folder / "var"
    var.mkdir()
    environment = {
        "DJANGO_SETTINGS_MODULE": "corecmr.settings.test",
        "DATABASE_URL": url,
        "CORECMR_VAR_DIR": str(var),
    }
    manage = [sys.executable, str(CHECKOUT / "manage.py")]
    run([*manage, "migrate", "--no-input", "--verbosity", "0"], environment=environment)
    run([*manage, "seed_demo"], environment=environment)
    sent = _make(folder / "files", files, rng)
    with _Server(environment, var / "web.log") as server:
        person = people_of(var)["consultant"]
        visitor = Visitor(server.address)
        visitor.sign_in(person.email, person.password)
        begun = visitor.post_form("/uploads/", {})
        killed = broken = 0
        with _client(server.address + begun["parts_url"], visitor, sent) as said_by_client:
            out, next_kill = 0, rng.randrange(_MOST_BYTES_BETWEEN)
            so_far: dict[str, int] = {}
            for line in said_by_client:
                broken += "retry" in line
                more = max(0, line.get("bytes", 0) - so_far.get(line.get("name", ""), 0))
                so_far[line.get("name", "")] = so_far.get(line.get("name", ""), 0) + more
                out += more
                if killed < kills and out >= next_kill:
                    server.kill()
                    killed += 1
                    said(f"killed {killed} times")
                    server.start()
                    next_kill = out + rng.randrange(_MOST_BYTES_BETWEEN)
        stored = visitor.post_form(begun["complete_url"], {"sent": str(len(sent))})["stored"]
    kept = _kept(url, var)
    expected = {_sha256(path) for path in sent}
    return {
        "kills": killed,
        "broken": broken,
        "stored": stored,
        "wrong": len(expected ^ {digest for digest, _size in kept}),
        "bytes": sum(size for _digest, size in kept) / sum(path.stat().st_size for path in sent),
    }


def _make(folder: Path, count: int, rng: random.Random) -> list[Path]:
    folder.mkdir()
    made = []
    for number in range(count):
        path = folder / f"IM_{number:04d}"
        path.write_bytes(rng.randbytes(rng.randrange(1, _LARGEST_BYTES)))
        made.append(path)
    return made


class _Server:
    """gunicorn on a socket that outlives it, so that every start has the same address."""

    def __init__(self, environment: dict[str, str], log: Path) -> None:
        self._environment = {**os.environ, **environment}
        self._log = log.open("ab")
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(128)
        self.address = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> _Server:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._listener.close()
        self._log.close()

    def start(self) -> None:
        descriptor = self._listener.fileno()
        self._process = subprocess.Popen(
            [
                sys.executable, "-m", "scripts.tied", sys.executable, "-m", "gunicorn",
                "corecmr.wsgi", "--bind", f"fd://{descriptor}", "--workers", "2", "--threads", "4",
                "--worker-class", "gthread", "--no-control-socket",
            ],
            cwd=CHECKOUT, env=self._environment, pass_fds=[descriptor], start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=self._log, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def kill(self) -> None:
        """At once, with all its workers, whatever they are writing."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None


@contextmanager
def _client(endpoint: str, visitor: Visitor, files: list[Path]) -> Iterator[Iterator[dict]]:
    node = frontend.find_node()
    client = subprocess.Popen(
        [node.node, str(Path(__file__).with_name("tus_client.mjs"))],
        cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, env={**os.environ, **node.environment()},
    )  # fmt: skip
    alarm = threading.Timer(_PATIENCE_SECONDS, client.kill)
    alarm.start()
    try:
        request = {
            "endpoint": endpoint,
            "headers": visitor.credentials(),
            "files": [
                {
                    "path": str(path),
                    "name": path.name,
                    "fingerprint": hashlib.sha256(path.name.encode()).hexdigest(),
                }
                for path in files
            ],
            "parallel": 3,
            "chunkBytes": _CHUNK_BYTES,
        }
        assert client.stdin is not None  # noqa: S101
        assert client.stdout is not None  # noqa: S101
        assert client.stderr is not None  # noqa: S101
        with client.stdin as asked:
            asked.write(json.dumps(request))
        yield (json.loads(line) for line in client.stdout)
        complaint = client.stderr.read()
        if client.wait() != 0:
            raise RuntimeError(f"tus-js-client gave up: {complaint[-500:]}")
    finally:
        alarm.cancel()
        client.kill()
        client.wait()
        for pipe in (client.stdout, client.stderr):
            if pipe is not None:
                pipe.close()


def _kept(url: str, var: Path) -> list[tuple[str, int]]:
    """SHA-256 and size of each file as it lies in quarantine; the rows must say the same."""
    connection = psycopg2.connect(url)
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT sha256, size, key FROM studies_uploaditem")
            rows = cursor.fetchall()
    finally:
        connection.close()
    found = []
    for digest, size, key in rows:
        path = var / "quarantine" / key
        here = _sha256(path)
        agree = here == digest and size == path.stat().st_size
        found.append((here if agree else "", path.stat().st_size))
    return found


def _sha256(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()

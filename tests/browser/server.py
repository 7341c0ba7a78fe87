"""The real site for the browser: a database of its own, gunicorn and the worker, then all gone.

Nothing here is inside a transaction of a test: the browser, the web server and the worker are
programs beside the test and see only what is committed.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg2
from psycopg2 import sql

from scripts import postgres
from scripts.processes import Children
from scripts.steps import CHECKOUT, run
from tests.waiting import wait_for

START_SECONDS = 60
DRAIN_SECONDS = 15


@dataclass(frozen=True)
class Person:
    """One of the people that ``seed_demo`` makes."""

    email: str
    password: str
    trust: str


@dataclass(frozen=True)
class Site:
    """The running site, and the folder that its programs share."""

    address: str
    var: Path
    people: dict[str, Person]
    children: Children

    def mail_to(self, email: str, words: str) -> str:
        """A message with these words that the site wrote to this address, or ""."""
        texts = [path.read_text() for path in (self.var / "mail").glob("*.log")]
        return next((text for text in texts if f"To: {email}" in text and words in text), "")


@contextmanager
def running_site(var: Path) -> Iterator[Site]:
    """Start everything; whatever happens, end it and delete the database."""
    var.mkdir(exist_ok=True)
    children = Children(var / "logs")
    with empty_database() as url:
        environment = {
            "DJANGO_SETTINGS_MODULE": "corecmr.settings.test",
            "DATABASE_URL": url,
            "CORECMR_VAR_DIR": str(var),
            "CORECMR_SIGN_UP_PROOF": "yes",
        }
        manage = CHECKOUT / "manage.py"
        run(
            [sys.executable, manage, "migrate", "--no-input", "--verbosity", "0"],
            environment=environment,
        )
        run([sys.executable, manage, "seed_demo"], environment=environment)
        run([sys.executable, manage, "seed_cohort"], environment=environment)
        try:
            address = _serve(children, environment)
            children.start(
                "worker", [sys.executable, str(manage), "runworker"], environment=environment
            )
            yield Site(address, var, people_of(var), children)
        finally:
            children.stop(DRAIN_SECONDS)
            _end_cluster(var)


@contextmanager
def empty_database() -> Iterator[str]:
    """An empty database beside the one of the other tests, on the same server."""
    name = f"corecmr_browser_{os.getpid()}_{secrets.token_hex(3)}"
    server = postgres.database_url(test=True)
    drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
    _execute(server, drop)
    _execute(server, sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    try:
        yield urlunsplit(urlsplit(server)._replace(path=f"/{name}"))
    finally:
        _execute(server, drop)


def _execute(url: str, statement: sql.Composed) -> None:
    connection = psycopg2.connect(url)
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)
    finally:
        connection.close()


def _serve(children: Children, environment: dict[str, str]) -> str:
    """gunicorn as the demo runs it; gives the address once the site answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(128)
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        # The socket is handed over, so no other program can take the port in between.
        children.start(
            "web server",
            [
                sys.executable, "-m", "gunicorn", "corecmr.wsgi",
                "--bind", f"fd://{listener.fileno()}", "--workers", "2", "--threads", "4",
                "--worker-class", "gthread", "--no-control-socket", "--access-logfile", "-",
            ],
            environment=environment, descriptors=[listener.fileno()],
        )  # fmt: skip

    def answers() -> bool:
        children.check()
        return _answers(address)

    wait_for(answers, "the web server answers", START_SECONDS)
    return address


def _answers(address: str) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{address}/accounts/login/", timeout=5):
            return True
    except urllib.error.HTTPError as error:
        with error:
            raise AssertionError(f"The sign-in page answers with status {error.code}.") from None
    except OSError:
        return False


def people_of(var: Path) -> dict[str, Person]:
    people = json.loads((var / "demo.json").read_text())["people"]
    return {
        person["key"]: Person(person["email"], person["password"], person["trust"])
        for person in people
    }


def _end_cluster(var: Path) -> None:
    """The worker's own children, if it was killed before it could end them."""
    with suppress(OSError, ValueError):
        group = int((var / "worker.pgid").read_text())
        if b"qcluster" in Path(f"/proc/{group}/cmdline").read_bytes():
            os.killpg(group, signal.SIGKILL)

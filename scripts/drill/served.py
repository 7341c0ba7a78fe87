"""Web processes for a drill: gunicorn with the tests' settings on the drill's own database."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from scripts import postgres
from scripts.steps import CHECKOUT


@contextmanager
def served(database: str, *options: str, **environment: str) -> Iterator[tuple[int, list[int]]]:
    """The port on 127.0.0.1 and the processes; options are gunicorn's, environment the site's."""
    server = urlsplit(postgres.database_url(test=True))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(1024)
        web = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "corecmr.wsgi", "--bind",
             f"fd://{listener.fileno()}", "--no-control-socket", *options],
            cwd=CHECKOUT, pass_fds=[listener.fileno()],
            env={
                **os.environ, "DJANGO_SETTINGS_MODULE": "corecmr.settings.test",
                "DATABASE_URL": urlunsplit(server._replace(path=f"/{database}")), **environment,
            },
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            port = listener.getsockname()[1]
            urllib.request.urlopen(f"http://127.0.0.1:{port}/intended-use/", timeout=60).close()
            children = Path(f"/proc/{web.pid}/task/{web.pid}/children").read_text().split()
            yield port, [int(pid) for pid in children]
        finally:
            web.terminate()
            web.wait()

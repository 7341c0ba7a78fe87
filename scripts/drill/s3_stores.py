"""The whole way of a study with its files in an S3 bucket, and in a container of Azure's.

The judges are moto's S3 server and Azurite, Microsoft's own emulator, which npm fetches into a
folder that is gone afterwards.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from scripts import frontend
from scripts.bench.table import Figure
from scripts.steps import CHECKOUT

PACKAGE = "azurite@3.37.0"
_TESTS = 4
_PATIENCE_SECONDS = 60
_pause = threading.Event()


def measure(said: Callable[[str], None]) -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as name:
        said("fetching Azurite")
        with _azurite(Path(name)) as address:
            said("both stores")
            ended = subprocess.run(
                [sys.executable, "-m", "pytest", "-v", "tests/studies/test_s3.py"],
                cwd=CHECKOUT, capture_output=True, text=True, check=False,
                env={**os.environ, "CORECMR_TEST_AZURITE": address},
            )  # fmt: skip
    for store in ("s3", "azure"):
        passed = len(re.findall(rf"\[{store}\] PASSED", ended.stdout))
        yield Figure("tests of the whole way that pass", store, passed, _TESTS, _TESTS, True)


@contextmanager
def _azurite(folder: Path) -> Iterator[str]:
    node = frontend.find_node()
    environment = {**os.environ, **node.environment()}
    subprocess.run(
        [*node.npm, "install", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error",
         "--prefix", str(folder), PACKAGE],
        check=True, env=environment,
    )  # fmt: skip
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    server = subprocess.Popen(
        [folder / "node_modules" / ".bin" / "azurite-blob", "--silent", "--skipApiVersionCheck",
         "--blobHost", "127.0.0.1", "--blobPort", str(port), "--location", str(folder / "data"),
         "--disableTelemetry"],
        env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < deadline:
            with socket.socket() as asker:
                if asker.connect_ex(("127.0.0.1", port)) == 0:
                    break
            _pause.wait(0.2)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()

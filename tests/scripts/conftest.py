"""Folders for servers of the tests' own."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scripts import postgres


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every account can enter; pytest's own are closed to others."""
    folder = Path(tempfile.mkdtemp(prefix="corecmr-launcher-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def make_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., postgres.Server]]:
    """Names a server with its folder in the given one; what was made is deleted at the end."""
    monkeypatch.delenv("DATABASE_URL", raising=False)
    made = []

    def make(folder: Path, *, test: bool = True) -> postgres.Server:
        made.append(postgres.Server(folder / "postgres", test=test))
        return made[-1]

    yield make
    for server in made:
        postgres.reset(server)

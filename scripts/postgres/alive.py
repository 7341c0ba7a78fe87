"""Whether the server lives, and what a crashed one left behind."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

from scripts.postgres.place import LauncherError, Server

PATIENCE_SECONDS = 10


def postmaster(this: Server) -> int | None:
    """The pid of a live postmaster of this data; a zombie or a stranger's pid is none."""
    try:
        pid = int((this.data / "postmaster.pid").read_text().split("\n", 1)[0])
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        return pid if _runs(pid) and os.fsencode(this.data) in arguments else None
    except (OSError, ValueError):
        return None


def ready(this: Server) -> bool:
    """Whether the postmaster has told that it takes connections."""
    with suppress(OSError, IndexError):
        return (this.data / "postmaster.pid").read_text().splitlines()[7].strip() == "ready"
    return False


def clear_remains(this: Server) -> None:
    """After a crash: surviving backends first, their files after.

    A busy backend outlives its postmaster; a second server beside it would share the data.
    """
    left = _wait_for_backends(this, PATIENCE_SECONDS)
    for pid in left:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGQUIT)
    if left and (left := _wait_for_backends(this, 5)):
        raise LauncherError(
            f"Processes {left} of an earlier server still hold the data. End them and try again."
        )
    (this.data / "postmaster.pid").unlink(missing_ok=True)
    for name in (".s.PGSQL.5432", ".s.PGSQL.5432.lock"):
        (this.socket / name).unlink(missing_ok=True)


def _wait_for_backends(this: Server, seconds: float) -> list[int]:
    """Processes that still work in the data folder after ``seconds``."""
    deadline = time.monotonic() + seconds
    while (left := _backends(this)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left


def _backends(this: Server) -> list[int]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if os.readlink(folder / "cwd") == str(this.data) and _runs(int(folder.name)):
                found.append(int(folder.name))
    return found


def _runs(pid: int) -> bool:
    """Alive, and not a zombie that nobody has collected."""
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"

"""A PostgreSQL server of the checkout's own, without root and without a service of the host.

    python -m scripts.postgres start|stop|status|url|reset [--test]

``DATABASE_URL`` wins: then that server is used, and nothing is started or stopped here. Standard
library only, because set-up uses it before anything is installed. Linux only, because it reads
``/proc``; elsewhere set ``DATABASE_URL``.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from scripts.postgres import account, alive, binaries, cluster
from scripts.postgres.place import CHECKOUT, LauncherError, Server

__all__ = [
    "LauncherError", "Server", "database_url", "ensure_started", "reset", "running", "server",
    "start", "stop",
]  # fmt: skip

START_SECONDS = 60
STOP_SECONDS = 30


def server(*, test: bool = False) -> Server:
    """The server of this checkout (``CORECMR_VAR_DIR`` moves its folder)."""
    var = Path(os.environ.get("CORECMR_VAR_DIR") or CHECKOUT / "var").resolve()
    return Server(var / ("postgres-test" if test else "postgres"), test)


def database_url(*, test: bool = False) -> str:
    """The address to connect to, or "" where no server was ever started here. Starts nothing."""
    if os.environ.get("DATABASE_URL"):
        return os.environ["DATABASE_URL"]
    this = server(test=test)
    try:
        password = this.password_file.read_text().strip()
    except OSError:
        return ""
    host = quote(str(this.socket), safe="")
    return f"postgresql://postgres:{quote(password)}@/{cluster.DATABASE}?host={host}"


def ensure_started(*, test: bool = False) -> bool:
    """Start the server if it is not running; True if this call started it."""
    if os.environ.get("DATABASE_URL"):
        return False
    return start(server(test=test))


def running(this: Server) -> bool:
    """Whether the server answers."""
    return alive.postmaster(this) is not None and alive.ready(this)


def start(this: Server) -> bool:
    """Start the server, making its data where there is none; True if it was not running before."""
    if not Path("/proc/self/stat").exists():
        raise LauncherError("The embedded server needs Linux. Set DATABASE_URL to a server.")
    with _lock(this):
        if running(this):
            return False
        programs = binaries.find(this)
        cluster.prepare(this, programs)
        if alive.postmaster(this) is not None:
            _await_ready(this, None)  # another launcher's, which is starting
            return True
        alive.clear_remains(this)
        account.own_folder(this, this.socket)
        this.socket.chmod(0o755)  # the password guards it, not the path
        _start(this, programs)
    return True


def stop(this: Server) -> bool:
    """Stop the server quickly and cleanly; True if it was running."""
    if not this.home.exists():
        return False
    with _lock(this):
        return _stop(this)


def reset(this: Server) -> None:
    """Stop the server and delete its data."""
    if not this.home.exists():
        return
    with _lock(this):
        _stop(this)
        for folder in (this.data, this.private, this.socket):
            if folder.exists():
                shutil.rmtree(folder)
        for path in this.home.iterdir():
            # Not the lock: another process may be waiting for this very file.
            if path == this.lock_file:
                continue
            shutil.rmtree(path) if path.is_dir() else path.unlink()


@contextmanager
def _lock(this: Server) -> Iterator[None]:
    """One launcher at a time; others wait and find the server running."""
    this.home.mkdir(parents=True, exist_ok=True)
    owner = this.home.stat().st_uid
    if owner != os.getuid():
        raise LauncherError(
            f"The database in {this.home} was made by the account {account.name_of(owner)}. "
            f"Run this as that account, or let it delete the folder."
        )
    with this.lock_file.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _start(this: Server, programs: Path) -> None:
    process = None
    try:
        process = _spawn(this, programs)
        _await_ready(this, process)
    except BaseException:
        # Broken off: who called does not learn that there is a server to stop.
        if process is None:
            _stop(this)  # the program may have started although its start was broken off
        elif process.poll() is None:
            process.send_signal(signal.SIGQUIT)
            process.wait()
        raise
    process.returncode = 0  # it outlives us on purpose: nothing to collect or warn of


def _spawn(this: Server, programs: Path) -> subprocess.Popen[bytes]:
    # -k again although the configuration says so: a checkout that was moved has a new place.
    with this.log.open("ab") as log:
        return account.command(
            this, str(programs / "postgres"), "-D", str(this.data), "-k", str(this.socket),
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip


def _await_ready(this: Server, process: subprocess.Popen[bytes] | None) -> None:
    deadline = time.monotonic() + START_SECONDS
    # Without a process of ours, another launcher's server is starting: watch its pid instead.
    while time.monotonic() < deadline:
        if running(this):
            return
        ended = process.poll() is not None if process else alive.postmaster(this) is None
        if ended:
            break
        time.sleep(0.02)
    tail = this.log.read_text(errors="replace")[-800:] if this.log.exists() else ""
    raise LauncherError(f"PostgreSQL did not become ready. Its log ends:\n{tail}")


def _stop(this: Server) -> bool:
    pid = alive.postmaster(this)
    if pid is None:
        return False
    os.kill(pid, signal.SIGINT)
    deadline = time.monotonic() + STOP_SECONDS
    while alive.postmaster(this) is not None:
        if time.monotonic() > deadline:
            raise LauncherError(f"PostgreSQL (process {pid}) did not stop in {STOP_SECONDS} s.")
        time.sleep(0.02)
    return True

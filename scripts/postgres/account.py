"""Who runs the server: the caller, or an unprivileged account where the caller is root."""

from __future__ import annotations

import os
import pwd
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

from scripts.postgres.place import LauncherError, Server


def find(this: Server) -> pwd.struct_passwd:
    """The account of the server. initdb needs one that /etc/passwd knows."""
    if os.getuid() != 0:
        try:
            return pwd.getpwuid(os.getuid())
        except KeyError:
            raise LauncherError(
                f"PostgreSQL needs an account with a name, and user {os.getuid()} has none in "
                "/etc/passwd. Add one, or set DATABASE_URL."
            ) from None
    with suppress(OSError, KeyError):
        # Data stay with the account that has them, even if a better one was added since.
        if (owner := this.data.stat().st_uid) != 0:
            return pwd.getpwuid(owner)
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            return pwd.getpwnam(name)
    raise LauncherError(
        "PostgreSQL does not run as root, and there is no account 'nobody' to run it. "
        "Run this as an ordinary user, or set DATABASE_URL."
    )


def name_of(user: int) -> str:
    """The account's name, or its number where it has none."""
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return str(user)


def command(this: Server, *arguments: str, **options: Any) -> subprocess.Popen[bytes]:
    """Start a program as the server's account."""
    if os.getuid() == 0:
        account = find(this)
        options |= {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    environment = {name: os.environ[name] for name in ("PATH", "TMPDIR") if name in os.environ}
    return subprocess.Popen(arguments, cwd="/", env={**environment, "LC_ALL": "C"}, **options)


def reaches(this: Server, path: Path) -> bool:
    """Whether the server's account can enter, or run, ``path``."""
    return command(this, "/usr/bin/test", "-x", str(path)).wait() == 0


def give(this: Server, folder: Path) -> None:
    """Make the server's account the owner of ``folder`` and what lies in it."""
    if os.getuid() != 0:
        return
    account = find(this)
    for path in [folder, *folder.rglob("*")]:
        os.chown(path, account.pw_uid, account.pw_gid, follow_symlinks=False)


def own_folder(this: Server, folder: Path) -> Path:
    """A folder of the server's account alone; one that another account made is refused."""
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
        give(this, folder)
    status = folder.lstat()
    if folder.is_symlink() or not folder.is_dir() or status.st_uid != find(this).pw_uid:
        raise LauncherError(
            f"{folder} belongs to the account {name_of(status.st_uid)} or is no folder. "
            "Remove it, or set TMPDIR to another folder."
        )
    return folder

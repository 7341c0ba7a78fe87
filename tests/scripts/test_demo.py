"""The demo's own pieces: its secrets, its one place, its port, and what a reset deletes."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from scripts import demo, demo_study, postgres
from scripts.steps import CHECKOUT, StepError
from tests.waiting import wait_for


@pytest.fixture
def var(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(demo, "VAR", tmp_path)
    return tmp_path


def test_secrets_are_made_once_and_are_nobody_elses(var):
    demo.make_secrets()
    paths = [var / "secret-key", var / "deidentification-key", var / "mfa-key"]
    first = [path.read_text() for path in paths]
    assert len(set(first)) == 3
    assert all(len(text) >= 50 for text in first)
    assert {stat.S_IMODE(path.stat().st_mode) for path in paths} == {0o600}
    demo.make_secrets()
    assert [path.read_text() for path in paths] == first


def test_a_second_demo_says_where_the_first_is(var):
    with demo.only_one():
        with pytest.raises(StepError, match="starting or stopping"), demo.only_one():
            pytest.fail("two demos at once")
        (var / "demo-address").write_text("http://127.0.0.1:8000")
        with pytest.raises(StepError, match=r"runs already: http://127\.0\.0\.1:8000"), \
                demo.only_one():  # fmt: skip
            pytest.fail("two demos at once")
    with demo.only_one():
        assert (var / "demo.lock").exists()


def test_a_port_that_is_taken_is_passed_over_or_told(monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setenv("PORT", str(port))
        with pytest.raises(StepError, match=f"No free port among {port}"):
            demo._free_port()
    with demo._free_port() as listener:
        assert listener.getsockname() == ("127.0.0.1", port)
    monkeypatch.delenv("PORT")
    with demo._free_port() as first, demo._free_port() as second:
        ports = [one.getsockname()[1] for one in (first, second)]
        assert ports == sorted(set(ports))


def test_the_cluster_of_a_killed_worker_is_ended_and_nobody_else(var):
    """The number in the file may belong to another program by now."""
    (var / "worker.pgid").write_text(str(os.getpid()))
    demo._kill_cluster()
    assert not (var / "worker.pgid").exists()

    ready = "import signal; print(flush=True); signal.pause()"
    cluster = subprocess.Popen(
        [sys.executable, "-c", ready, "qcluster"], start_new_session=True, stdout=subprocess.PIPE
    )
    cluster.stdout.readline()
    (var / "worker.pgid").write_text(str(cluster.pid))
    demo._kill_cluster()
    assert cluster.wait(20) == -signal.SIGKILL
    cluster.stdout.close()
    demo._kill_cluster()


def test_a_reset_deletes_what_the_demo_made_and_nothing_else(var, monkeypatch, capsys):
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.setenv("CORECMR_VAR_DIR", str(var))
    for name in demo.MADE:
        path = var / name
        path.mkdir() if "." not in name and "-" not in name else path.touch()
    kept = var / "setup.lock"
    kept.touch()
    server = postgres.server()
    server.home.mkdir()
    demo._reset()
    left = {path.name for path in var.iterdir()}
    assert left <= {"setup.lock", "demo.lock", "postgres"}
    assert kept.exists()
    assert "are deleted" in capsys.readouterr().out


def test_a_database_of_ones_own_is_left_alone(var, monkeypatch, capsys):
    monkeypatch.setenv("DATABASE_URL", "postgresql://somebody@elsewhere/site")
    (var / "demo.json").touch()
    demo._reset()
    assert "its tables are left as they are" in capsys.readouterr().out
    assert not (var / "demo.json").exists()


def test_what_fails_is_a_sentence_and_a_status(tmp_path):
    """With a database that nobody answers for, the demo ends at its first step, and cleanly."""
    ended = subprocess.run(
        [sys.executable, "-m", "scripts.demo", "--once"], cwd=CHECKOUT, capture_output=True,
        text=True, check=False,
        env={**os.environ, "CORECMR_VAR_DIR": str(tmp_path),
             "DATABASE_URL": f"postgresql://nobody@/nothing?host={tmp_path}"},
    )  # fmt: skip
    assert ended.returncode == 1
    assert "[1/5] Database: failed" in ended.stdout
    assert "Stopped." in ended.stdout
    assert "ended with status" in ended.stderr
    assert "scripts/demo.py" not in ended.stderr


def test_it_knows_what_an_earlier_demo_came_to(tmp_path):
    known = demo_study._Known(tmp_path / "demo-study.json")
    assert known.get("study") == ""
    known.set("upload", "/uploads/x/")
    assert (known.get("upload"), known.get("study")) == ("/uploads/x/", "")
    known.set("study", "/studies/x/")
    assert (known.get("upload"), known.get("study")) == ("", "/studies/x/")
    (tmp_path / "demo-study.json").write_text("{half a fi")
    assert known.get("study") == ""


def test_people_that_are_gone_are_told(tmp_path):
    with pytest.raises(StepError, match="make demo-reset"):
        demo_study._consultant(tmp_path)
    people = [{"key": "consultant", "email": "a@b.example", "password": "secret"}]
    (tmp_path / "demo.json").write_text(json.dumps({"people": people}))
    assert demo_study._consultant(tmp_path) == ("a@b.example", "secret")


@pytest.mark.parametrize("moment", ["password", "data/postmaster.pid"])
def test_ctrl_c_while_the_database_is_made_or_started_leaves_nothing(tmp_path, moment):
    """initdb and the server are in no group of ours: Ctrl-C does not reach them by itself."""
    started = subprocess.Popen(
        [sys.executable, "-m", "scripts.demo"], cwd=CHECKOUT, stdout=subprocess.PIPE, text=True,
        env={**{k: v for k, v in os.environ.items() if k != "DATABASE_URL"},
             "CORECMR_VAR_DIR": str(tmp_path)},
    )  # fmt: skip
    server = postgres.Server(tmp_path / "postgres")
    try:
        path = Path(moment)
        wait_for(lambda: (server.data.parent / path).exists() or (server.home / path).exists(),
                 "that moment")  # fmt: skip
        started.send_signal(signal.SIGINT)
        said, _ = started.communicate(timeout=60)
        assert started.returncode == 0
        assert said.rstrip().endswith("Stopped.")
        assert programs_of(server) == []
    finally:
        started.kill()
        postgres.reset(server)


def programs_of(server: postgres.Server) -> list[bytes]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            command = path.read_bytes()
            if any(str(place).encode() in command for place in (server.home, server.private)):
                found.append(command)
    return found

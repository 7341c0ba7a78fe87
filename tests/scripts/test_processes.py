"""The demo's children: started together, watched, and gone with all that they started."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from scripts import steps
from scripts.processes import Children
from tests.waiting import wait_for

#: Says where its own child is, and that it was asked to end before it does.
PARENT = """
import signal, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
signal.signal(signal.SIGTERM, lambda *_: (print("asked to end", flush=True), sys.exit(0)))
print(child.pid, flush=True)
signal.pause()
"""
STUBBORN = """
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
while True:
    signal.pause()
"""


@pytest.fixture
def children(tmp_path):
    children = Children(tmp_path / "logs")
    yield children
    children.kill()


def log(tmp_path: Path, name: str) -> str:
    return (tmp_path / "logs" / f"{name}.log").read_text()


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


def started(children: Children, tmp_path: Path, code: str, name: str = "server") -> tuple[int, str]:
    child = children.start(name, [sys.executable, "-c", code])
    said = wait_for(lambda: log(tmp_path, name), "a first word of the child")
    return child.process.pid, said


def test_all_are_asked_to_end_and_nothing_of_theirs_stays(children, tmp_path):
    pid, said = started(children, tmp_path, PARENT)
    children.check()
    children.stop(patience=20)
    assert log(tmp_path, "server").endswith("asked to end\n")
    assert is_gone(pid)
    wait_for(lambda: is_gone(int(said)), "the end of the child's child")
    children.stop(patience=0)


def test_who_does_not_end_in_time_is_ended(children, tmp_path):
    pid, _ = started(children, tmp_path, STUBBORN)
    children.stop(patience=0.2)
    assert is_gone(pid)


def test_one_is_ended_and_the_others_go_on(children, tmp_path):
    web = children.start("web", [sys.executable, "-c", PARENT])
    worker = children.start("worker", [sys.executable, "-c", PARENT])
    wait_for(lambda: log(tmp_path, "worker") and log(tmp_path, "web"), "both are there")
    children.end(worker, patience=20)
    assert is_gone(worker.process.pid)
    assert web.process.poll() is None
    children.check()


def test_one_that_ended_by_itself_is_told_with_its_last_words(children, tmp_path):
    code = "import sys; print('no port is free'); sys.exit(3)"
    child = children.start("web server", [sys.executable, "-c", code])
    child.process.wait()
    with pytest.raises(steps.StepError) as failure:
        children.check()
    assert str(failure.value) == "no port is free\nThe web server ended by itself (status 3)."


def test_a_child_is_told_to_end_when_its_starter_is_killed(tmp_path):
    """Whoever kills the demo with -9 must not leave a server behind."""
    starter = subprocess.Popen(
        [
            sys.executable, "-c",
            "import sys, signal; from pathlib import Path; from scripts.processes import Children; "
            "Children(Path(sys.argv[1])).start('server', [sys.executable, '-c', sys.argv[2]]); "
            "signal.pause()",
            str(tmp_path / "logs"), PARENT,
        ],
        env={**os.environ, "PYTHONPATH": str(steps.CHECKOUT)},
    )  # fmt: skip
    path = tmp_path / "logs" / "server.log"
    said = wait_for(lambda: path.exists() and path.read_text(), "the server")
    starter.kill()
    starter.wait()
    wait_for(lambda: "asked to end" in path.read_text(), "the server is told")
    os.kill(int(said), signal.SIGKILL)  # the server left its own child; the demo ends groups


def test_what_is_told_to_stop_stops_like_ctrl_c():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), steps.told_to_stop():
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_command_that_is_broken_off_does_not_run_on(tmp_path):
    noted = tmp_path / "pid"
    code = f"import os, signal, pathlib; pathlib.Path({str(noted)!r}).write_text(str(os.getpid()))"
    program = (
        "from scripts import steps\nimport sys\n"
        "with steps.told_to_stop():\n    steps.run([sys.executable, '-c', sys.argv[1]])\n"
    )
    outer = subprocess.Popen(
        [sys.executable, "-c", program, f"{code}; signal.pause()"],
        env={**os.environ, "PYTHONPATH": str(steps.CHECKOUT)}, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    pid = int(wait_for(lambda: noted.exists() and noted.read_text(), "the command"))
    outer.terminate()
    _, said = outer.communicate(timeout=20)
    assert "KeyboardInterrupt" in said
    assert is_gone(pid)


def test_steps_without_a_terminal_are_lines(capsys):
    counted = steps.Steps(2)
    with counted.step("First") as step:
        step.note("half way")
        step.note("half way")
        step.note("1 of 9", passing=True)
    with pytest.raises(steps.StepError), counted.step("Second"):
        raise steps.StepError("It failed.")
    assert capsys.readouterr().out.splitlines() == [
        "[1/2] First … ", "    half way", "[1/2] First: ready", "[2/2] Second … failed",
    ]  # fmt: skip

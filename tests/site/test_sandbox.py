"""Children with limits: what goes wrong in one stays in it."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

from corecmr import sandbox

LIMITS = sandbox.Limits(memory_bytes=512 * 1024**2, wall_seconds=20, cpu_seconds=20)


def run(code: str, tmp_path: Path, limits: sandbox.Limits = LIMITS, **options: object):
    """Run ``code`` in a child with limits."""
    script = tmp_path / "child.py"
    script.write_text(textwrap.dedent(code))
    return sandbox.run("tests.site.run_script", [str(script)], limits, **options)


def test_lines_and_input_pass_and_nothing_secret_is_inherited(tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET_KEY", "not for children")
    lines: list[str] = []
    outcome = run(
        """
        import json, os, sys
        print(json.dumps({"read": sys.stdin.read(), "secret": os.environ.get("SECRET_KEY")}))
        """,
        tmp_path, stdin="hello", on_line=lines.append,
    )  # fmt: skip
    assert outcome.returncode == 0
    assert sandbox.parse_json_line(lines[0]) == {"read": "hello", "secret": None}


def test_a_child_computes_in_what_pages_leave(tmp_path):
    lines: list[str] = []
    run(
        """
        import os, pathlib
        group = pathlib.Path("/proc/self/autogroup")
        print(os.nice(0), group.read_text().split()[-1] if group.exists() else "10")
        """,
        tmp_path, on_line=lines.append,
    )  # fmt: skip
    assert lines == ["10 10"]


def test_a_glutton_is_refused_memory(tmp_path):
    outcome = run("x = bytearray(2 * 1024**3)", tmp_path)
    assert outcome.returncode == 1
    assert "MemoryError" in outcome.stderr


def test_a_hang_ends_at_the_wall_with_its_own_children(tmp_path):
    limits = sandbox.Limits(memory_bytes=2**30, wall_seconds=1.5, cpu_seconds=20)
    lines: list[str] = []
    outcome = run(
        """
        import signal, subprocess, sys
        child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
        print(child.pid, flush=True)
        signal.pause()
        """,
        tmp_path, limits, on_line=lines.append, beat_seconds=0.1,
    )  # fmt: skip
    assert outcome.ended_by == "wall"
    status = Path(f"/proc/{int(lines[0])}/stat")
    assert not status.exists() or status.read_text().rsplit(")", 1)[1].split()[0] == "Z"


def test_a_process_that_left_the_group_does_not_hold_the_caller_up(tmp_path):
    lines: list[str] = []
    begun = time.monotonic()
    outcome = run(
        """
        import subprocess, sys
        sleeper = [sys.executable, "-c", "import signal; signal.pause()"]
        print(subprocess.Popen(sleeper, start_new_session=True).pid, flush=True)
        """,
        tmp_path, on_line=lines.append,
    )  # fmt: skip
    os.kill(int(lines[0]), signal.SIGKILL)
    assert (outcome.returncode, outcome.ended_by) == (0, "itself")
    assert time.monotonic() - begun < LIMITS.wall_seconds


def test_the_caller_can_stop_a_child(tmp_path):
    beats = iter([True, True, False])
    outcome = run(
        "import signal; signal.pause()", tmp_path,
        keep_going=lambda: next(beats), beat_seconds=0.05,
    )  # fmt: skip
    assert outcome.ended_by == "caller"
    assert outcome.returncode == -signal.SIGKILL


def test_a_child_dies_with_its_parent(tmp_path):
    script = tmp_path / "child.py"
    script.write_text("import os, signal\nprint(os.getpid(), flush=True)\nsignal.pause()\n")
    parent = subprocess.Popen(
        [
            sys.executable, "-c",
            "import sys; from corecmr import sandbox; "
            "sandbox.run('tests.site.run_script', [sys.argv[1]], "
            "sandbox.Limits(2**30, 60, 60), on_line=lambda line: print(line, flush=True))",
            str(script),
        ],
        stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": os.getcwd()},
    )  # fmt: skip
    child = int(parent.stdout.readline())
    descriptor = os.pidfd_open(child)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    ended, _, _ = select.select([descriptor], [], [], 10)
    os.close(descriptor)
    assert ended, "the child outlived its parent by ten seconds"

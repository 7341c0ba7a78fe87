"""Children with limits: memory, processor time, file size; they die with their parent.

``run`` starts ``python -m corecmr.sandbox LIMITS -- python -m MODULE``: the limits are set by a
fresh interpreter that then becomes the child, because code between fork and exec is unsafe in
a process that has threads.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

_PR_SET_PDEATHSIG = 1
#: People who wait for a page come before what is computed.
_NICE = 10
#: What an ended child said may still be on its way for so long.
_LAST_WORDS_SECONDS = 2.0


@dataclass(frozen=True)
class Limits:
    """What a child may use."""

    memory_bytes: int
    wall_seconds: float
    cpu_seconds: int
    file_bytes: int = 4 * 1024**3
    threads: int = 1  # many small systems: threads would wait for each other


@dataclass(frozen=True)
class Outcome:
    """How a child ended. ``ended_by``: "itself", "wall" (time limit) or "caller" (told to stop)."""

    returncode: int
    stderr: str
    ended_by: str


def run(
    module: str,
    arguments: Sequence[str],
    limits: Limits,
    *,
    stdin: str = "",
    on_line: Callable[[str], None] | None = None,
    keep_going: Callable[[], bool] | None = None,
    beat_seconds: float = 1.0,
) -> Outcome:
    """Run ``python -m module`` in its own process group and wait for it.

    Each line the child prints goes to ``on_line``; ``keep_going`` is asked every
    ``beat_seconds`` and ends the child by answering False.
    """
    command = [
        sys.executable, "-m", "corecmr.sandbox",
        str(limits.memory_bytes), str(limits.cpu_seconds), str(limits.file_bytes), str(os.getpid()),
        "--", sys.executable, "-m", module, *arguments,
    ]  # fmt: skip
    environment = {
        name: value
        for name, value in os.environ.items()
        if name in {"PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH", "VIRTUAL_ENV"}
        or name.startswith("OPENBLAS")
    }
    threads = str(limits.threads)
    environment |= {
        "OMP_NUM_THREADS": threads,
        "OPENBLAS_NUM_THREADS": threads,
        "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": threads,
        "PYTHONPATH": str(Path(__file__).resolve().parents[1]),
        "PYTHONUNBUFFERED": "1",
    }
    child = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        text=True,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
    )
    tail: list[str] = []
    readers = [
        threading.Thread(target=_read_lines, args=(child.stdout, on_line), daemon=True),
        threading.Thread(target=_read_tail, args=(child.stderr, tail), daemon=True),
    ]
    for reader in readers:
        reader.start()
    ended_by = "itself"
    try:
        try:
            assert child.stdin is not None  # noqa: S101
            child.stdin.write(stdin)
            child.stdin.close()
        except BrokenPipeError:
            pass  # the child ended before it read; its exit status says why
        deadline = time.monotonic() + limits.wall_seconds
        while True:
            try:
                child.wait(timeout=beat_seconds)
                break
            except subprocess.TimeoutExpired:
                if keep_going is not None and not keep_going():
                    ended_by = "caller"
                elif time.monotonic() > deadline:
                    ended_by = "wall"
                else:
                    continue
                break
    finally:
        _kill_group(child)
    for reader in readers:
        # A process that left the group may hold the other end: nobody waits for that one.
        reader.join(timeout=_LAST_WORDS_SECONDS)
    return Outcome(child.returncode, "".join(tail), ended_by)


def _kill_group(child: subprocess.Popen[str]) -> None:
    """End the whole group: a child's own children must not outlive it."""
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def _read_lines(stream: IO[str], on_line: Callable[[str], None] | None) -> None:
    with stream:
        for line in stream:
            if on_line is not None:
                on_line(line.rstrip("\n"))


def _read_tail(stream: IO[str], tail: list[str], most: int = 200) -> None:
    with stream:
        for line in stream:
            tail.append(line)
            del tail[:-most]


def _become(memory: int, cpu: int, file_bytes: int, parent: int, command: list[str]) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(1)  # the parent ended before we asked to die with it
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu + 5))
    resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(OSError):
        # If the machine runs out of memory, the child goes first, not the database.
        Path("/proc/self/oom_score_adj").write_text("800")
    os.nice(_NICE)
    with suppress(OSError):
        # Where the kernel shares the processor between sessions first, within them by niceness.
        Path("/proc/self/autogroup").write_text(str(_NICE))
    os.execv(command[0], command)  # noqa: S606


def parse_json_line(line: str) -> dict[str, object]:
    """A child's progress line; anything else it prints is no progress."""
    try:
        value = json.loads(line)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


if __name__ == "__main__":
    _memory, _cpu, _file_bytes, _parent = map(int, sys.argv[1:5])
    _become(_memory, _cpu, _file_bytes, _parent, sys.argv[6:])

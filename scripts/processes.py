"""Long-running children of one command: started together, watched, stopped together."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from scripts.steps import CHECKOUT, StepError


@dataclass(frozen=True)
class Child:
    """One of the processes; what it says goes to its log."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path | None


class Children:
    """Processes in sessions of their own, so that Ctrl-C reaches them only through us, in order."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._all: list[Child] = []

    def start(
        self,
        name: str,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        descriptors: Sequence[int] = (),
        shown: bool = False,
    ) -> Child:
        """Start a process; it is ``shown`` on the terminal, or writes its log."""
        log = None if shown else self._logs / f"{name}.log"
        self._logs.mkdir(parents=True, exist_ok=True)
        with open(os.devnull if log is None else log, "wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "scripts.tied", *command],
                cwd=CHECKOUT, stdin=subprocess.DEVNULL,
                stdout=None if shown else output, stderr=None if shown else subprocess.STDOUT,
                env={**os.environ, **(environment or {})}, pass_fds=descriptors,
                start_new_session=True,
            )  # fmt: skip
        child = Child(name, process, log)
        self._all.append(child)
        return child

    def check(self) -> None:
        """Complain of a process that ended by itself."""
        for child in self._all:
            status = child.process.poll()
            if status is not None:
                tail = _tail(child.log)
                raise StepError(f"{tail}\nThe {child.name} ended by itself (status {status}).")

    def end(self, child: Child, patience: float) -> None:
        """Ask one process to end, and its whole group to die after that."""
        self._all.remove(child)
        child.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            child.process.wait(patience)
        _kill_group(child)

    def stop(self, patience: float) -> None:
        """Ask all to end, wait ``patience`` seconds at most, and kill what is left."""
        for child in self._all:
            child.process.terminate()
        deadline = time.monotonic() + patience
        for child in self._all:
            with suppress(subprocess.TimeoutExpired):
                child.process.wait(max(0.0, deadline - time.monotonic()))
        self.kill()

    def signal(self, number: int) -> None:
        """Send a signal to all and their groups, without waiting: fit for a signal handler."""
        for child in self._all:
            _signal_group(child, number)

    def kill(self) -> None:
        """End all at once."""
        while self._all:
            _kill_group(self._all.pop())


def _signal_group(child: Child, number: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(child.process.pid, number)


def _kill_group(child: Child) -> None:
    _signal_group(child, signal.SIGKILL)
    child.process.wait()


def _tail(log: Path | None) -> str:
    if log is None or not log.exists():
        return ""
    return "\n".join(log.read_text(errors="replace").splitlines()[-25:])

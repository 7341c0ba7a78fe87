"""Progress on the terminal: numbered steps with their seconds, and errors in full."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
QUICK_SECONDS = 0.5


class StepError(Exception):
    """Why a step failed and what to do, for the person at the terminal."""


class Step:
    """One running step: its line shows the seconds and the latest note."""

    def __init__(self, title: str, prefix: str) -> None:
        self.live = sys.stdout.isatty()
        self._line = f"{prefix} {title}"
        self._note = ""
        self._open_line = not self.live
        self._begun = time.monotonic()
        self._over = threading.Event()
        self._ticker = threading.Thread(target=self._tick, daemon=True)

    def __enter__(self) -> Step:
        if self.live:
            self._ticker.start()
        else:
            print(f"{self._line} … ", end="", flush=True)
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        seconds = time.monotonic() - self._begun
        self._over.set()
        if self.live:
            self._ticker.join()
            sys.stdout.write("\r\033[K")
        took = "ready" if seconds < QUICK_SECONDS else f"{seconds:.0f} s"
        outcome = "stopped" if kind is KeyboardInterrupt else "failed" if kind else took
        note = f" ({self._note})" if self._note and self.live and not kind else ""
        start = "" if self._open_line else f"{self._line}: "
        print(f"{start}{outcome}{note}", flush=True)

    def note(self, text: str, *, passing: bool = False) -> None:
        """Say what is going on; a ``passing`` note changes too often for a log file."""
        if text == self._note:
            return
        self._note = text
        if text and not self.live and not passing:
            print(f"{chr(10) if self._open_line else ''}    {text}", flush=True)
            self._open_line = False

    def _tick(self) -> None:
        while True:
            seconds = time.monotonic() - self._begun
            text = f"{self._line} … {seconds:.0f} s  {self._note}"
            width = shutil.get_terminal_size().columns
            sys.stdout.write("\r\033[K" + text[: width - 1])
            sys.stdout.flush()
            if self._over.wait(0.5):
                return


class Steps:
    """Counts the steps of one command."""

    def __init__(self, total: int, done: int = 0) -> None:
        self.total = total
        self.done = done

    def step(self, title: str) -> Step:
        self.done += 1
        return Step(title, f"[{self.done}/{self.total}]")


def run(
    command: Sequence[str | Path],
    *,
    environment: Mapping[str, str] | None = None,
    advice: str = "",
) -> str:
    """Run a command in silence and return what it said; if it fails, that is in the error."""
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            [str(part) for part in command], cwd=CHECKOUT, stdin=subprocess.DEVNULL, stdout=said,
            stderr=subprocess.STDOUT, start_new_session=True,
            env={**os.environ, **(environment or {})},
        )  # fmt: skip
        try:
            status = process.wait()
        except BaseException:
            # Ctrl-C reaches only this process: the command is in a session of its own.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
        said.seek(0)
        text = said.read().decode(errors="replace").strip()
    if status != 0:
        shown = " ".join(str(part) for part in command)
        raise StepError(
            f"{text}\n\nThis command ended with status {status}:\n    {shown}\n{advice}".rstrip()
        )
    return text


@contextmanager
def told_to_stop() -> Iterator[None]:
    """Let the usual ways of ending a program all arrive as KeyboardInterrupt."""

    def stop(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, stop) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)

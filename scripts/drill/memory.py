"""How much memory processes have, watched while something is done."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def growth(pids: Iterable[int]) -> Iterator[dict[int, int]]:
    """By process, by how many bytes its resident memory has grown at most since the beginning."""
    before = {pid: resident(pid) for pid in pids}
    grown = dict.fromkeys(before, 0)
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(0.01):
            for pid, first in before.items():
                grown[pid] = max(grown[pid], resident(pid) - first)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield grown
    finally:
        stop.set()
        watcher.join()


def resident(pid: int) -> int:
    """Bytes in memory."""
    told = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(told[1]) * 1024 if told else 0

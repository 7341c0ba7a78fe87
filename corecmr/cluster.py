"""django-q2's queues with locks that a killed process cannot keep.

An idle worker waits for work with the queue's lock in its hand. The lock is a semaphore, which
nobody gives back for a worker that is killed: all others wait for ever, and the cluster is frozen.
A file's lock the kernel takes back from a process that ends, however it ends.
"""

from __future__ import annotations

import fcntl
import os
from types import TracebackType
from typing import Any

from django_q.queues import Queue


class ProcessLock:
    """Excludes processes, not threads; made before they part, and free once its holder is dead.

    Record locks belong to a process (POSIX fcntl): the file, opened once and inherited, is enough.
    """

    def __init__(self) -> None:
        self._file = os.memfd_create("corecmr-queue")  # open for as long as the process lives

    def acquire(self, block: bool = True, timeout: float | None = None) -> bool:
        if timeout is not None:
            raise NotImplementedError("a file's lock cannot be waited for with a limit")
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | (0 if block else fcntl.LOCK_NB))
        except BlockingIOError:
            return False
        return True

    def release(self) -> None:
        fcntl.lockf(self._file, fcntl.LOCK_UN)

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()


class SurvivingQueue(Queue):
    """A queue between processes that goes on whoever of them is killed while waiting."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._rlock, self._wlock = ProcessLock(), ProcessLock()

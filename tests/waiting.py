"""Wait for a condition, never for a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

#: For a study; a machine with much else to do takes that long.
ANALYSIS_SECONDS = 180
_BETWEEN_SECONDS = 0.05

Found = TypeVar("Found")


def wait_for(look: Callable[[], Found], what: str, seconds: float = 30.0) -> Found:
    """Look again and again until there is something; gives what was found."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while not (found := look()):
        assert time.monotonic() < deadline, f"Waited {seconds:.0f} s in vain: {what}."
        pause.wait(_BETWEEN_SECONDS)
    return found

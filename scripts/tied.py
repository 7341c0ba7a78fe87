"""Become another program, which the kernel ends with SIGTERM when our parent is killed.

    python -m scripts.tied PROGRAM ARGUMENT…

Set here, in a fresh interpreter, because code between fork and exec is unsafe beside threads.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1

if __name__ == "__main__":
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606  (no shell is meant)

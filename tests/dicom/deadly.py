"""The intake's child with a decoder that some files bring down, as a flaw in a library would.

``python -m tests.dicom.deadly``: everything is the real child's but the reading of files that say
so in their first bytes.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

from pydicom.dataset import FileDataset

from studies.dicom import intake
from studies.dicom.read import read_file

CRASH, SPIN, HOG = b"crash the decoder", b"keep it busy", b"take all memory"


def deadly(path: Path, classes: frozenset[str]) -> FileDataset:
    start = path.read_bytes()[:64]
    if start.startswith(CRASH):
        os.kill(os.getpid(), signal.SIGSEGV)
    while start.startswith(SPIN):
        pass
    if start.startswith(HOG):
        os.kill(os.getpid(), signal.SIGKILL)  # as the kernel does
    return read_file(path, classes)


if __name__ == "__main__":
    intake.read_file = deadly
    intake.main()

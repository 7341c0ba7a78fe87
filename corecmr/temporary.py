"""Folders for work that are gone afterwards; files of a plain form, on disk at once.

A full disk ends the form with an answer, not a fault.
"""

from __future__ import annotations

import errno
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings
from django.core.files.uploadhandler import StopUpload, TemporaryFileUploadHandler

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


@contextmanager
def scratch(prefix: str) -> Iterator[Path]:
    """A folder for one attempt at some work of a worker's, gone afterwards."""
    settings.SCRATCH_DIR.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=settings.SCRATCH_DIR))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class TemporaryFiles(TemporaryFileUploadHandler):
    """Sets ``request.disk_full`` where there was no room; views that take files ask for it."""

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        try:
            super().receive_data_chunk(raw_data, start)
        except OSError as error:
            if error.errno not in _FULL:
                raise
            self.request.disk_full = True  # type: ignore[union-attr]
            raise StopUpload from None

    def file_complete(self, file_size: int) -> object:  # type: ignore[override]
        try:
            return super().file_complete(file_size)
        except OSError as error:
            if error.errno not in _FULL:
                raise
            self.request.disk_full = True  # type: ignore[union-attr]
            return None

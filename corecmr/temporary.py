"""Files of a plain form, on disk at once; a full disk ends the form with an answer, not a fault."""

from __future__ import annotations

import errno

from django.core.files.uploadhandler import StopUpload, TemporaryFileUploadHandler

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


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

"""Bytes into storage and out of it: random keys, sizes and hashes counted while writing."""

from __future__ import annotations

import errno
import hashlib
import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from django.core.files import File
from django.core.files.storage import Storage, storages

from accounts.identifiers import new_public_id
from studies.models import StoredFile, Study
from studies.models.files import random_key

CONTENT_TYPES = {
    ".dcm": "application/dicom",
    ".png": "image/png",
    ".mp4": "video/mp4",
    ".npy": "application/octet-stream",
    ".csv": "text/csv; charset=utf-8",
    ".json": "application/json",
    ".zip": "application/zip",
    ".frames": "application/x-corecmr-frames",
}


def quarantine() -> Storage:
    """Where what came in lies until it is judged. Nothing is ever served from here."""
    return storages["quarantine"]


def quarantine_write(content: File) -> tuple[str, int, str]:
    """Store one file as it came; gives its key, size and SHA-256."""
    digest = hashlib.sha256()
    size = 0
    for chunk in content.chunks():
        digest.update(chunk)
        size += len(chunk)
    content.seek(0)
    key = new_public_id()
    return _save(quarantine(), f"{key[:2]}/{key}", content), size, digest.hexdigest()


def _save(where: Storage, name: str, content: File) -> str:
    """Save whole or not at all: what was written before the disk was full is taken back."""
    try:
        return where.save(name, content)
    except OSError:
        with suppress(OSError):
            where.delete(name)
        raise


def is_full(error: OSError) -> bool:
    return error.errno in {errno.ENOSPC, errno.EDQUOT}


def quarantine_path(key: str, scratch: Path) -> Path:
    """A quarantined file as a file of this machine: where it lies, or a copy in ``scratch``."""
    try:
        path = Path(quarantine().path(key))
    except NotImplementedError:
        path = scratch / key.replace("/", "-")
        with quarantine().open(key, "rb") as source, path.open("wb") as target:
            shutil.copyfileobj(source, target, 1024**2)
    path.stat()  # a file that is gone is a fault of the site, not of the file
    return path


def quarantine_delete(keys: Iterable[str]) -> None:
    for key in keys:
        if key:
            quarantine().delete(key)


class Batch:
    """Files written to storage before their rows exist; taken back if the rows are not made.

    Files first, then rows in one transaction: a file without a row is seen by nobody, a row
    without its file would be a broken page.
    """

    def __init__(self) -> None:
        self._keys: list[str] = []

    def __enter__(self) -> Batch:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if kind is not None:
            for key in self._keys:
                with suppress(OSError):
                    storages["default"].delete(key)

    def write(self, path: Path) -> str:
        """Store the file at ``path`` under a random key, which is returned."""
        with path.open("rb") as handle:
            key = _save(storages["default"], random_key(None, path.name), File(handle))
        self._keys.append(key)
        return key


def row(study: Study, path: Path, key: str, *, kind: str, **fields: Any) -> StoredFile:
    """The row, not yet saved, of the file that ``Batch.write`` put under ``key``."""
    return StoredFile(
        study=study,
        kind=kind,
        content_type=CONTENT_TYPES.get(path.suffix.lower(), "application/octet-stream"),
        size=path.stat().st_size,
        file=key,
        **{"name": path.name, "sha256": fields.pop("sha256", "") or file_sha256(path), **fields},
    )


def file_sha256(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def open_stored(stored: StoredFile) -> IO[bytes]:
    return stored.file.open("rb")

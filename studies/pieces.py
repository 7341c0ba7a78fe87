"""Bytes of a file that comes in pieces: added at its end, safe on disk before they are confirmed.

The size of what lies here says how far the file has come, so a process that is killed leaves
nothing to be put right. Where quarantine is no folder, the pieces are collected in one on this
machine, and ``settle`` hands the whole file over.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

from django.conf import settings
from django.core.files import File

from accounts.identifiers import new_public_id
from studies import storage

PIECE_BYTES = 1024**2


class Busy(Exception):
    """Another request is writing to this file."""


class Gone(Exception):
    """The file was taken back meanwhile."""


class WrongOffset(Exception):
    """What comes does not begin where what is there ends."""


class Damaged(Exception):
    """What came is not what was sent; it was thrown away."""


class DiskFull(Exception):
    """There is no room for more. What fitted is kept."""


def new() -> str:
    """Make an empty file; gives its key. It is there even after a loss of power."""
    name = new_public_id()
    key = f"{name[:2]}/{name}"
    path = _path(key)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600, exist_ok=False)
        for folder in (path.parent, path.parent.parent):
            _sync_folder(folder)
    except OSError as error:
        raise _told(error) from None
    return key


def size(key: str) -> int:
    """How many bytes have come; those that are counted are safe on disk."""
    try:
        with _path(key).open("rb", buffering=0) as handle:
            os.fsync(handle.fileno())
            return os.fstat(handle.fileno()).st_size
    except FileNotFoundError:
        raise Gone from None


def add(
    key: str, pieces: Iterable[bytes], *, at: int, digest: tuple[str, bytes] | None = None
) -> int:
    """Add pieces at the end, which must be ``at``; gives the new size.

    Whatever ends the pieces early, those that came are kept. With a ``digest`` (name, value)
    what came in full is kept only if it agrees.
    """
    with _locked(key) as handle:
        if handle.seek(0, os.SEEK_END) != at:
            raise WrongOffset
        hashed = hashlib.new(digest[0], usedforsecurity=False) if digest else None
        try:
            for piece in pieces:
                if hashed:
                    hashed.update(piece)
                _write(handle, piece)
            if digest and hashed and hashed.digest() != digest[1]:
                handle.truncate(at)
                raise Damaged
        except OSError as error:
            raise _told(error) from None
        finally:
            os.fsync(handle.fileno())
        return handle.tell()


@contextmanager
def whole(key: str) -> Iterator[FileIO]:
    """The file, to be read while nobody writes to it."""
    with _locked(key) as handle:
        yield handle


def sha256(handle: FileIO) -> str:
    handle.seek(0)
    return hashlib.file_digest(handle, "sha256").hexdigest()


def settle(key: str) -> None:
    """The file is complete: hand it to quarantine, unless it has lain there from the start."""
    if _local(key) is None:
        path = _path(key)
        if path.exists() and not storage.quarantine().exists(key):
            with path.open("rb") as handle:
                storage.quarantine().save(key, File(handle))
        path.unlink(missing_ok=True)


def drop(keys: Iterable[str]) -> None:
    """Delete what has come, wherever it lies."""
    for key in keys:
        _path(key).unlink(missing_ok=True)
        if _local(key) is None:
            storage.quarantine().delete(key)


def _local(key: str) -> Path | None:
    """Where quarantine keeps the file, if that is a folder of this machine."""
    try:
        return Path(storage.quarantine().path(key))
    except NotImplementedError:
        return None


def _path(key: str) -> Path:
    return _local(key) or Path(settings.VAR_DIR) / "pieces" / key


@contextmanager
def _locked(key: str) -> Iterator[FileIO]:
    """The file for one writer; the lock goes with the process that holds it."""
    try:
        handle = FileIO(_path(key), "r+")
    except FileNotFoundError:
        raise Gone from None
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Busy from None
        yield handle


def _write(handle: FileIO, piece: bytes) -> None:
    """All of it: a raw file may take a part only, on a disk that is nearly full for one."""
    view = memoryview(piece)
    while view:
        view = view[handle.write(view) or 0 :]


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _told(error: OSError) -> Exception:
    return DiskFull() if storage.is_full(error) else error

"""ZIP archives, one member at a time: what they declare is not believed, no name is a path.

Read by hand and not by ``zipfile``, which takes overlapping entries and reads a directory of any
size into memory. Anything a hospital's export or an operating system writes is accepted: stored
or deflated, with or without ZIP64 and data descriptors. Sizes count as they are read.
"""

from __future__ import annotations

import stat
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from studies.dicom.reasons import Refused

_LOCAL, _CENTRAL, _END = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"
_END64, _LOCATOR64 = b"PK\x06\x06", b"PK\x06\x07"
_LONGEST_COMMENT = 65535
_STORED, _DEFLATED = 0, 8
_ENCRYPTED, _STRONGLY_ENCRYPTED, _UTF8 = 1 << 0, 1 << 6, 1 << 11
_UNIX = 3
_CHUNK = 256 * 1024
#: A directory of the most members with names of ordinary length; what is longer is no export.
_LARGEST_DIRECTORY = 32 * 1024**2
#: Below this the ratio is not asked: a black picture shrinks to a thousandth.
_RATIO_FROM_BYTES = 64 * 1024**2

ARCHIVE_STARTS = (_LOCAL, _END)
_DAMAGED = (
    "It is a ZIP archive that is damaged or not made as the format says. Make it anew, or unpack "
    "it and choose the folder."
)
_DAMAGED_MEMBER = "It is damaged inside its ZIP archive. Make the archive anew."
NESTED = "It is a ZIP archive inside another one. Unpack it, and send what it holds."


@dataclass(frozen=True)
class Caps:
    """What an archive may hold; sizes in bytes as they are unpacked."""

    member_bytes: int
    total_bytes: int
    members: int = 20_000
    ratio: int = 100


@dataclass(frozen=True)
class Member:
    """One file inside; ``start`` and ``packed`` say where its bytes lie, ``refusal`` why not."""

    name: str
    folder: str
    start: int
    packed: int
    size: int
    crc: int
    method: int
    refusal: str | None


@dataclass(frozen=True)
class _Entry:
    """A line of the directory, as it stands there."""

    name: bytes
    made_on: int
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    attributes: int
    header: int


class Unpacked:
    """Bytes that came out of the archives of one upload: a limit on all of them together."""

    def __init__(self, caps: Caps, already: int = 0) -> None:
        self.caps = caps
        self.total = already
        self.of_archive = 0
        self.archive_bytes = 0

    def begin(self, archive_bytes: int, already: int = 0) -> None:
        """Go on with an archive of so many bytes."""
        self.archive_bytes, self.of_archive = archive_bytes, already

    def add(self, count: int) -> None:
        """Count what was unpacked. Raises Bomb where it is more than an archive may hold."""
        self.total += count
        self.of_archive += count
        if self.total > self.caps.total_bytes:
            raise Bomb(too_much(self.caps))
        most = max(_RATIO_FROM_BYTES, self.caps.ratio * self.archive_bytes)
        if self.of_archive > most:
            raise Bomb(
                "It is a ZIP archive that unpacks to far more than images do. Make it anew from "
                "the exported files."
            )


class Bomb(Refused):
    """The whole archive is refused, with what it has given so far."""


def too_much(caps: Caps) -> str:
    return (
        f"It is a ZIP archive that holds more than {caps.total_bytes // 1024**2} MB. "
        "Send one study at a time."
    )


def is_archive(path: Path) -> bool:
    with path.open("rb") as handle:
        start = handle.read(132)
    # With the mark of DICOM in its place the file is read as DICOM, whatever its preamble says.
    return start.startswith(ARCHIVE_STARTS) and start[128:132] != b"DICM"


def members_of(handle: IO[bytes], caps: Caps) -> list[Member]:
    """The files of an archive, without folders. Raises Refused if it may not be opened."""
    size = handle.seek(0, 2)
    try:
        entries = _directory(handle, size, caps)
    except (struct.error, ValueError):
        raise Refused(_DAMAGED) from None
    if any(entry.flags & (_ENCRYPTED | _STRONGLY_ENCRYPTED) for entry in entries):
        raise Refused(
            "It is a ZIP archive with a password. Make one without, or unpack it and choose the "
            "folder."
        )
    placed = _without_overlap(handle, entries)
    if sum(entry.size for entry in entries) > caps.total_bytes:
        raise Refused(too_much(caps))
    found = []
    for entry, start in placed:
        folder, name = _shown(entry)
        if name and not _is_leftover(folder, name):
            found.append(
                Member(
                    name=name, folder=folder, start=start, packed=entry.packed, size=entry.size,
                    crc=entry.crc, method=entry.method, refusal=_refusal(entry, caps),
                )
            )  # fmt: skip
    if not found:
        raise Refused("It is a ZIP archive without files. Choose the folder that holds the images.")
    return found


def unpack(handle: IO[bytes], member: Member, target: Path, counted: Unpacked) -> int:
    """Write one member to ``target``; gives its size.

    Raises Refused for this member, Bomb for the whole archive.
    """
    if member.refusal is not None:
        raise Refused(member.refusal)
    handle.seek(member.start)
    left, size, crc = member.packed, 0, 0
    inflate = zlib.decompressobj(-15) if member.method == _DEFLATED else None
    with target.open("wb") as out:
        while left:
            packed = handle.read(min(_CHUNK, left))
            if not packed:
                raise Refused(_DAMAGED_MEMBER)
            left -= len(packed)
            while packed:
                try:
                    data = packed if inflate is None else inflate.decompress(packed, _CHUNK)
                except zlib.error:
                    raise Refused(_DAMAGED_MEMBER) from None
                packed = b"" if inflate is None else inflate.unconsumed_tail
                size += len(data)
                counted.add(len(data))
                if size > counted.caps.member_bytes:
                    raise Refused(_too_large(counted.caps))
                crc = zlib.crc32(data, crc)
                out.write(data)
                if inflate is not None and inflate.eof:
                    if packed or left or inflate.unused_data:
                        raise Refused(_DAMAGED_MEMBER)
                    break
    if size != member.size or crc != member.crc or (inflate is not None and not inflate.eof):
        raise Refused(_DAMAGED_MEMBER)
    return size


def _too_large(caps: Caps) -> str:
    return f"It is larger than {caps.member_bytes // 1024**2} MB. Leave it out."


def _directory(handle: IO[bytes], size: int, caps: Caps) -> list[_Entry]:
    """The archive's directory, which must lie right before its end and fill its place."""
    tail_at = max(0, size - _LONGEST_COMMENT - 22)
    handle.seek(tail_at)
    tail = handle.read()
    at = tail.rfind(_END)
    if at < 0:
        raise Refused(
            "It is a ZIP archive that is cut short. Copy it again, or unpack it and choose the "
            "folder."
        )
    disk, first_disk, here, count, length, start, comment = struct.unpack_from(
        "<4H2LH", tail, at + 4
    )
    end = tail_at + at
    if end + 22 + comment != size or disk != first_disk or here != count:
        raise ValueError
    handle.seek(max(0, end - 20))
    locator = handle.read(20)
    if locator.startswith(_LOCATOR64):
        (end,) = struct.unpack_from("<Q", locator, 8)
        handle.seek(end)
        mark, _, _, _, _, _, _, count, length, start = struct.unpack("<4sQ2H2L4Q", handle.read(56))
        if mark != _END64:
            raise ValueError
    if count > caps.members:
        raise Refused(
            f"It is a ZIP archive of more than {caps.members} files. Send one study at a time."
        )
    if length > _LARGEST_DIRECTORY or start + length != end:
        raise ValueError
    handle.seek(start)
    lines = handle.read(length)
    entries = []
    at = 0
    for _ in range(count):
        entry, at = _entry(lines, at)
        if entry.header + 30 + entry.packed > start:
            raise ValueError
        entries.append(entry)
    if at != length:
        raise ValueError
    return entries


def _entry(lines: bytes, at: int) -> tuple[_Entry, int]:
    (
        mark, made_by, _, flags, method, _, _, crc, packed, size, name, extra, comment, disk, _,
        attributes, header,
    ) = struct.unpack_from("<4s6H3L5H2L", lines, at)  # fmt: skip
    if mark != _CENTRAL or disk not in {0, 0xFFFF}:
        raise ValueError
    name_at = at + 46
    extra_at = name_at + name
    after = extra_at + extra + comment
    if after > len(lines):
        raise ValueError
    wide = [value == 0xFFFFFFFF for value in (size, packed, header)]
    if any(wide):
        numbers = _zip64(lines[extra_at : extra_at + extra])
        size, packed, header = (
            next(numbers) if is_wide else value
            for is_wide, value in zip(wide, (size, packed, header), strict=True)
        )
    entry = _Entry(
        name=lines[name_at:extra_at], made_on=made_by >> 8, flags=flags, method=method, crc=crc,
        packed=packed, size=size, attributes=attributes, header=header,
    )  # fmt: skip
    return entry, after


def _zip64(extra: bytes) -> Iterator[int]:
    """The numbers that did not fit into four bytes, in their order."""
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, at)
        if kind == 1:
            if at + 4 + length > len(extra):
                raise ValueError
            yield from struct.unpack_from(f"<{length // 8}Q", extra, at + 4)
        at += 4 + length
    # Asked for a number that is not there.
    raise ValueError


def _without_overlap(handle: IO[bytes], entries: list[_Entry]) -> list[tuple[_Entry, int]]:
    """Each entry with the place where its bytes begin; in the directory's order.

    The header before the bytes must say what the directory says, and no byte serves two entries.
    """
    starts = {}
    free_from = 0
    for entry in sorted(entries, key=lambda one: one.header):
        handle.seek(entry.header)
        try:
            mark, _, _, method, _, _, _, packed, _, name, extra = struct.unpack(
                "<4s5H3L2H", handle.read(30)
            )
        except struct.error:
            raise Refused(_DAMAGED) from None
        known_before = packed not in {0, 0xFFFFFFFF}
        if (
            mark != _LOCAL
            or entry.header < free_from
            or method != entry.method
            or handle.read(name) != entry.name
            or (known_before and packed != entry.packed)
        ):
            raise Refused(_DAMAGED)
        starts[entry.header] = entry.header + 30 + name + extra
        free_from = starts[entry.header] + entry.packed
    return [(entry, starts[entry.header]) for entry in entries]


def _refusal(entry: _Entry, caps: Caps) -> str | None:
    """Why a member is not even unpacked."""
    if entry.made_on == _UNIX and stat.S_ISLNK(entry.attributes >> 16):
        return "It is a link to a file, not a file. Put the image itself into the archive."
    if entry.method not in {_STORED, _DEFLATED}:
        return (
            "It is packed in a way that is not supported. Make an ordinary ZIP archive, or unpack "
            "it and choose the folder."
        )
    if entry.size > caps.member_bytes:
        return _too_large(caps)
    return None


def _shown(entry: _Entry) -> tuple[str, str]:
    """Folder and name to be shown, never to be opened: no sign that steers a page or a file."""
    text = entry.name.decode("utf-8" if entry.flags & _UTF8 else "cp437", "replace")
    text = "".join(sign if sign.isprintable() else "�" for sign in text.replace("\\", "/"))
    folder, _, name = text.rpartition("/")
    return folder[-255:], name[:255]


def _is_leftover(folder: str, name: str) -> bool:
    """What macOS and Windows put beside files by themselves."""
    return folder.split("/")[0] == "__MACOSX" or name in {".DS_Store", "Thumbs.db", "desktop.ini"}

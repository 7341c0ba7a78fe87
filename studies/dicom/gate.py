"""The gate before the parser: a file's structure is walked by hand, its values are not read.

pydicom believes what a file says: it inflates without bound, descends as deep as sequences are
nested, and makes an object of each of a million empty elements. Here the file is walked first, in
memory that does not grow with it: lengths must lie inside what holds them, nesting, elements and
the bytes of values that would be parsed are counted. What passes is small enough for pydicom.

Where writers differ from the standard and pydicom copes, so does the gate: files without preamble
or meta, another encoding of types than the meta says, private sequences that hold something else.
"""

from __future__ import annotations

import mmap
import struct
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydicom.datadict import dictionary_VR
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian

from studies.dicom.reasons import DAMAGED, NOT_DICOM, Refused

MOST_ELEMENTS: Final = 20_000
#: Multi-frame objects have hundreds of elements for each frame, and its pixels beside them.
_BYTES_OF_FURTHER_ELEMENT = 64
_MOST_ELEMENTS_EVER = 500_000
DEEPEST: Final = 16
_MOST_META = 200
#: Numbers and short text of the standard's own attributes, which are parsed value by value.
_LONGEST_VALUE = 16 * 1024
_MOST_VALUES_BYTES = 1024**2

_LONG_FORM = frozenset(
    {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
)
#: Bytes that stay bytes, and free text: never split into values.
_BULK = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN", "UT", "UR", "LT", "ST", "SQ"})
_UNDEFINED = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_PIXELS = 0x7FE00010
_SYNTAX, _CLASS_OF_META, _CLASS = 0x00020010, 0x00020002, 0x00080016
_CHARSET = 0x00080005
_LONGEST_CHARSET = 256

_TOO_DEEP = (
    f"Its parts are nested more than {DEEPEST} deep, as no scanner writes them. Export it again "
    "from the scanner or the archive."
)
_TOO_MANY = (
    "It has more parts than any image needs. Export it again from the scanner or the archive."
)
_TOO_LONG = (
    "One of its values is longer than any scanner writes. Export it again from the scanner or the "
    "archive."
)
_ARCHIVES = {
    b"PK\x03\x04": "ZIP", b"PK\x05\x06": "ZIP", b"7z\xbc\xaf\x27\x1c": "7-Zip", b"Rar!": "RAR",
    b"\x1f\x8b": "gzip",
}  # fmt: skip


class _Broken(Exception):
    """The structure does not hold; what that means depends on where."""


@dataclass(frozen=True)
class Passed:
    """What the gate saw in passing; ``None`` where the file does not say."""

    syntax: str | None
    object_class: str | None


def look(path: Path) -> Passed:
    """Walk the file. Raises Refused with the reason and what to do."""
    try:
        with path.open("rb") as handle:
            if path.stat().st_size == 0:
                raise Refused("It is empty. Export it again from the scanner or the archive.")
            with mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return _Walk(data).file()
    except OSError:
        raise Refused("It could not be opened. Check that it may be read, and try again.") from None


@dataclass(frozen=True)
class _Form:
    """How elements are written."""

    explicit: bool
    little: bool

    @property
    def sign(self) -> str:
        return "<" if self.little else ">"


class _Walk:
    """One file, with what was counted in it."""

    def __init__(self, data: mmap.mmap) -> None:
        self._data = data
        self._size = len(data)
        self._elements = 0
        self._values_bytes = 0
        self._most_elements = min(
            MOST_ELEMENTS + self._size // _BYTES_OF_FURTHER_ELEMENT, _MOST_ELEMENTS_EVER
        )
        self._object_class: str | None = None
        self._pixels_passed = False

    def file(self) -> Passed:
        try:
            at, syntax = self._meta()
        except _Broken:
            raise Refused(DAMAGED) from None
        if syntax == DeflatedExplicitVRLittleEndian:
            raise Refused("It is stored deflated, which is not accepted. Export it uncompressed.")
        try:
            self._dataset(at, self._size, self._form(at, syntax), 0)
        except _Broken:
            # Behind the pixels anything may stand: it is read as an element that nobody asks for.
            if not self._pixels_passed:
                raise Refused(DAMAGED) from None
        return Passed(syntax, self._object_class)

    # --- the beginning ----------------------------------------------------------------------

    def _meta(self) -> tuple[int, str | None]:
        """Where the dataset begins, and the transfer syntax."""
        if self._data[128:132] == b"DICM":
            at = 132
        elif _looks_like_dataset(self._data[:8]):
            at = 0
        else:
            start = self._data[:8]
            kind = next((k for mark, k in _ARCHIVES.items() if start.startswith(mark)), None)
            if kind is None:
                raise Refused(NOT_DICOM)
            raise Refused(f"It is a {kind} archive. Unpack it and choose the folder.")
        syntax = None
        for _ in range(_MOST_META):
            if self._data[at : at + 2] != b"\x02\x00":
                return at, syntax
            tag, _, value_at, length = self._head(at, self._size, _Form(True, True))
            at = value_at + length
            if length == _UNDEFINED or at > self._size:
                break
            if tag == _SYNTAX:
                syntax = self._uid(value_at, length)
            elif tag == _CLASS_OF_META:
                self._object_class = self._uid(value_at, length)
        raise Refused(DAMAGED)

    def _form(self, at: int, syntax: str | None) -> _Form:
        """How the dataset is written: as the meta says, or as its first element looks."""
        start = self._data[at : at + 6]
        explicit = _is_vr(start[4:6])
        if syntax == ExplicitVRBigEndian:
            return _Form(explicit, little=False)
        # In the wrong order of bytes the low groups at the beginning are high ones.
        guessed_big = syntax is None and explicit and int.from_bytes(start[:2], "little") >= 1024
        return _Form(explicit, little=not guessed_big)

    def _uid(self, at: int, length: int) -> str:
        return self._data[at : at + min(length, 64)].decode("ascii", "replace").rstrip("\0 ")

    # --- elements ---------------------------------------------------------------------------

    def _head(self, at: int, end: int, form: _Form) -> tuple[int, bytes, int, int]:
        """Tag, VR (empty if implicit), where the value begins, and its length.

        Raises _Broken where not even the head has room.
        """
        if at + 8 > end:
            raise _Broken
        group, element, length = struct.unpack_from(form.sign + "HHL", self._data, at)
        tag = group << 16 | element
        vr = self._data[at + 4 : at + 6]
        # A few writers change to implicit within an explicit file.
        if not form.explicit or group == 0xFFFE or not _is_vr(vr):
            return tag, b"", at + 8, length
        if vr not in _LONG_FORM:
            (length,) = struct.unpack_from(form.sign + "H", self._data, at + 6)
            return tag, vr, at + 8, length
        if at + 12 > end:
            raise _Broken
        (length,) = struct.unpack_from(form.sign + "L", self._data, at + 8)
        return tag, vr, at + 12, length

    def _dataset(self, at: int, end: int, form: _Form, depth: int, *, open_: bool = False) -> int:
        """Walk elements up to ``end``, or to the end of the item if that is open; gives where."""
        if depth:
            # Items of an explicit file may be implicit, never the other way round.
            form = _Form(form.explicit and _is_vr(self._data[at + 4 : at + 6]), form.little)
        while at < end:
            if not depth and end - at < 8:
                return end  # padding behind the last element, which nobody reads
            tag, vr, value_at, length = self._head(at, end, form)
            if tag == _ITEM_END:
                return value_at
            self._count()
            at = self._value(tag, vr, value_at, length, end, form, depth)
            self._pixels_passed |= tag == _PIXELS and not depth
        if open_:
            raise _Broken
        return at

    def _count(self) -> None:
        self._elements += 1
        if self._elements > self._most_elements:
            raise Refused(_TOO_MANY)

    def _value(
        self, tag: int, vr: bytes, at: int, length: int, end: int, form: _Form,
        depth: int,
    ) -> int:  # fmt: skip
        """Walk or skip one value; gives where the next element begins."""
        if length == _UNDEFINED:
            return self._open_value(tag, vr, at, end, form, depth)
        if at + length > end:
            if tag == _PIXELS and not depth:
                raise Refused(
                    f"It is cut short: {end - at} of {length} bytes of its image are there. "
                    "Copy or export it again."
                )
            raise _Broken
        items = vr == b"SQ" or (
            vr in {b"", b"UN"} and self._data[at : at + 4] == _item_bytes(form.little)
        )
        if items:
            # pydicom reads such a sequence when it is asked for, and only then minds its damage.
            with suppress(_Broken):
                self._sequence(at, at + length, form, depth + 1)
        elif not tag >> 16 & 1:
            self._weigh(tag, vr, length)
        if tag == _CLASS and not depth:
            self._object_class = self._uid(at, length)
        return at + length

    def _weigh(self, tag: int, vr: bytes, length: int) -> None:
        """Count the bytes of a value of the standard's attributes that may be parsed."""
        if tag == _CHARSET and length > _LONGEST_CHARSET:
            raise Refused(_TOO_LONG)
        if (vr.decode("ascii") if vr else _dictionary(tag, length)) in _BULK:
            return
        self._values_bytes += length
        if length > _LONGEST_VALUE or self._values_bytes > _MOST_VALUES_BYTES + self._size // 8:
            raise Refused(_TOO_LONG)

    def _open_value(self, tag: int, vr: bytes, at: int, end: int, form: _Form, depth: int) -> int:
        """A value without a length: a sequence, or fragments of pixels."""
        if tag == _PIXELS or vr in {b"OB", b"OW"}:
            return self._fragments(at, end, form)
        return self._sequence(at, end, form, depth + 1, open_=True)

    def _sequence(self, at: int, end: int, form: _Form, depth: int, *, open_: bool = False) -> int:
        if depth > DEEPEST:
            raise Refused(_TOO_DEEP)
        while at < end:
            if at + 8 > end:
                raise _Broken
            group, element, length = struct.unpack_from(form.sign + "HHL", self._data, at)
            tag = group << 16 | element
            at += 8
            if tag == _SEQUENCE_END:
                return at
            if tag != _ITEM:
                raise _Broken
            self._count()
            if length == _UNDEFINED:
                at = self._dataset(at, end, form, depth, open_=True)
            elif at + length > end:
                raise _Broken
            else:
                self._dataset(at, at + length, form, depth)
                at += length
        if open_:
            raise _Broken
        return at

    def _fragments(self, at: int, end: int, form: _Form) -> int:
        read = struct.Struct(form.sign + "HHL").unpack_from
        while at + 8 <= end:
            group, element, length = read(self._data, at)
            tag = group << 16 | element
            at += 8
            if tag == _SEQUENCE_END:
                return at
            if tag != _ITEM:
                raise _Broken
            self._count()
            at += length
        raise Refused("It is cut short: its compressed image has no end. Copy or export it again.")


def _is_vr(two: bytes) -> bool:
    return len(two) == 2 and 0x41 <= two[0] <= 0x5A and 0x41 <= two[1] <= 0x5A


def _item_bytes(little: bool) -> bytes:
    return b"\xfe\xff\x00\xe0" if little else b"\xff\xfe\xe0\x00"


def _dictionary(tag: int, length: int) -> str:
    """The VR that the standard gives a tag; short values are not worth the question."""
    if length <= 64:
        return ""
    if tag >> 24 in {0x50, 0x60, 0x7F}:
        return "OW"  # curves, overlays, pixels: groups that repeat
    try:
        return dictionary_VR(tag).split(" or ")[-1]
    except KeyError:
        return "UN"


def _looks_like_dataset(start: bytes) -> bool:
    """An old export without preamble begins with an element of group 0002 or 0008."""
    if len(start) < 8:
        return False
    group, element = struct.unpack_from("<HH", start)
    if group not in {0x0002, 0x0008} or element > 0x0100:
        return False
    if _is_vr(start[4:6]):
        return True
    (length,) = struct.unpack_from("<I", start, 4)
    return bool(length < 1024)

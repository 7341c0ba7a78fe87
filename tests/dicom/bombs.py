"""Files made to do harm, as they are known from the security reports of DICOM software."""

from __future__ import annotations

import struct
import zlib

from pydicom.uid import JPEG2000Lossless, MRImageStorage, RLELossless

from tests.dicom.make import image

_EXPLICIT = b"1.2.840.10008.1.2.1\0"


def whole(**changes: object) -> bytes:
    """An honest image as a file."""
    import io

    out = io.BytesIO()
    image(**changes).save_as(out, enforce_file_format=True)
    return out.getvalue()


def parts(data: bytes) -> tuple[bytes, bytes]:
    """Preamble and meta; the dataset."""
    at = data.index(b"\x08\x00\x08\x00CS")
    return data[:at], data[at:]


def _before_pixels(extra: bytes) -> bytes:
    data = whole()
    at = data.index(b"\xe0\x7f\x10\x00OW")
    return data[:at] + extra + data[at:]


def element(group: int, number: int, vr: bytes, value: bytes, length: int | None = None) -> bytes:
    length = len(value) if length is None else length
    if vr in {b"OB", b"OW", b"SQ", b"UN", b"UT"}:
        return struct.pack("<HH2sHL", group, number, vr, 0, length) + value
    return struct.pack("<HH2sH", group, number, vr, length) + value


def deflated(megabytes: int = 64) -> bytes:
    """Zeros that deflate to a thousandth."""
    meta, body = parts(whole())
    meta = meta.replace(b"UI\x14\x00" + _EXPLICIT, b"UI\x16\x001.2.840.10008.1.2.1.99")
    squeezer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = squeezer.compress(body)
    for _ in range(megabytes):
        packed += squeezer.compress(bytes(1024**2))
    return meta + packed + squeezer.flush()


def deflated_behind_a_long_meta() -> bytes:
    """The transfer syntax stands far behind the first bytes of the file."""
    data = deflated(8)
    at = data.index(b"\x02\x00\x10\x00UI")
    return data[:at] + element(2, 0x0002, b"OB", bytes(8000)) + data[at:]


def nested(depth: int = 900, *, open_: bool = True, vr: bytes = b"SQ") -> bytes:
    """Sequences in sequences, with and without lengths."""
    inner = b""
    for _ in range(depth):
        length = 0xFFFFFFFF if open_ else len(inner)
        item = b"\xfe\xff\x00\xe0" + struct.pack("<L", length) + inner
        if open_:
            item += b"\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0"
        outer = 0xFFFFFFFF if open_ else len(item)
        inner = element(0x0040, 0xA730, vr, item, outer)
    return _before_pixels(inner)


def empty_elements(count: int = 1_000_000) -> bytes:
    """A million elements of eight bytes, each an object for who reads it."""
    groups = range(0x0031, 0x0031 + 2 * (count // 60_000 + 1), 2)
    tags = ((group, number) for group in groups for number in range(0x1000, 0x1000 + 60_000))
    made = b"".join(
        struct.pack("<HH2sH", group, number, b"LO", 0)
        for (group, number), _ in zip(tags, range(count), strict=False)
    )
    return _before_pixels(made)


def empty_items(count: int = 1_000_000) -> bytes:
    items = b"\xfe\xff\x00\xe0\0\0\0\0" * count
    return _before_pixels(element(0x0040, 0xA730, b"SQ", items))


def slow_numbers(implicit: bool = False) -> bytes:
    """As many numbers as a value may hold, for every attribute of numbers."""
    if not implicit:
        many = b"1\\" * 32_000
        return _before_pixels(
            element(0x0028, 0x1050, b"DS", many) + element(0x0028, 0x1051, b"DS", many)
        )
    value = b"1.5\\" * 2_000_000
    meta, _ = parts(whole())
    meta = meta.replace(b"UI\x14\x00" + _EXPLICIT, b"UI\x12\x001.2.840.10008.1.2\0")
    head = struct.pack("<HHL", 8, 0x16, 26) + str(MRImageStorage).encode().ljust(26, b"\0")
    return meta + head + struct.pack("<HHL", 0x0028, 0x1050, len(value)) + value


def character_sets() -> bytes:
    """A list of character sets as long as it may be: each name is tried with each of them."""
    sets = b"ISO 2022 IR 87\\ISO 2022 IR 149\\" * 1_900
    meta, body = parts(whole())
    return meta + element(8, 5, b"CS", sets) + body


def lying_length(length: int = 0x7FFFFFFF) -> bytes:
    """Pixels of two gigabytes, in a file of a few kilobytes."""
    data = whole()
    at = data.index(b"\xe0\x7f\x10\x00OW") + 8
    return data[:at] + struct.pack("<L", length) + data[at + 4 :]


def lying_dimensions(syntax: str) -> bytes:
    """A small compressed picture that claims 8,000 × 8,000."""
    import io

    ds = image()
    ds.compress(syntax)
    ds.Rows = ds.Columns = 8000
    out = io.BytesIO()
    ds.save_as(out, enforce_file_format=True)
    return out.getvalue()


def fragments_without_end() -> bytes:
    import io

    ds = image()
    ds.compress(RLELossless)
    out = io.BytesIO()
    ds.save_as(out, enforce_file_format=True)
    return out.getvalue()[:-8]


def all_of_them() -> dict[str, bytes]:
    return {
        "deflated": deflated(),
        "deflated behind a long meta": deflated_behind_a_long_meta(),
        "nested, open": nested(),
        "nested, with lengths": nested(open_=False),
        "nested, of type UN": nested(vr=b"UN"),
        "empty elements": empty_elements(),
        "empty items": empty_items(),
        "slow numbers": slow_numbers(),
        "slow numbers, implicit": slow_numbers(implicit=True),
        "character sets": character_sets(),
        "a lying length": lying_length(),
        "lying dimensions, RLE": lying_dimensions(RLELossless),
        "lying dimensions, JPEG 2000": lying_dimensions(JPEG2000Lossless),
        "fragments without end": fragments_without_end(),
    }

"""ZIP archives for tests, made by hand where no honest program would make them."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Mapping, Sequence


def archive(files: Mapping[str, bytes], *, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """An ordinary archive, by Python's own writer."""
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", method) as target:
        for name, data in files.items():
            target.writestr(name, data)
    return whole.getvalue()


def streamed(files: Mapping[str, bytes]) -> bytes:
    """As programs write into a pipe: sizes stand behind the data."""

    class Pipe(io.RawIOBase):
        def __init__(self) -> None:
            self.whole = b""

        def writable(self) -> bool:
            return True

        def write(self, data) -> int:  # type: ignore[no-untyped-def]
            self.whole += bytes(data)
            return len(data)

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as target:
        for name, data in files.items():
            with target.open(name, "w", force_zip64=True) as member:
                member.write(data)
    return pipe.whole


def deflated(data: bytes) -> bytes:
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
    return squeeze.compress(data) + squeeze.flush()


class Entry:
    """One member with every field open to lies."""

    def __init__(self, name: bytes, data: bytes, **lies: int | bytes) -> None:
        packed = deflated(data)
        self.name = name
        self.body = lies.pop("body", packed)
        self.fields: dict[str, int] = {
            "flags": 0, "method": 8, "crc": zlib.crc32(data), "packed": len(packed),
            "size": len(data), "attributes": 0, "made_on": 3,
        }  # fmt: skip
        self.fields |= lies  # type: ignore[arg-type]


def by_hand(
    entries: Sequence[Entry], *, prefix: bytes = b"", suffix: bytes = b"", at: Sequence[int] = ()
) -> bytes:
    """An archive of ``entries``; ``at`` gives other places for their headers in the directory."""
    whole, places = prefix, []
    for entry in entries:
        places.append(len(whole))
        f = entry.fields
        whole += struct.pack(
            "<4s5H3L2H", b"PK\x03\x04", 20, f["flags"], f["method"], 0, 0, f["crc"], f["packed"],
            f["size"], len(entry.name), 0,
        ) + entry.name + entry.body  # fmt: skip
    start = len(whole)
    for entry, place in zip(entries, at or places, strict=True):
        f = entry.fields
        whole += struct.pack(
            "<4s6H3L5H2L", b"PK\x01\x02", f["made_on"] << 8 | 20, 20, f["flags"], f["method"], 0, 0,
            f["crc"], f["packed"], f["size"], len(entry.name), 0, 0, 0, 0, f["attributes"], place,
        ) + entry.name  # fmt: skip
    count = len(entries)
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, count, count, len(whole) - start, start, 0)
    return whole + end + suffix


def quoted_overlap(files: int, megabytes: int) -> bytes:
    """Fifield's bomb: each member's bytes begin with the next one's header, all share one kernel.

    Each header before the kernel is quoted by a stored deflate block, so that every member
    inflates to the headers behind it and then the kernel.
    """
    kernel_data = b"\0" * megabytes * 1024**2
    names = [b"%06d" % number for number in range(files)]

    def header(name: bytes, body: bytes, data: bytes) -> bytes:
        return struct.pack(
            "<4s5H3L2H", b"PK\x03\x04", 20, 0, 8, 0, 0, zlib.crc32(data), len(body), len(data),
            len(name), 0,
        ) + name  # fmt: skip

    body, data = deflated(kernel_data), kernel_data
    stack: list[tuple[bytes, int, int, int]] = []
    local = header(names[-1], body, data)
    stack.append((names[-1], zlib.crc32(data), len(body), len(data)))
    whole = local + body
    for name in reversed(names[:-1]):
        quote = struct.pack("<BHH", 0, len(local), len(local) ^ 0xFFFF) + local
        body, data = quote + body, local + data
        local = header(name, body, data)
        stack.append((name, zlib.crc32(data), len(body), len(data)))
        whole = local + quote + whole[len(quote) - 5 :]
    start = len(whole)
    place = 0
    for name, crc, packed, size in reversed(stack):
        whole += struct.pack(
            "<4s6H3L5H2L", b"PK\x01\x02", 20, 20, 0, 8, 0, 0, crc, packed, size, len(name), 0, 0, 0,
            0, 0, place,
        ) + name  # fmt: skip
        place += 30 + len(name) + 5
    return whole + struct.pack(
        "<4s4H2LH", b"PK\x05\x06", 0, 0, files, files, len(whole) - start, start, 0
    )

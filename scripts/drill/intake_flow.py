"""Flow computed from files as they came and from the rebuilt ones: the same to the bit.

Phantom studies of all makers, and real series where the shared test data is there. Compared are
every array and the whole report but for what must differ: uids, digests of files, and seconds.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from processing.analysis import analyse_folder
from processing.mcaq.phantom import make_study
from processing.phantom_dicom import VENDORS, write_study
from scripts.bench.table import Figure
from scripts.steps import CHECKOUT
from studies.dicom.deidentify import deidentify
from studies.dicom.read import read_file

Said = Callable[[str], None]
_KEY = b"a key of this drill alone, 32 by"
#: What another uid, another file or another minute makes different.
_APART = frozenset(
    {"series_uid", "sop_instance_uid", "sop_instance_uids", "input_sha256", "seconds",
     "peak_memory_bytes"}
)  # fmt: skip
REAL = {
    "GE, real": "invivo/dicom-original/ge-first-pass/perfusione",
    "Siemens rest, real": "invivo/dicom-original/siemens-single-slice/Rest",
    "Siemens stress, real": "invivo/dicom-original/siemens-single-slice/Stress",
}


def measure(said: Said) -> list[Figure]:
    """For each study how many numbers of flow were compared, and how many things differ."""
    figures = []
    for where, prepare in _studies():
        said(where)
        with tempfile.TemporaryDirectory() as folder:
            work = Path(folder)
            before = prepare(work)
            if before is None:
                figures.append(
                    Figure("differences", where, float("nan"), note="the data is not here")
                )
                continue
            compared, unlike = compare(before, work)
        figures += [
            Figure("pixels of flow compared", where, compared, 1, larger_is_better=True),
            Figure("differences", where, len(unlike), reach=0, note=", ".join(unlike[:3])),
        ]
    return figures


def _studies() -> Iterator[tuple[str, Callable[[Path], Path | None]]]:
    for vendor in VENDORS:
        yield f"phantom, {vendor}", lambda work, vendor=vendor: phantom(work, vendor)
    for where, folder in REAL.items():
        yield where, lambda work, folder=folder: _real(folder)


def phantom(work: Path, vendor: str, *, dual_sequence: bool = True) -> Path:
    """A small phantom study as a scanner of ``vendor`` writes it; gives its folder."""
    study = make_study(
        5, states=("stress",), levels=("mid",), frames=24, rows=96, cols=80,
        dual_sequence=dual_sequence,
    )  # fmt: skip
    write_study(study, work / "in", vendor=vendor)
    return work / "in"


def _real(folder: str) -> Path | None:
    named = os.environ.get("CORECMR_TEST_DATA")
    root = Path(named) if named else CHECKOUT.parent / "shared" / "data"
    return root / folder if (root / folder).is_dir() else None


def compare(before: Path, work: Path) -> tuple[int, list[str]]:
    """Analyse ``before`` and what de-identification makes of it.

    Gives how many pixels of flow were compared, and the names of what differs.
    """
    rebuilt = work / "rebuilt"
    for path in sorted(path for path in before.rglob("*") if path.is_file()):
        target = rebuilt / path.relative_to(before)
        target.parent.mkdir(parents=True, exist_ok=True)
        deidentify(read_file(path), key=_KEY).save_as(target, enforce_file_format=True)
    for name, files in (("one", before), ("other", rebuilt)):
        analyse_folder(files, work / name)
    return differences(work / "one", work / "other")


def differences(one: Path, other: Path) -> tuple[int, list[str]]:
    """What two output folders do not have in common, as ``compare`` tells it."""
    reports = [json.loads((folder / "report.json").read_text()) for folder in (one, other)]
    unlike = list(_unlike("report", *reports))
    compared = 0
    arrays = [
        {path.relative_to(folder) for path in folder.rglob("*") if path.suffix in {".npy", ".csv"}}
        for folder in (one, other)
    ]
    if arrays[0] != arrays[1]:
        unlike.append("the set of arrays")
    for name in sorted(arrays[0] & arrays[1]):
        # Bytes, so that two numbers that are none are the same.
        if (one / name).read_bytes() != (other / name).read_bytes():
            unlike.append(name.as_posix())
        if name.name == "mbf.npy":
            compared += int(np.isfinite(np.load(one / name)).sum())
    return compared, unlike


def _unlike(place: str, one: Any, other: Any) -> Iterator[str]:
    if isinstance(one, dict) and isinstance(other, dict):
        for key in one.keys() | other.keys():
            if key not in _APART:
                yield from _unlike(f"{place}.{key}", one.get(key), other.get(key))
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for number, pair in enumerate(zip(one, other, strict=True)):
            yield from _unlike(f"{place}.{number}", *pair)
    elif one != other:
        yield place

"""Every DICOM object that we write, judged by dciodvfy (Debian package dicom3tools): no errors.

Studies of each vendor are analysed as the site does it, from de-identified files, and one as a
command line does it, with the patient named; then the real studies, where the test data are there.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from processing.analysis import analyse_folder
from processing.mcaq.phantom import make_study
from processing.phantom_dicom import VENDORS, write_study
from scripts.bench.real import data_root
from scripts.bench.table import Figure
from studies.dicom.deidentify import deidentify
from studies.dicom.read import read_file

KINDS = ("corrected", "mbf", "mbf_x100", "mbf_colour", "segmentation", "measurements")
_REAL = (
    ("real GE", "invivo/dicom-original/ge-first-pass"),
    ("real Siemens, rest", "invivo/dicom-original/siemens-single-slice/Rest"),
    ("real Siemens, stress", "invivo/dicom-original/siemens-single-slice/Stress"),
)
_KEY = b"a key for drills alone"


def errors_of(path: Path) -> list[str]:
    """What dciodvfy calls an error in a file."""
    told = subprocess.run(
        ["dciodvfy", path], capture_output=True, text=True, errors="replace", check=False
    )
    lines = [line.strip() for line in (told.stdout + told.stderr).splitlines()]
    return [line for line in lines if line.startswith("Error")]


def judged(output: Path) -> tuple[Counter[str], Counter[str]]:
    """Objects and errors by kind, of an output folder of an analysis."""
    objects: Counter[str] = Counter()
    errors: Counter[str] = Counter()
    for entry in json.loads((output / "report.json").read_text())["dicom"]:
        for name in entry.get("files", ()):
            objects[entry["kind"]] += 1
            errors[entry["kind"]] += len(errors_of(output / name))
    return objects, errors


def without_identity(source: Path, target: Path) -> None:
    """The files of a folder as the site stores them."""
    target.mkdir()
    for number, path in enumerate(sorted(p for p in source.rglob("*") if p.is_file())):
        if path.suffix == ".mat":
            continue
        clean = deidentify(read_file(path), key=_KEY)
        clean.save_as(target / f"{number}.dcm", enforce_file_format=True)


def phantom(folder: Path, vendor: str) -> None:
    """A small study of two slices at stress and rest."""
    study = make_study(3, levels=("basal", "mid"), frames=36, rows=96, cols=96, pd_frames=2)
    write_study(study, folder, vendor=vendor)


def measure(said: Callable[[str], None]) -> Iterator[Figure]:
    if shutil.which("dciodvfy") is None:
        yield Figure("errors", "all", float("nan"), 0, note="needs Debian package dicom3tools")
        return
    with tempfile.TemporaryDirectory() as scratch:
        for number, (where, source, name_patient) in enumerate(_sources(Path(scratch))):
            said(where)
            output = Path(scratch) / f"out{number}"
            analyse_folder(source, output, name_patient=name_patient)
            objects, errors = judged(output)
            for kind in KINDS:
                yield Figure(
                    f"dciodvfy: errors, {kind}",
                    where,
                    float(errors[kind]) if objects[kind] else float("nan"),
                    0,
                    note=f"{objects[kind]} objects" if objects[kind] else "none were written",
                )


def _sources(scratch: Path) -> Iterator[tuple[str, Path, bool]]:
    for vendor in VENDORS:
        phantom(scratch / vendor, vendor)
        without_identity(scratch / vendor, scratch / f"{vendor} clean")
        yield vendor, scratch / f"{vendor} clean", False
        yield f"{vendor}, patient named", scratch / vendor, True
    root = data_root()
    if root is None:
        return
    for where, folder in _REAL:
        without_identity(root / folder, scratch / where)
        yield where, scratch / where, False

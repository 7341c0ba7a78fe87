"""Which examination a file belongs to, told without reading more of it than that."""

from __future__ import annotations

from pathlib import Path

import pydicom

from studies.dicom import gate
from studies.dicom.quiet import quiet
from studies.dicom.unzip import ARCHIVE_STARTS


@quiet
def study_of(path: Path) -> str | None:
    """The file's StudyInstanceUID; None if it is no DICOM file, or is one that would be refused."""
    try:
        gate.look(path)
        found = pydicom.dcmread(
            path, force=True, stop_before_pixels=True, specific_tags=["StudyInstanceUID"]
        )
        return str(found.get("StudyInstanceUID") or "") or None
    except Exception:
        # What the gate lets pass and pydicom cannot read: the check will say why.
        return None


def is_archive(path: Path) -> bool:
    with path.open("rb") as handle:
        return handle.read(4) in ARCHIVE_STARTS

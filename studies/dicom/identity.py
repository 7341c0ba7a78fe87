"""Who a file is of, and under which numbers its hospital knows it: for the owner's vault alone."""

from __future__ import annotations

import re
from typing import Any

from pydicom.dataset import Dataset

from studies.dicom.quiet import quiet

_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")
_LONGEST = 256
#: What is kept of the patient and of the study, by the names it is kept under.
PATIENT = {
    "number": "PatientID",
    "issuer": "IssuerOfPatientID",
    "name": "PatientName",
    "birth_date": "PatientBirthDate",
    "sex": "PatientSex",
}
STUDY = {
    "uid": "StudyInstanceUID",
    "date": "StudyDate",
    "time": "StudyTime",
    "accession_number": "AccessionNumber",
    "id": "StudyID",
}


@quiet
def source_identity(source: Dataset, clean: Dataset) -> dict[str, Any]:
    """The patient and the study that ``source`` names, and its uids.

    ``uids`` gives the source's uid for each that ``clean`` has in its place.
    """
    return {
        "patient": _texts(source, PATIENT),
        "study": _texts(source, STUDY),
        "uids": {
            str(clean[name].value): _text(source, name)
            for name in ("SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID")
            if clean.get(name)
        },
    }


def _texts(source: Dataset, names: dict[str, str]) -> dict[str, str]:
    found = {ours: _text(source, keyword) for ours, keyword in names.items()}
    return {ours: value for ours, value in found.items() if value}


def _text(source: Dataset, keyword: str) -> str:
    value = source.get(keyword)
    return _CONTROL.sub(" ", "" if value is None else str(value)).strip()[:_LONGEST]

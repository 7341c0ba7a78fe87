"""Objects of a research project under its own pseudonyms: two projects' copies share no identifier.

What is stored bears UIDs, a patient's pseudonym and dates that are the same in every copy. A
project gets them anew from a key of its own: UIDs by keyed hash, one pseudonym for a patient, dates
moved once more. Distances between the dates of one patient stay.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from io import BytesIO

from pydicom import dcmread
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from studies.dicom.deidentify import Pseudonyms
from studies.dicom.quiet import quiet
from studies.dicom.write.encode import file_bytes

_STANDARD = "1.2.840.10008."


@quiet
def renamed(data: bytes, *, key: bytes, patient: str) -> bytes:
    """The object ``data`` under the pseudonyms of ``key``; ``patient`` stands for the patient."""
    ds = dcmread(BytesIO(data))
    pseudonyms = Pseudonyms(key)
    days = timedelta(days=pseudonyms.days(str(ds.get("PatientID") or ""), ""))

    def change(_dataset: Dataset, element: DataElement) -> None:
        if element.VR == "UI":
            element.value = _each(element.value, lambda uid: _uid(uid, pseudonyms))
        elif element.VR in ("DA", "DT"):
            element.value = _each(element.value, lambda told: _moved(told, days))
        elif element.keyword == "DeviceSerialNumber" and element.value:
            element.value = pseudonyms.scanner(str(element.value))

    ds.walk(change)
    ds.PatientID = ds.PatientName = patient
    return file_bytes(ds)


def _each(value: object, change: object) -> object:
    if isinstance(value, str):
        return change(value)  # type: ignore[operator]
    if value is None:
        return value
    return [change(str(one)) for one in value]  # type: ignore[operator, attr-defined]


def _uid(uid: str, pseudonyms: Pseudonyms) -> str:
    return uid if not uid or uid.startswith(_STANDARD) else pseudonyms.uid(uid)


def _moved(told: str, days: timedelta) -> str:
    """A date, or the date of a time stamp, moved back; what is none is left out."""
    try:
        day = datetime.strptime(told[:8], "%Y%m%d")
    except ValueError:
        return ""
    return (day - days).strftime("%Y%m%d") + told[8:]

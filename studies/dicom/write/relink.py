"""Objects under the identity by which an archive holds the examination.

What a trust stores is pseudonymous. For its own archive the objects get the original study, series
and image UIDs to refer to, the patient's name and number, and the true dates. Their own UIDs are
made anew from the original study's: a copy that was shared cannot be told to be of this patient by
comparing UIDs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from io import BytesIO

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from studies.dicom.quiet import quiet
from studies.dicom.write.encode import file_bytes
from studies.dicom.write.film import uid_of

_STANDARD = "1.2.840.10008."
#: What only de-identified objects say.
_REMOVED = (
    "PatientIdentityRemoved",
    "DeidentificationMethod",
    "DeidentificationMethodCodeSequence",
    "LongitudinalTemporalInformationModified",
)
#: What stands for an identity, and is empty where the original one is not known.
_PSEUDONYMS = ("PatientName", "PatientID")
#: What an original identity may set, at the top of an object.
IDENTITY = frozenset(
    {
        "PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex",
        "AccessionNumber", "StudyID", "StudyDate", "StudyTime",
    }
)  # fmt: skip


@dataclass(frozen=True)
class Original:
    """An examination as its archive holds it.

    uids: by the pseudonymous UID, the original one: of the study, and of its series, images and
    frame of reference. attributes: by keyword, of ``IDENTITY``.
    """

    study_uid: str
    uids: Mapping[str, str]
    attributes: Mapping[str, str] = field(default_factory=dict)


@quiet
def relinked(data: bytes, original: Original) -> bytes:
    """The object ``data`` under its original identity.

    Raises ValueError for an attribute that is none of ``IDENTITY``.
    """
    odd = set(original.attributes) - IDENTITY
    if odd:
        raise ValueError(f"an identity holds no {', '.join(sorted(odd))}")
    ds = dcmread(BytesIO(data))
    days = _days(ds, original)
    uids = {**original.uids, str(ds.StudyInstanceUID): original.study_uid}
    _walk(ds, uids, hashlib.sha256(original.study_uid.encode()).digest(), days)
    for keyword in (*_REMOVED, "StudyDescription"):
        if keyword in ds:
            delattr(ds, keyword)
    for scanner in ds.get("ContributingEquipmentSequence") or ():
        if "DeviceSerialNumber" in scanner:
            del scanner.DeviceSerialNumber
    for keyword in _PSEUDONYMS:
        setattr(ds, keyword, "")
    for keyword, value in original.attributes.items():
        setattr(ds, keyword, value)
    ds.SpecificCharacterSet = "ISO_IR 192"
    return file_bytes(ds)


def _days(ds: Dataset, original: Original) -> timedelta:
    """By how much this object's dates were moved back."""
    true, moved = _date(original.attributes.get("StudyDate", "")), _date(str(ds.StudyDate or ""))
    return timedelta(0) if true is None or moved is None else true - moved


def _date(text: str) -> date | None:
    try:
        return date(int(text[:4]), int(text[4:6]), int(text[6:8]))
    except ValueError:
        return None


def _walk(ds: Dataset, uids: Mapping[str, str], salt: bytes, days: timedelta) -> None:
    for element in ds:
        if element.VR == "SQ":
            for item in element.value:
                _walk(item, uids, salt, days)
        elif element.VR == "UI" and element.value:
            single = not isinstance(element.value, MultiValue)
            values = [str(element.value)] if single else [str(one) for one in element.value]
            own = [_uid(one, uids, salt) for one in values]
            element.value = own[0] if single else own
        elif element.VR in {"DA", "DT"} and element.value and element.tag != 0x00100030:
            text = str(element.value)
            day = _date(text)
            if day is not None:
                element.value = f"{day + days:%Y%m%d}{text[8:]}"


def _uid(uid: str, uids: Mapping[str, str], salt: bytes) -> str:
    if uid in uids:
        return uids[uid]
    return uid if uid.startswith(_STANDARD) else uid_of(salt, uid)

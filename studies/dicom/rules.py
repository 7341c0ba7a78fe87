"""What de-identification does to each attribute, as data: for the page that tells the rules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydicom.datadict import dictionary_description, tag_for_keyword

from studies.dicom import deidentify
from studies.dicom.frames import PHILIPS_NUMBERS

Action = Literal[
    "kept", "checked", "entered", "moved", "pseudonym", "words", "emptied", "limited", "cleared"
]

#: Written in our own way, whatever stood there: the rest of what ``deidentify`` does.
_WRITTEN: dict[str, Action] = {
    "PatientName": "pseudonym",
    "PatientID": "pseudonym",
    "DeviceSerialNumber": "pseudonym",
    "PatientBirthDate": "emptied",
    "AccessionNumber": "emptied",
    "ReferringPhysicianName": "emptied",
    "StudyID": "emptied",
    "PatientAge": "limited",
    "PatientSex": "limited",
    "PatientWeight": "limited",
    "PatientSize": "limited",
    "SOPClassUID": "kept",
    "Modality": "kept",
    "PhotometricInterpretation": "kept",
    "LossyImageCompression": "kept",
    "SeriesDescription": "words",
    "ProtocolName": "words",
    "StudyDescription": "words",
    "ImageComments": "words",
    "Manufacturer": "words",
    "ManufacturerModelName": "words",
    "ContrastBolusAgent": "words",
    "SequenceName": "words",
    "PulseSequenceName": "words",
    "AnatomicRegionSequence": "words",
    "StackID": "checked",
    "PositionReferenceIndicator": "emptied",
    "AcquisitionContextSequence": "emptied",
    "PixelData": "cleared",
    "PatientIdentityRemoved": "words",
    "DeidentificationMethod": "words",
    "DeidentificationMethodCodeSequence": "words",
    "LongitudinalTemporalInformationModified": "words",
    "BurnedInAnnotation": "words",
}


@dataclass(frozen=True)
class Rule:
    """One attribute of the DICOM dictionary, or one of a maker's own, and what becomes of it."""

    tag: str
    keyword: str
    name: str
    action: Action


def _rule(keyword: str, action: Action) -> Rule:
    tag = tag_for_keyword(keyword)
    if tag is None:
        raise ValueError(f"{keyword} is no keyword of the DICOM dictionary")
    return Rule(f"{tag:08X}", keyword, dictionary_description(tag), action)


def _all() -> tuple[Rule, ...]:
    actions: dict[str, Action] = {}
    for keywords, action in (
        (deidentify.KEPT, "kept"),
        (deidentify.CODES, "checked"),
        (deidentify.SEQUENCES, "entered"),
        (deidentify.UIDS, "pseudonym"),
        (deidentify.DATES | deidentify.DATETIMES, "moved"),
        (deidentify.POINTERS, "checked"),
        ([keyword for keyword, word in deidentify.FIXED.items() if word], "words"),
        ([keyword for keyword, word in deidentify.FIXED.items() if not word], "emptied"),
    ):
        actions |= dict.fromkeys(keywords, action)  # type: ignore[arg-type]
    actions |= _WRITTEN
    return tuple(
        sorted((_rule(keyword, action) for keyword, action in actions.items()), key=lambda r: r.tag)
    )


#: Every attribute that a rebuilt file may hold. What is not named here is removed.
RULES = _all()
BY_TAG = {rule.tag: rule for rule in RULES}
#: The maker's own elements that are kept as numbers: group, element within the block, the block.
PRIVATE = tuple(
    (f"{which.group:04X}", f"{which.element:02X}", which.creator) for which in PHILIPS_NUMBERS
)

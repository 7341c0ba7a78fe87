"""The coded terms of our objects: DICOM's and SNOMED CT's where there are any, else our own few."""

from __future__ import annotations

from highdicom.sr import CodedConcept
from pydicom.dataset import Dataset

#: Terms of our own, and who answers for them.
OWN = "99CORECMR"


def _code(value: str, scheme: str, meaning: str) -> CodedConcept:
    return CodedConcept(value=value, scheme_designator=scheme, meaning=meaning)


ML_PER_MIN_PER_G = _code("ml/min/g", "UCUM", "ml/min/g")
NO_UNIT = _code("1", "UCUM", "no units")
RATIO = _code("{ratio}", "UCUM", "ratio")

BLOOD_FLOW = _code("126390", "DCM", "Absolute Regional Blood Flow")
RELATIVE_BLOOD_FLOW = _code("126397", "DCM", "Relative Regional Blood Flow")
PERFUSION_RESERVE = _code("MPR", OWN, "Myocardial perfusion reserve, stress over rest")

DEFORMED_FOR_REGISTRATION = _code("125027", "DCM", "Deformed for Registration")
PERFUSION_ANALYSIS = _code("129104", "DCM", "Perfusion image analysis")
SEGMENTATION = _code("113076", "DCM", "Segmentation")
SOURCE_IMAGE = _code("121322", "DCM", "Source image for image processing operation")
ACQUISITION_EQUIPMENT = _code("109101", "DCM", "Acquisition Equipment")

PATIENT_STATE = _code("109054", "DCM", "Patient State")
STATES = {
    "stress": _code("432655005", "SCT", "Cardiac Stress State"),
    "rest": _code("128975004", "SCT", "Resting State"),
}
CARDIAC_MRI = _code("241620005", "SCT", "Cardiac MRI")
COMMENT = _code("121106", "DCM", "Comment")
MEAN = _code("373098007", "SCT", "Mean")
BELOW_ISCHAEMIA_CUT = _code("BELOW_CUT", OWN, "Flow below the engine's cut for ischaemia at stress")
YES = _code("373066001", "SCT", "Yes")
NO = _code("373067005", "SCT", "No")

HEART = _code("80891009", "SCT", "Heart")
LEFT_VENTRICLE = _code("87878005", "SCT", "Left ventricle")
RIGHT_VENTRICLE = _code("53085002", "SCT", "Right ventricle")
MYOCARDIUM = _code("49848007", "SCT", "Left Ventricle Myocardium")
BLOOD = _code("87612001", "SCT", "Blood")
ANATOMICAL_STRUCTURE = _code("91723000", "SCT", "Anatomical Structure")
BODY_SUBSTANCE = _code("91720002", "SCT", "Body Substance")

#: The 16 segments of the American Heart Association (DICOM CID 3717), by number.
AHA = {
    number: _code(value, "SCT", f"left ventricle {name} segment")
    for number, value, name in (
        (1, "264850008", "basal anterior"),
        (2, "396482007", "basal anteroseptal"),
        (3, "396646008", "basal inferoseptal"),
        (4, "264846001", "basal inferior"),
        (5, "396652009", "basal inferolateral"),
        (6, "396654005", "basal anterolateral"),
        (7, "264848000", "mid anterior"),
        (8, "396647004", "mid anteroseptal"),
        (9, "396649001", "mid inferoseptal"),
        (10, "264847005", "mid inferior"),
        (11, "396655006", "mid inferolateral"),
        (12, "396656007", "mid anterolateral"),
        (13, "264844003", "apical anterior"),
        (14, "264845002", "apical septal"),
        (15, "264849008", "apical inferior"),
        (16, "264853005", "apical lateral"),
    )
}


def method(name: str) -> CodedConcept:
    """The kinetic model by which flow was found."""
    return _code(name[:16], OWN, f"Kinetic model: {name}"[:64])


def own_scheme() -> Dataset:
    """What the standard asks to be said of terms of one's own."""
    item = Dataset()
    item.CodingSchemeDesignator = OWN
    item.CodingSchemeName = "CoreCMR"
    item.CodingSchemeResponsibleOrganization = "CoreCMR"
    return item

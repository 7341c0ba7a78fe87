"""Rebuild a file without identity: an allow-list, so that what is not named here is dropped.

After DICOM PS3.15 Annex E: Basic Profile with the options Retain Longitudinal Temporal
Information with Modified Dates, Retain Patient Characteristics and Clean Descriptors; safe for
perfusion: relative times, rescale and scale factors and all that the physics needs survive, so
that the flow computed before and after is the same to the bit. The file is made anew: empty
preamble, fresh file meta, no overlay, no unused high bits, no private element except three numbers
of Philips' (scale slope, begin of the dynamic, delay after the prepulse).

What the lists say is told to people by ``rules.py``, and what became of one file by ``changes.py``.
"""

from __future__ import annotations

import hmac
import re
from datetime import date, timedelta

import numpy as np
from pydicom.datadict import dictionary_has_tag, dictionary_VR, keyword_for_tag
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.uid import UID, EnhancedMRImageStorage, ExplicitVRLittleEndian

from studies.dicom.frames import (
    PHILIPS_NUMBERS,
    agent_in,
    number,
    patient_of,
    philips_number,
    words,
)
from studies.dicom.labels import controlled, controlled_protocol, controlled_sequence
from studies.dicom.quiet import quiet
from studies.dicom.read import Refused, decode_pixels
from studies.intended_use import INTENDED_USE
from studies.scanners import MAKERS, MODELS

IMPLEMENTATION_CLASS_UID = UID("2.25.281474976710656000000000000000000001")
METHOD = "CoreCMR allow-list; PS3.15 Annex E basic profile, dates shifted"

#: Numbers, times of day and codes without room for identity, kept as they are.
KEPT = frozenset(
    [
        "InstanceNumber",
        "AcquisitionNumber",
        "SeriesNumber",
        "NumberOfFrames",
        "ImagePositionPatient",
        "ImageOrientationPatient",
        "PixelSpacing",
        "SliceThickness",
        "SpacingBetweenSlices",
        "SliceLocation",
        "Rows",
        "Columns",
        "SamplesPerPixel",
        "BitsAllocated",
        "BitsStored",
        "HighBit",
        "PixelRepresentation",
        "RescaleSlope",
        "RescaleIntercept",
        "WindowCenter",
        "WindowWidth",
        "AcquisitionTime",
        "ContentTime",
        "SeriesTime",
        "StudyTime",
        "TriggerTime",
        "NominalInterval",
        "HeartRate",
        "LowRRValue",
        "HighRRValue",
        "IntervalsAcquired",
        "IntervalsRejected",
        "CardiacNumberOfImages",
        "NominalCardiacTriggerDelayTime",
        "TemporalPositionIdentifier",
        "NumberOfTemporalPositions",
        "TemporalResolution",
        "TemporalPositionIndex",
        "TemporalPositionTimeOffset",
        "InStackPositionNumber",
        "DimensionIndexValues",
        "EchoTime",
        "EffectiveEchoTime",
        "RepetitionTime",
        "InversionTime",
        "InversionTimes",
        "FlipAngle",
        "EchoTrainLength",
        "EchoNumbers",
        "MagneticFieldStrength",
        "ImagingFrequency",
        "NumberOfAverages",
        "NumberOfPhaseEncodingSteps",
        "PercentSampling",
        "PercentPhaseFieldOfView",
        "PixelBandwidth",
        "AcquisitionMatrix",
        "ContrastBolusVolume",
        "ContrastFlowRate",
        "ContrastFlowDuration",
        "ContrastBolusIngredientConcentration",
        "PatientWeight",
        "PatientSize",
        "AcquisitionDuration",
        "FrameAcquisitionDuration",
        "FrameAcquisitionNumber",
        "GradientEchoTrainLength",
        "GradientOutput",
        "MRAcquisitionFrequencyEncodingSteps",
        "MRAcquisitionPhaseEncodingStepsInPlane",
        "MRAcquisitionPhaseEncodingStepsOutOfPlane",
        "NumberOfKSpaceTrajectories",
        "ParallelReductionFactorInPlane",
        "ParallelReductionFactorOutOfPlane",
        "ParallelReductionFactorSecondInPlane",
        "RFEchoTrainLength",
        "SpecificAbsorptionRateValue",
        "TransmitterFrequency",
    ]
)
#: Codes of the standard, kept if each value looks like a code and nothing else.
CODES = frozenset(
    [
        "ImageType",
        "FrameType",
        "ScanningSequence",
        "SequenceVariant",
        "ScanOptions",
        "MRAcquisitionType",
        "PatientPosition",
        "BodyPartExamined",
        "InPlanePhaseEncodingDirection",
        "AngioFlag",
        "SteadyStatePulseSequence",
        "SaturationRecovery",
        "ComplexImageComponent",
        "AcquisitionContrast",
        "PixelPresentation",
        "VolumetricProperties",
        "VolumeBasedCalculationTechnique",
        "ApplicableSafetyStandardAgency",
        "BloodSignalNulling",
        "ContentQualification",
        "CoverageOfKSpace",
        "EchoPlanarPulseSequence",
        "EchoPulseSequence",
        "FlowCompensation",
        "FlowCompensationDirection",
        "FrameLaterality",
        "GeometryOfKSpaceTraversal",
        "GradientOutputType",
        "ImagedNucleus",
        "InversionRecovery",
        "KSpaceFiltering",
        "MagnetizationTransfer",
        "MultiPlanarExcitation",
        "MultipleSpinEcho",
        "OperatingMode",
        "OperatingModeType",
        "OversamplingPhase",
        "ParallelAcquisition",
        "ParallelAcquisitionTechnique",
        "PartialFourier",
        "PartialFourierDirection",
        "PhaseContrast",
        "PresentationLUTShape",
        "QuadratureReceiveCoil",
        "ReceiveCoilType",
        "RectilinearPhaseEncodeReordering",
        "ResonantNucleus",
        "SegmentedKSpaceTraversal",
        "SpatialPresaturation",
        "SpecificAbsorptionRateDefinition",
        "SpectrallySelectedExcitation",
        "SpectrallySelectedSuppression",
        "Spoiling",
        "T2Preparation",
        "Tagging",
        "TimeOfFlightContrast",
        "TransmitCoilType",
        "MultiCoilElementUsed",
    ]
)
UIDS = frozenset(
    [
        "SOPInstanceUID",
        "StudyInstanceUID",
        "SeriesInstanceUID",
        "FrameOfReferenceUID",
        "DimensionOrganizationUID",
    ]
)
DATES = frozenset(["StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate"])
DATETIMES = frozenset(["AcquisitionDateTime", "FrameAcquisitionDateTime", "FrameReferenceDateTime"])
#: Sequences that are entered; inside them the same lists hold.
SEQUENCES = frozenset(
    [
        "SharedFunctionalGroupsSequence",
        "PerFrameFunctionalGroupsSequence",
        "FrameContentSequence",
        "PlanePositionSequence",
        "PlaneOrientationSequence",
        "PixelMeasuresSequence",
        "PixelValueTransformationSequence",
        "MRTimingAndRelatedParametersSequence",
        "MREchoSequence",
        "MRModifierSequence",
        "MRImageFrameTypeSequence",
        "CardiacSynchronizationSequence",
        "TemporalPositionSequence",
        "MRFOVGeometrySequence",
        "DimensionIndexSequence",
        "DimensionOrganizationSequence",
        "FrameAnatomySequence",
        "MRAveragesSequence",
        "MRImagingModifierSequence",
        "MRReceiveCoilSequence",
        "MRTransmitCoilSequence",
        "MultiCoilDefinitionSequence",
        "OperatingModeSequence",
        "SpecificAbsorptionRateSequence",
    ]
)
#: What an enhanced object must have and is free text there: our own in its place, where it stands.
FIXED = {
    "ReceiveCoilName": "coil",
    "TransmitCoilName": "coil",
    "MultiCoilElementName": "element",
    "ReceiveCoilManufacturerName": "",
    "TransmitCoilManufacturerName": "",
    "SoftwareVersions": "removed",
    "RescaleType": "US",
}
#: Pointers to attributes, kept where they name one of the standard.
POINTERS = frozenset(["DimensionIndexPointer", "FunctionalGroupPointer"])
#: Required by the modules of MR images, and left empty where nothing is kept.
EMPTY = (
    "PositionReferenceIndicator",
    "InstanceNumber",
    "SeriesNumber",
    "StudyDate",
    "StudyTime",
)
EMPTY_CLASSIC = (
    "EchoTime",
    "EchoTrainLength",
    "MRAcquisitionType",
    "ScanOptions",
    "SliceThickness",
)
_CODE_WORDS = frozenset(
    [
        "ORIGINAL",
        "DERIVED",
        "PRIMARY",
        "SECONDARY",
        "M",
        "MAGNITUDE",
        "M_FFE",
        "M_SE",
        "M_IR",
        "FFE",
        "SE",
        "IR",
        "GR",
        "EP",
        "RM",
        "ND",
        "NORM",
        "DIS2D",
        "DIS3D",
        "OTHER",
        "NONE",
        "MOCO",
        "MFSPLIT",
        "FM",
        "FIL",
        "PROTON_DENSITY",
        "PERFUSION",
        "T1",
        "T2",
        "SK",
        "SP",
        "SS",
        "MP",
        "MTC",
        "OSP",
        "TRSS",
        "2D",
        "3D",
        "CT",
        "CG",
        "SR",
        "FS",
        "PFF",
        "PFP",
        "SP",
        "SAT",
        "GATED",
        "PPG",
        "RG",
        "RESP_GATED",
        "HFS",
        "HFP",
        "FFS",
        "FFP",
        "HEART",
        "CHEST",
        "ROW",
        "COL",
        "COLUMN",
        "Y",
        "N",
        "YES",
        "NO",
        "FREE_PRECESSION",
        "TRANSVERSE",
        "TIME_REVERSED",
        "LONGITUDINAL",
        "MONOCHROME",
        "VOLUME",
        "SAMPLED",
        "DISTORTED",
        "MIXED",
        "UNKNOWN",
        "ADC",
        "PHASE",
        "P_FFE",
        "REALTIME",
        "DYNAMIC",
        "STATIC",
        "GRADIENT",
        "SPIN",
        "FAST_GR",
        "CARDIAC_GATING",
        "CARD_GATED",
        "SLICE",
        "MR",
        "ACCELERATION",
        "BODY",
        "BOTH",
        "CENTRIC",
        "COMBINATION",
        "CORONAL",
        "DB_DT",
        "ELECTRIC_FIELD",
        "EXTREMITY",
        "FAT",
        "FAT_AND_WATER",
        "FDA",
        "FREQUENCY",
        "FULL",
        "GRID",
        "HAMMING",
        "HANNING",
        "IDENTITY",
        "IEC",
        "IEC_FIRST_LEVEL",
        "IEC_HEAD",
        "IEC_LOCAL",
        "IEC_NORMAL",
        "IEC_PARTIAL_BODY",
        "IEC_SECOND_LEVEL",
        "IEC_WHOLE_BODY",
        "L",
        "LINE",
        "LINEAR",
        "MHW",
        "MULTICOIL",
        "OFF_RESONANCE",
        "ON_RESONANCE",
        "PARTIAL",
        "PER_NERVE_STIM",
        "PILS",
        "PRODUCT",
        "R",
        "RADIAL",
        "RECTILINEAR",
        "RESEARCH",
        "REVERSE_CENTRIC",
        "REVERSE_LINEAR",
        "RF",
        "RF_AND_GRADIENT",
        "SEGMENTED",
        "SENSE",
        "SERVICE",
        "SINGLE",
        "SLAB",
        "SLICE_SELECT",
        "SMASH",
        "SPIRAL",
        "STATIC FIELD",
        "SURFACE",
        "TAGGING",
        "U",
        "VELOCITY",
        "WATER",
        "1H",
        "2D_3D",
        "B",
    ]
)
_MODELS = re.compile(rf"\b({'|'.join(re.escape(name) for name in MODELS)})\b")
PROFILE_CODES = (
    ("113100", "Basic Application Confidentiality Profile"),
    ("113105", "Clean Descriptors Option"),
    ("113107", "Retain Longitudinal Temporal Information Modified Dates Option"),
    ("113108", "Retain Patient Characteristics Option"),
)
#: Written as well where one of Philips' numbers was kept.
PRIVATE_CODE = ("113111", "Retain Safe Private Option")
OLDEST_AGE_YEARS = 90
#: Nothing measured is as large; a person's number, such as the NHS number, has ten digits.
_MOST = 1e9
_LEAST = 1e-12
#: What a person may weigh and measure, kg and m; anything else stands there for another purpose.
_OF_A_PERSON = {"PatientWeight": (0.2, 650.0), "PatientSize": (0.2, 2.8)}
_TIME_OF_DAY = re.compile(
    r"([01]\d|2[0-3])(:?[0-5]\d(:?([0-5]\d|60)(\.\d{1,6})?)?)?",
)
_TIME_OF_DATETIME = re.compile(
    r"(([01]\d|2[0-3])([0-5]\d(([0-5]\d|60)(\.\d{1,6})?)?)?)?([+-](0\d|1[0-4])[0-5]\d)?"
)
_STACK = re.compile(r"\d{1,3}")
_SCREEN_SAVE = re.compile(r"SCREEN.?(SAVE|SHOT)|CAPTURE|PASTED|SCANNED")
_WRITING = (
    "It is a picture saved from a screen, not a measured image, and may hold writing. "
    "Leave it out, or export the original image."
)
_SECONDARY = (
    "It was made after the examination and does not say that it is free of burned-in writing. "
    "Leave it out, or export the original image."
)
_NUMERIC = frozenset({"DS", "IS", "FD", "FL", "US", "SS", "UL", "SL"})


class Pseudonyms:
    """Keyed, one-way stand-ins: without the key they can be neither traced nor guessed."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def _digest(self, kind: str, value: str) -> bytes:
        return hmac.digest(self._key, f"{kind}:{value}".encode(), "sha256")

    def uid(self, value: str) -> str:
        """A UID below 2.25 from 122 bits of a keyed hash."""
        return f"2.25.{int.from_bytes(self._digest('uid', value)[:16], 'big') >> 6}"

    def patient(self, identifier: str, name: str) -> str:
        return self._digest("patient", f"{identifier}\0{name}").hex()[:16].upper()

    def scanner(self, serial: str) -> str:
        return self._digest("scanner", serial).hex()[:12].upper()

    def days(self, identifier: str, name: str) -> int:
        """By how many days this patient's dates move back: one to ten years."""
        digest = self._digest("days", f"{identifier}\0{name}")
        return 365 + int.from_bytes(digest[:4], "big") % 3286


@quiet
def deidentify(dataset: FileDataset, *, key: bytes) -> FileDataset:
    """Rebuild ``dataset`` without identity; pixels uncompressed, little endian.

    Raises read.Refused for an object that may hold writing in its picture, and if the pixels
    cannot be decoded.
    """
    refuse_writing(dataset)
    pseudonyms = Pseudonyms(key)
    identifier, name = patient_of(dataset)
    shift = timedelta(days=pseudonyms.days(identifier, name))
    clean = Dataset()
    _copy(dataset, clean, pseudonyms, shift)
    clean.SOPClassUID = dataset.SOPClassUID
    _describe(dataset, clean, pseudonyms, pseudonyms.patient(identifier, name))
    _pixels(dataset, clean)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = clean.SOPClassUID
    meta.MediaStorageSOPInstanceUID = clean.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = IMPLEMENTATION_CLASS_UID
    meta.ImplementationVersionName = "CORECMR"
    return FileDataset("", clean, preamble=b"\0" * 128, file_meta=meta)


def refuse_writing(dataset: Dataset) -> None:
    """Raises read.Refused where a name may stand in the picture itself.

    By what the header says: BurnedInAnnotation, and the marks of pictures that were saved from a
    screen or made afterwards. Nobody reads the pixels; writing in a picture whose header denies it
    is not found.
    """
    says = str(dataset.get("BurnedInAnnotation") or "").strip().upper()
    if says == "YES":
        raise Refused("It has writing burned into the picture. Export the original image.")
    kind = words(dataset.get("ImageType"))
    if dataset.get("ConversionType") or any(_SCREEN_SAVE.search(word) for word in kind):
        raise Refused(_WRITING)
    if "SECONDARY" in kind and says != "NO":
        raise Refused(_SECONDARY)


def _copy(source: Dataset, clean: Dataset, pseudonyms: Pseudonyms, shift: timedelta) -> None:
    """Copy what the lists name, each value checked to be what its attribute is there for."""
    for tag in source.keys():  # noqa: SIM118  (iterating a Dataset would parse every element)
        keyword = keyword_for_tag(tag)
        if keyword in KEPT:
            _copy_number_or_time(source[tag], clean)
        elif keyword in CODES:
            codes = [word for word in words(source[tag].value) if word in _CODE_WORDS]
            if codes:
                setattr(clean, keyword, codes)
        elif keyword in UIDS and source[tag].value:
            setattr(clean, keyword, pseudonyms.uid(str(source[tag].value)))
        elif keyword in DATES:
            _set_shifted(clean, keyword, str(source[tag].value), "", shift)
        elif keyword in DATETIMES:
            value = str(source[tag].value)
            _set_shifted(clean, keyword, value[:8], value[8:], shift)
        elif keyword in SEQUENCES and source[tag].VR == "SQ":
            items = []
            for item in source[tag].value:
                rebuilt = Dataset()
                _copy(item, rebuilt, pseudonyms, shift)
                items.append(rebuilt)
            setattr(clean, keyword, Sequence(items))
        elif keyword in FIXED:
            setattr(clean, keyword, FIXED[keyword])
        elif keyword == "StackID" and _STACK.fullmatch(str(source[tag].value)):
            clean.StackID = str(source[tag].value)
        elif keyword in POINTERS and dictionary_has_tag(source[tag].value):
            setattr(clean, keyword, source[tag].value)
        elif keyword == "AnatomicRegionSequence":
            clean.AnatomicRegionSequence = Sequence([_code("80891009", "Heart", "SCT")])
    _copy_philips_numbers(source, clean)


def _copy_number_or_time(element: DataElement, clean: Dataset) -> None:
    """Keep the element if its value is a number or a time of day, as the standard has it there.

    A file may claim another type for a tag, or write words where a time belongs.
    """
    vr, value = dictionary_VR(element.tag), element.value
    if value is None or value == "" or vr != element.VR:
        return
    values = list(value) if isinstance(value, MultiValue | list) else [value]
    if vr == "TM":
        fits = all(_TIME_OF_DAY.fullmatch(str(part).strip()) for part in values)
    else:
        keyword = keyword_for_tag(element.tag)
        fits = vr in _NUMERIC and all(_is_measure(number(part), vr, keyword) for part in values)
    if fits:
        clean[element.tag] = element


def _is_measure(value: float | None, vr: str, keyword: str = "") -> bool:
    """Whether a number may be a measurement, rather than a person's number or disguised text."""
    if value is None or abs(value) >= _MOST:
        return False
    if keyword in _OF_A_PERSON:
        low, high = _OF_A_PERSON[keyword]
        return low <= value <= high
    # Eight digits in the place of a binary number read as one far smaller than anything measured.
    return vr not in {"FD", "FL"} or value == 0 or abs(value) > _LEAST


def _set_shifted(clean: Dataset, keyword: str, day: str, rest: str, shift: timedelta) -> None:
    """A date moved back; the time of day behind it is kept. What is no date is dropped."""
    try:
        moved = date(int(day[:4]), int(day[4:6]), int(day[6:8])) - shift
    except (ValueError, OverflowError):
        return
    if rest and _TIME_OF_DATETIME.fullmatch(rest.strip()) is None:
        rest = ""
    setattr(clean, keyword, f"{moved:%Y%m%d}{rest.strip()}")


def _copy_philips_numbers(source: Dataset, clean: Dataset) -> None:
    """Stored values are scaled differently at rest and stress; the factor is a private number."""
    for which in PHILIPS_NUMBERS:
        value = philips_number(source, which)
        if value is not None and _is_measure(value, "FL"):
            block = clean.private_block(which.group, which.creator, create=True)
            block.add_new(which.element, "FL", value)


def _describe(source: Dataset, clean: Dataset, pseudonyms: Pseudonyms, patient: str) -> None:
    """Our own words where the scanner's free text stood."""
    clean.Modality = "MR"
    light = str(source.get("PhotometricInterpretation") or "")
    clean.PhotometricInterpretation = "MONOCHROME1" if light == "MONOCHROME1" else "MONOCHROME2"
    if str(source.get("LossyImageCompression") or "") == "01":
        clean.LossyImageCompression = "01"
    clean.PatientName = patient
    clean.PatientID = patient
    clean.PatientBirthDate = ""
    clean.PatientIdentityRemoved = "YES"
    clean.DeidentificationMethod = METHOD
    codes = [*PROFILE_CODES, *([PRIVATE_CODE] if _holds_private(clean) else [])]
    clean.DeidentificationMethodCodeSequence = Sequence(_code(*code) for code in codes)
    clean.LongitudinalTemporalInformationModified = "MODIFIED"
    clean.BurnedInAnnotation = "NO"
    age = re.fullmatch(r"(\d{3})Y", str(source.get("PatientAge") or ""))
    if age is not None:
        clean.PatientAge = f"{min(int(age[1]), OLDEST_AGE_YEARS):03d}Y"
    sex = str(source.get("PatientSex") or "").strip().upper()
    clean.PatientSex = sex if sex in {"M", "F", "O"} else ""
    description, protocol = (
        str(source.get(name) or "") for name in ("SeriesDescription", "ProtocolName")
    )
    clean.SeriesDescription = controlled(description, "")
    # Apart, for the protocol's name is often one for the whole examination.
    clean.ProtocolName = controlled_protocol(description, protocol)
    clean.StudyDescription = "Cardiac perfusion"
    clean.AccessionNumber = ""
    clean.ReferringPhysicianName = ""
    clean.StudyID = ""
    vendor = str(source.get("Manufacturer") or "").upper()
    clean.Manufacturer = next((ours for start, ours in MAKERS if vendor.startswith(start)), "")
    model = _MODELS.search(str(source.get("ManufacturerModelName") or ""))
    if model is not None:
        clean.ManufacturerModelName = model[1]
    serial = str(source.get("DeviceSerialNumber") or "")
    if serial:
        clean.DeviceSerialNumber = pseudonyms.scanner(serial)
    if source.get("ContrastBolusAgent") or source.get("ContrastBolusAgentSequence"):
        clean.ContrastBolusAgent = agent_in(source) or "gadolinium"
    name = source.get("SequenceName") or source.get("PulseSequenceName")
    sequence = controlled_sequence(str(name or ""))
    if sequence:
        clean.SequenceName = sequence
        if "PulseSequenceName" in source:
            clean.PulseSequenceName = sequence
    clean.ImageComments = INTENDED_USE
    if "BodyPartExamined" not in clean:
        clean.BodyPartExamined = "HEART"
    enhanced = clean.SOPClassUID == EnhancedMRImageStorage
    for keyword in EMPTY if enhanced else EMPTY + EMPTY_CLASSIC:
        if keyword not in clean:
            setattr(clean, keyword, None)
    if enhanced:
        clean.AcquisitionContextSequence = Sequence()
        if "LossyImageCompression" not in clean:
            clean.LossyImageCompression = "00"


def _holds_private(clean: Dataset) -> bool:
    return any(
        element.tag.is_private
        or (element.VR == "SQ" and any(_holds_private(item) for item in element.value))
        for element in clean
    )


def _code(value: str, meaning: str, scheme: str = "DCM") -> Dataset:
    item = Dataset()
    item.CodeValue = value
    item.CodingSchemeDesignator = scheme
    item.CodeMeaning = meaning
    return item


def _pixels(source: FileDataset, clean: Dataset) -> None:
    """The stored values without the bits above those in use, where old overlays may hide."""
    array = decode_pixels(source)
    data = np.ascontiguousarray(array)
    if data.dtype.byteorder == ">":
        data = data.astype(data.dtype.newbyteorder("<"))
    clean.HighBit = int(source.BitsStored) - 1
    clean.PixelData = data.tobytes() + (b"\0" if data.nbytes % 2 else b"")
    clean["PixelData"].VR = "OW" if data.dtype.itemsize > 1 else "OB"

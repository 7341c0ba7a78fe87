"""One frame as its header tells it: the same picture of classic and enhanced objects."""

from __future__ import annotations

import math
import re
import struct
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag

from studies.dicom.labels import (
    AGENT_CODES,
    agent_of,
    controlled,
    controlled_sequence,
    state_of,
)
from studies.dicom.quiet import quiet

Vector = tuple[float, ...]


@dataclass(frozen=True)
class PrivateNumber:
    """A maker's own element: group, the maker's name for the block, number within the block."""

    group: int
    creator: str
    element: int


_PHILIPS = "Philips MR Imaging DD 001"
PHILIPS_SCALE_SLOPE = PrivateNumber(0x2005, _PHILIPS, 0x0E)
PHILIPS_BEGIN_TIME = PrivateNumber(0x2005, _PHILIPS, 0xA0)
PHILIPS_PREPULSE_DELAY = PrivateNumber(0x2001, "Philips Imaging DD 001", 0x1B)
PHILIPS_NUMBERS = (PHILIPS_SCALE_SLOPE, PHILIPS_BEGIN_TIME, PHILIPS_PREPULSE_DELAY)
#: In enhanced objects Philips puts its own elements of a frame into a sequence.
_PHILIPS_FRAME = PrivateNumber(0x2005, "Philips MR Imaging DD 005", 0x0F)


@dataclass(frozen=True)
class Frame:
    """What sorting, ordering and physics need of one frame; ``None`` where the header is silent.

    Times of day in s since midnight, date and time in s since 1970; delays in ms; lengths
    in mm; angles in degrees; field in tesla.
    """

    file_id: str
    sop_instance_uid: str
    frame_number: int
    frames_in_file: int
    study_uid: str
    series_uid: str
    series_number: int | None
    instance_number: int | None
    patient: tuple[str, str]
    label: str
    image_type: tuple[str, ...]
    manufacturer: str
    rows: int
    cols: int
    pixel_spacing_mm: tuple[float, float] | None
    position_mm: Vector | None
    orientation: Vector | None
    frame_datetime_s: float | None
    acquisition_time_s: float | None
    acquisition_datetime_s: float | None
    begin_time_s: float | None
    trigger_time_ms: float | None
    content_time_s: float | None
    temporal_index: int | None
    nominal_interval_ms: float | None
    echo_time_ms: float | None
    repetition_time_ms: float | None
    inversion_time_ms: float | None
    flip_angle_deg: float | None
    field_t: float | None
    sequence_name: str
    scanning_sequence: tuple[str, ...]
    sequence_variant: tuple[str, ...]
    slope: float
    intercept: float
    scale_slope: float | None
    agent: str | None = None
    #: Whether it is the protocol's name, often one for the whole examination, that says the state.
    state_by_protocol: bool = False


@quiet
def frames_of(dataset: Dataset, file_id: str) -> list[Frame]:
    """All frames of one file, in the file's order."""
    count = int(dataset.get("NumberOfFrames") or 1)
    groups = dataset.get("PerFrameFunctionalGroupsSequence")
    shared = (dataset.get("SharedFunctionalGroupsSequence") or [Dataset()])[0]
    if groups is None or len(groups) < count:
        return [_frame(dataset, file_id, n, count, [dataset]) for n in range(count)]
    return [
        _frame(dataset, file_id, n, count, [*_flatten(groups[n]), *_flatten(shared), dataset])
        for n in range(count)
    ]


def _flatten(group: Dataset) -> list[Dataset]:
    """A functional group's items, each macro a sequence of one item; then the group itself."""
    return [
        *(
            element.value[0]
            for element in group
            if element.VR == "SQ" and not element.tag.is_private and len(element.value)
        ),
        group,
    ]


def _frame(dataset: Dataset, file_id: str, index: int, count: int, places: list[Dataset]) -> Frame:
    def get(*names: str) -> Any:
        for name in names:
            for place in places:
                value = place.get(name)
                if value is not None and value != "":
                    return value
        return None

    def private(which: PrivateNumber) -> float | None:
        found = (philips_number(place, which) for place in places)
        return next((value for value in found if value is not None), None)

    def text(name: str) -> str:
        return str(dataset.get(name) or "")

    field = number(get("MagneticFieldStrength"))
    return Frame(
        file_id=file_id,
        sop_instance_uid=text("SOPInstanceUID"),
        frame_number=index + 1,
        frames_in_file=count,
        study_uid=text("StudyInstanceUID"),
        series_uid=text("SeriesInstanceUID"),
        series_number=whole(dataset.get("SeriesNumber")),
        instance_number=whole(dataset.get("InstanceNumber")),
        patient=patient_of(dataset),
        label=controlled(text("SeriesDescription"), text("ProtocolName")),
        image_type=words(get("FrameType", "ImageType")),
        manufacturer=text("Manufacturer"),
        rows=int(dataset.Rows),
        cols=int(dataset.Columns),
        pixel_spacing_mm=_pair(get("PixelSpacing")),
        position_mm=vector(get("ImagePositionPatient"), 3),
        orientation=vector(get("ImageOrientationPatient"), 6),
        frame_datetime_s=datetime_s(get("FrameAcquisitionDateTime")),
        acquisition_time_s=time_s(dataset.get("AcquisitionTime")),
        acquisition_datetime_s=datetime_s(get("AcquisitionDateTime")),
        begin_time_s=private(PHILIPS_BEGIN_TIME),
        trigger_time_ms=number(get("TriggerTime", "NominalCardiacTriggerDelayTime")),
        content_time_s=time_s(dataset.get("ContentTime")),
        temporal_index=whole(get("TemporalPositionIndex", "TemporalPositionIdentifier")),
        nominal_interval_ms=number(get("NominalInterval")),
        echo_time_ms=number(get("EchoTime", "EffectiveEchoTime")),
        repetition_time_ms=number(get("RepetitionTime")),
        inversion_time_ms=number(get("InversionTime", "InversionTimes"))
        or private(PHILIPS_PREPULSE_DELAY),
        flip_angle_deg=number(get("FlipAngle")),
        # Some GE systems write gauss.
        field_t=field / 10000 if field is not None and field > 100 else field,
        sequence_name=controlled_sequence(str(get("SequenceName", "PulseSequenceName") or "")),
        scanning_sequence=words(get("ScanningSequence")),
        sequence_variant=words(get("SequenceVariant", "SteadyStatePulseSequence")),
        slope=number(get("RescaleSlope")) or 1.0,
        intercept=number(get("RescaleIntercept")) or 0.0,
        scale_slope=private(PHILIPS_SCALE_SLOPE),
        agent=agent_in(dataset),
        state_by_protocol=state_of(text("SeriesDescription")) == "unknown",
    )


def agent_in(dataset: Dataset) -> str | None:
    """The contrast agent: classic objects name it, enhanced ones have it in a sequence by code."""
    found = agent_of(str(dataset.get("ContrastBolusAgent") or ""))
    items = dataset.get("ContrastBolusAgentSequence") or []
    for item in items if isinstance(items, Sequence) else []:
        told = [item, *(item.get("ContrastBolusIngredientCodeSequence") or [])]
        for code in told:
            found = (
                found
                or AGENT_CODES.get(str(code.get("CodeValue") or "").strip())
                or agent_of(str(code.get("CodeMeaning") or ""))
            )
    return found


def patient_of(dataset: Dataset) -> tuple[str, str]:
    """Number and name, without differences of spelling that exports make."""
    number_ = " ".join(str(dataset.get("PatientID") or "").split()).upper()
    name = str(dataset.get("PatientName") or "").replace("^", " ")
    return number_, " ".join(name.split()).upper()


def philips_number(place: Dataset, which: PrivateNumber) -> float | None:
    """A private number of Philips' in ``place`` or in the sequence that Philips keeps there."""
    found = _private(place, which)
    if found is None:
        nested = _private(place, _PHILIPS_FRAME)
        if nested is None or nested.VR != "SQ" or not nested.value:
            return None
        found = _private(nested.value[0], which)
        if found is None:
            return None
    if isinstance(found.value, bytes):
        # Read without its dictionary the value is the four bytes of a float.
        return number(struct.unpack("<f", found.value)[0]) if len(found.value) == 4 else None
    return number(found.value)


def _private(place: Dataset, which: PrivateNumber) -> DataElement | None:
    """The element in the block that its maker reserved, wherever the block lies.

    Some archives drop the reservation; the block is then taken to be the first one.
    """
    reserved = [tag for tag in place.keys() if tag.group == which.group and tag.element < 0x100]  # noqa: SIM118
    blocks = [
        tag.element for tag in reserved if str(place[tag].value or "").strip() == which.creator
    ]
    for block in blocks if reserved else [0x10]:
        tag = Tag(which.group, block << 8 | which.element)
        if tag in place:
            return place[tag]
    return None


def number(value: Any) -> float | None:
    """A finite number, the first of several; ``None`` for anything else."""
    if hasattr(value, "__len__") and not isinstance(value, str):
        value = value[0] if len(value) else None
    try:
        result = float(value)
    except (TypeError, ValueError):
        return None
    return result if math.isfinite(result) else None


def whole(value: Any) -> int | None:
    result = number(value)
    return None if result is None else int(result)


def words(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    parts = [value] if isinstance(value, str) else list(value)
    return tuple(str(part).strip().upper() for part in parts)


def vector(value: Any, length: int) -> Vector | None:
    if value is None or isinstance(value, str) or len(value) != length:
        return None
    numbers = [number(part) for part in value]
    return None if None in numbers else tuple(part for part in numbers if part is not None)


def _pair(value: Any) -> tuple[float, float] | None:
    pair = vector(value, 2)
    return (pair[0], pair[1]) if pair and min(pair) > 0 else None


_TIME = re.compile(r"(\d{2})(\d{2})?(\d{2})?(\.\d{1,6})?")


def time_s(value: Any) -> float | None:
    """A DICOM TM value, "HHMMSS.ffffff" or shorter, in s since midnight."""
    found = _TIME.match(str(value or "").strip().replace(":", ""))
    if found is None:
        return None
    hours, minutes, seconds, fraction = found.groups()
    return int(hours) * 3600 + int(minutes or 0) * 60 + int(seconds or 0) + float(fraction or 0)


def datetime_s(value: Any) -> float | None:
    """A DICOM DT value in s since 1970; the zone is left out, as only differences are used."""
    text = re.sub(r"[+-]\d{4}$", "", str(value or "").strip())
    whole_part, _, fraction = text.partition(".")
    try:
        stamp = datetime.strptime(whole_part, "%Y%m%d%H%M%S")
    except ValueError:
        return None
    return (stamp - datetime(1970, 1, 1)).total_seconds() + float(f"0.{fraction or 0}")

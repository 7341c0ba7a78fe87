"""What every object of a study shares: patient, examination, place in space, and what made it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from highdicom import PixelMeasuresSequence, PlaneOrientationSequence, PlanePositionSequence
from pydicom.dataset import Dataset

from studies.dicom.write import codes
from studies.dicom.write.film import SOFTWARE_VERSION, Film
from studies.intended_use import INTENDED_USE

MANUFACTURER = MODEL = "CoreCMR"
_PATIENT = ("PatientName", "PatientID", "PatientBirthDate")
_BODY = ("PatientAge", "PatientSize", "PatientWeight")
_REMOVED = (
    "PatientIdentityRemoved",
    "DeidentificationMethod",
    "DeidentificationMethodCodeSequence",
    "LongitudinalTemporalInformationModified",
)
_SCANNER = ("Manufacturer", "ManufacturerModelName")
#: Time of objects whose files tell none at all.
_NO_TIME = datetime(1900, 1, 1)


class NoPlace(Exception):
    """The files do not say where in the patient a slice lies; no image object can be made of it."""


def place(film: Film) -> tuple[tuple[float, ...], tuple[float, ...], tuple[float, float]]:
    """Position of the arrays' first pixel in mm, orientation, and spacing of rows and columns.

    Raises NoPlace.
    """
    first = film.frames[0]
    if first.position_mm is None or first.orientation is None or first.pixel_spacing_mm is None:
        raise NoPlace
    down, right = first.pixel_spacing_mm
    along_row, along_column = first.orientation[:3], first.orientation[3:]
    row, col = film.offset
    position = tuple(
        start + row * down * d + col * right * r
        for start, r, d in zip(first.position_mm, along_row, along_column, strict=True)
    )
    return position, first.orientation, (down, right)


def on_the_grid(film: Film, last: Dataset, what: str, number: int) -> dict[str, Any]:
    """What highdicom asks of an object with one frame on the grid of the arrays.

    last: the corrected film's last frame, of which the object is. what: its name in uids. number:
    of the series. Raises NoPlace.
    """
    position, orientation, spacing = place(film)
    thickness = last.get("SliceThickness")
    return {
        "source_images": [last],
        "series_instance_uid": film.uid(what),
        "series_number": number,
        "sop_instance_uid": film.uid(what, 1),
        "instance_number": 1,
        "manufacturer": MANUFACTURER,
        "manufacturer_model_name": MODEL,
        "software_versions": "CoreCMR",
        "device_serial_number": f"CoreCMR-{SOFTWARE_VERSION}",
        "pixel_measures": PixelMeasuresSequence(
            pixel_spacing=spacing, slice_thickness=float(thickness) if thickness else None
        ),
        "plane_orientation": PlaneOrientationSequence("PATIENT", orientation),
        "plane_positions": [PlanePositionSequence("PATIENT", position)],
    }


def decimal(value: float) -> str:
    """A decimal string of at most 16 characters, as near to the value as these allow."""
    for digits in range(16, 0, -1):
        text = f"{value:.{digits}g}"
        if len(text) <= 16:
            return text
    return f"{value:.0f}"


def same_for_all(film: Film) -> Dataset:
    """A new dataset with patient, study, frame of reference and equipment.

    Name, number and date of birth are those of the files only where these were de-identified, or
    where the film says to name the patient.
    """
    head, ds = film.head, Dataset()
    removed = str(head.get("PatientIdentityRemoved") or "") == "YES"
    known = removed or film.name_patient
    ds.SpecificCharacterSet = "ISO_IR 192"
    for keyword in _PATIENT:
        setattr(ds, keyword, _text(head, keyword) if known else "")
    sex = str(head.get("PatientSex") or "")
    ds.PatientSex = sex if sex in {"M", "F", "O"} else ""
    _copy(head, ds, _BODY)
    if removed:
        _copy(head, ds, _REMOVED)
    ds.StudyInstanceUID = str(head.StudyInstanceUID)
    ds.StudyDate, ds.StudyTime = _text(head, "StudyDate"), _text(head, "StudyTime")
    for keyword in ("AccessionNumber", "StudyID", "ReferringPhysicianName"):
        setattr(ds, keyword, _text(head, keyword) if known else "")
    if removed:
        _copy(head, ds, ("StudyDescription",))
    ds.Modality = "MR"
    ds.FrameOfReferenceUID = _text(head, "FrameOfReferenceUID") or film.uid("frame of reference")
    ds.PositionReferenceIndicator = ""
    ds.Manufacturer = MANUFACTURER
    ds.ManufacturerModelName = MODEL
    ds.DeviceSerialNumber = f"CoreCMR-{SOFTWARE_VERSION}"
    ds.SoftwareVersions = software(film)
    ds.ContributingEquipmentSequence = (
        [_scanner(head, known)] if _text(head, "Manufacturer") else []
    )
    if not ds.ContributingEquipmentSequence:
        del ds.ContributingEquipmentSequence
    return ds


def software(film: Film) -> list[str]:
    making = film.making
    return [
        f"CoreCMR {SOFTWARE_VERSION}",
        f"{making.engine} {making.version}"[:64],
        f"parameters {making.parameters_sha256[:32]}",
    ]


def _scanner(head: Dataset, known: bool) -> Dataset:
    item = Dataset()
    item.PurposeOfReferenceCodeSequence = [codes.ACQUISITION_EQUIPMENT]
    _copy(head, item, _SCANNER)
    if known:
        _copy(head, item, ("DeviceSerialNumber",))
    return item


def _copy(source: Dataset, target: Dataset, keywords: tuple[str, ...]) -> None:
    for keyword in keywords:
        if source.get(keyword) not in (None, ""):
            target[keyword] = source[keyword]


def _text(source: Dataset, keyword: str) -> str:
    return str(source.get(keyword) or "")


def named(ds: Dataset, film: Film, kind: str, description: str, number: int) -> Dataset:
    """The series and instance of an object that is alone in its series."""
    ds.SeriesInstanceUID = film.uid(kind)
    ds.SOPInstanceUID = film.uid(kind, 1)
    ds.SeriesNumber = number + film.number
    ds.InstanceNumber = 1
    ds.SeriesDescription = description[:64]
    return ds


def begin(film: Film) -> datetime | None:
    """When the first frame was taken, by the scanner's clock; ``None`` where no file says."""
    first = film.frames[0]
    for seconds in (first.frame_datetime_s, first.acquisition_datetime_s):
        if seconds is not None:
            return datetime(1970, 1, 1) + timedelta(seconds=round(seconds, 6))
    day = _day(film)
    for seconds in (first.acquisition_time_s, first.content_time_s):
        if day is not None and seconds is not None:
            return day + timedelta(seconds=round(seconds, 6))
    return day


def _day(film: Film) -> datetime | None:
    for keyword in ("AcquisitionDate", "ContentDate", "SeriesDate", "StudyDate"):
        try:
            return datetime.strptime(_text(film.head, keyword)[:8], "%Y%m%d")
        except ValueError:
            continue
    return None


def taken(film: Film) -> Iterator[datetime | None]:
    """When each frame was taken, by the times that the analysis used."""
    start = begin(film)
    for seconds in film.times_s:
        yield None if start is None else start + timedelta(seconds=seconds)


def made_at(film: Film) -> datetime:
    """The time that objects found from the whole film carry: that of its last frame.

    It moves with the patient's dates, and is the same whenever the object is made again.
    """
    return list(taken(film))[-1] or _NO_TIME


def date_and_time(moment: datetime) -> tuple[str, str]:
    return moment.strftime("%Y%m%d"), moment.strftime("%H%M%S.%f")


def stamp(ds: Dataset, moment: datetime) -> None:
    ds.ContentDate, ds.ContentTime = date_and_time(moment)
    ds.SeriesDate, ds.SeriesTime = ds.ContentDate, ds.ContentTime


def finish(ds: Dataset, film: Film, moment: datetime) -> Dataset:
    """Say of an object of highdicom's what its makers leave open, the same at each making."""
    stamp(ds, moment)
    for keyword in ("InstanceCreationDate", "InstanceCreationTime", "InstanceCreatorUID"):
        if keyword in ds:
            delattr(ds, keyword)
    shared = same_for_all(film)
    organisation = film.uid("dimensions", ds.SOPClassUID)
    for item in (*(ds.get("DimensionOrganizationSequence") or ()), *ds.DimensionIndexSequence):
        item.DimensionOrganizationUID = organisation
    for keyword in (
        "SpecificCharacterSet", *_BODY, *_REMOVED, "StudyDescription",
        "ContributingEquipmentSequence", "SoftwareVersions", "DeviceSerialNumber",
    ):  # fmt: skip
        if keyword in shared:
            ds[keyword] = shared[keyword]
    ds.ContentDescription = INTENDED_USE
    return ds

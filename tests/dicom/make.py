"""Small DICOM files for tests: an invented patient, pictures of 36 × 34 pixels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import UID, EnhancedMRImageStorage, ExplicitVRLittleEndian, MRImageStorage

ROWS, COLS = 36, 34
#: A short-axis slice as planned in most patients: rows run to the left and back, columns down.
SHORT_AXIS = [0.7, 0.7, -0.1414, -0.2, 0.0, -0.98]
#: From base to apex: to the left, to the front, down.
TO_APEX = np.array([0.68, -0.71, -0.14])


def image(**changes: Any) -> FileDataset:
    """One classic MR image in the manner of Siemens; ``changes`` set attributes, None removes."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds = FileDataset("", {}, preamble=b"\0" * 128, file_meta=meta)
    ds.SOPClassUID = MRImageStorage
    ds.SOPInstanceUID = "1.2.3.1"
    ds.StudyInstanceUID = "1.2.3.2"
    ds.SeriesInstanceUID = "1.2.3.3"
    ds.PatientName = "INVENTED^PERSON"
    ds.PatientID = "INV0001"
    ds.PatientBirthDate = "19600203"
    ds.StudyDate = "20240514"
    ds.Modality = "MR"
    ds.Manufacturer = "SIEMENS"
    ds.SeriesDescription = "Stress perfusion"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "M", "ND"]
    ds.SeriesNumber, ds.InstanceNumber = 4, 1
    ds.AcquisitionTime = "101500.000000"
    ds.ImageOrientationPatient = SHORT_AXIS
    ds.ImagePositionPatient = [0, 0, 0]
    ds.PixelSpacing = [2, 2]
    ds.Rows, ds.Columns = ROWS, COLS
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    ds.MagneticFieldStrength, ds.FlipAngle = 1.5, 12
    ds.EchoTime, ds.RepetitionTime, ds.InversionTime = 1.1, 2.2, 100
    ds.PixelData = (np.arange(ROWS * COLS, dtype="<u2") * 7 % 4096).tobytes()
    ds["PixelData"].VR = "OW"
    return change(ds, **changes)


def change(ds: FileDataset, **changes: Any) -> FileDataset:
    for name, value in changes.items():
        if value is None:
            if name in ds:
                delattr(ds, name)
        else:
            setattr(ds, name, value)
    ds.file_meta.MediaStorageSOPClassUID = ds.get("SOPClassUID", MRImageStorage)
    ds.file_meta.MediaStorageSOPInstanceUID = ds.get("SOPInstanceUID", "1.2.3.1")
    return ds


def clock(seconds: float, start: float = 36900.0) -> str:
    """A DICOM time of day, around midnight if it must be."""
    time = (start + seconds) % 86400
    hours, rest = divmod(time, 3600)
    minutes, rest = divmod(rest, 60)
    return f"{int(hours):02d}{int(minutes):02d}{rest:09.6f}"


def film(
    count: int = 20,
    *,
    series: str = "1",
    along_mm: float = 0.0,
    start: float = 36900.0,
    beat: float = 0.8,
    **changes: Any,
) -> list[FileDataset]:
    """One slice over time; ``along_mm`` from base to apex, a clock as Siemens writes it."""
    series = "".join(sign if sign.isdigit() else str(ord(sign)) for sign in series)
    place = (along_mm * TO_APEX / np.linalg.norm(TO_APEX)).tolist()
    frames = []
    for number in range(count):
        own = {name: each(number) if callable(each) else each for name, each in changes.items()}
        frames.append(
            image(
                **{
                    "SOPInstanceUID": f"1.2.3.4.{series}.{number + 1}",
                    "SeriesInstanceUID": f"1.2.3.5.{series}",
                    "InstanceNumber": number + 1,
                    "AcquisitionTime": clock(number * beat, start),
                    "TriggerTime": 155,
                    "ImagePositionPatient": [round(part, 4) for part in place],
                    **own,
                }
            )
        )
    return frames


def enhanced(
    along_mm: Sequence[float] = (0.0, 10.0),
    count: int = 15,
    beat: float = 0.9,
    description: str = "Rest perf",
    scale_slope: float | None = 4.75,
) -> FileDataset:
    """All slices and beats in one Philips multi-frame object; frames are not in order of time."""
    ds = image(
        SOPClassUID=EnhancedMRImageStorage,
        SOPInstanceUID=f"1.2.3.7.{len(along_mm)}",
        SeriesInstanceUID="1.2.3.6",
        Manufacturer="Philips Medical Systems",
        SeriesDescription=description,
        NumberOfFrames=len(along_mm) * count,
        AcquisitionTime=None,
        ImageOrientationPatient=None,
        ImagePositionPatient=None,
        PixelSpacing=None,
        EchoTime=None,
        RepetitionTime=None,
        InversionTime=None,
        FlipAngle=None,
    )
    shared = Dataset()
    shared.PlaneOrientationSequence = Items([_item(ImageOrientationPatient=SHORT_AXIS)])
    shared.PixelMeasuresSequence = Items([_item(PixelSpacing=[2.5, 2.5])])
    shared.MRTimingAndRelatedParametersSequence = Items([_item(RepetitionTime=2.4, FlipAngle=15.0)])
    shared.MREchoSequence = Items([_item(EffectiveEchoTime=1.2)])
    ds.SharedFunctionalGroupsSequence = Items([shared])
    delay = ds.private_block(0x2001, "Philips Imaging DD 001", create=True)
    delay.add_new(0x1B, "FL", 110.0)
    groups = []
    for beat_number in reversed(range(count)):
        for n, along in enumerate(along_mm):
            place = along * TO_APEX / np.linalg.norm(TO_APEX)
            group = Dataset()
            stamp = f"20240514{clock(beat_number * beat + 0.1 * n)}"
            group.FrameContentSequence = Items(
                [_item(FrameAcquisitionDateTime=stamp, TemporalPositionIndex=beat_number + 1)]
            )
            group.PlanePositionSequence = Items(
                [_item(ImagePositionPatient=[round(float(part), 4) for part in place])]
            )
            group.PixelValueTransformationSequence = Items(
                [_item(RescaleSlope=1.5, RescaleIntercept=0)]
            )
            if scale_slope is not None:
                own = Dataset()
                block = own.private_block(0x2005, "Philips MR Imaging DD 001", create=True)
                block.add_new(0x0E, "FL", scale_slope)
                group.add_new((0x2005, 0x0014), "LO", "Philips MR Imaging DD 005")
                group.add_new((0x2005, 0x140F), "SQ", Items([own]))
            groups.append(group)
    ds.PerFrameFunctionalGroupsSequence = Items(groups)
    stored = np.arange(len(groups) * ROWS * COLS, dtype="<u2") % 4096
    ds.PixelData = stored.tobytes()
    return ds


def _item(**values: Any) -> Dataset:
    item = Dataset()
    for name, value in values.items():
        setattr(item, name, value)
    return item


def save(datasets: Iterable[FileDataset], folder: Path) -> list[Path]:
    """Write each under a name that says nothing, in an order that is not that of time."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, ds in enumerate(datasets):
        path = folder / f"{(number * 7919 + 13) % 100003:06X}"
        ds.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


CT = UID("1.2.840.10008.5.1.4.1.1.2")

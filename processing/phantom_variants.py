"""The phantom's files as other scanners and exports lay them out, and with names that do not help.

Each variant takes the datasets of a vendor's usual layout and gives them changed.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import MRImageStorage

from processing import phantom_philips, phantom_vendors
from processing.mcaq.phantom import PhantomStudy

Names = Literal["usual", "blind", "protocol", "misleading"]
#: Levels by name in an order that no stack of slices has.
_WRONG_LEVELS = {"basal": "mid", "mid": "apical", "mid2": "apical", "apical": "basal"}
_BLIND = "SAX_DYN 3sl"


@dataclass(frozen=True)
class Variant:
    """How files differ from the vendor's usual ones.

    names: "blind" says nothing of state, slice or input; "protocol" names the whole examination
    stress and no series; "misleading" also gives slices the names of other levels. pd_apart:
    proton-density frames in series of their own. one_series: all slices of a state interleaved
    in one series. scanner_maps: flow maps as the scanner would compute them.
    """

    names: Names = "usual"
    pd_apart: bool = False
    one_series: bool = False
    scanner_maps: bool = False


def varied(datasets: Iterable[Dataset], study: PhantomStudy, variant: Variant) -> Iterator[Dataset]:
    """The vendor's files, changed."""
    levels = _levels(study)
    for dataset in datasets:
        # A vendor's writer changes one dataset and gives it again.
        ds = copy.copy(dataset)
        ds.file_meta = copy.deepcopy(dataset.file_meta)
        if variant.pd_apart and float(ds.get("FlipAngle") or 90) < 8:
            ds.SeriesInstanceUID = phantom_vendors.uid(study.seed, 20, _number(ds))
            ds.SeriesNumber = str(100 + int(ds.SeriesNumber))
        elif variant.one_series:
            stress = "tress" in str(dataset.SeriesDescription)
            coarse = "AIF" in str(dataset.SeriesDescription)
            ds.SeriesInstanceUID = phantom_vendors.uid(study.seed, 21, int(stress), int(coarse))
        _rename(ds, variant.names, levels)
        yield ds


def _number(ds: Dataset) -> int:
    return int(ds.SeriesNumber)


def _levels(study: PhantomStudy) -> dict[tuple[int, int, int], str]:
    """The level of a slice by its first pixel's place, in whole mm."""
    found = {}
    for series, truth in zip(study.series, study.truth, strict=True):
        found[_place(phantom_vendors.first_pixel(series, truth))] = str(truth.level)
    return found


def _place(position: Iterable[object]) -> tuple[int, int, int]:
    x, y, z = (round(float(str(part))) for part in position)
    return x, y, z


def _rename(ds: Dataset, names: Names, levels: dict[tuple[int, int, int], str]) -> None:
    if names == "usual":
        return
    ds.SeriesDescription = _BLIND
    ds.ProtocolName = "" if names == "blind" else "stress perfusion study"
    if names == "misleading" and "ImagePositionPatient" in ds:
        level = levels.get(_place(ds.ImagePositionPatient))
        if level is not None:
            ds.SeriesDescription = f"{_BLIND} {_WRONG_LEVELS[level]}"


def philips_classic(study: PhantomStudy, head: Dataset, start: datetime) -> Iterator[Dataset]:
    """Philips' classic images: all slices and beats in one series, no clock but the private one.

    AcquisitionTime is the same for all; the begin of each dynamic stands in (2005,10A0).
    """
    for number, whole in enumerate(phantom_philips.philips(study, head, start)):
        shared = whole.SharedFunctionalGroupsSequence[0]
        stored = np.frombuffer(whole.PixelData, "<u2").reshape(-1, whole.Rows, whole.Columns)
        begun = datetime.strptime(str(whole.AcquisitionDateTime), "%Y%m%d%H%M%S.%f")
        for index, group in enumerate(whole.PerFrameFunctionalGroupsSequence):
            ds = copy.deepcopy(head)
            ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = MRImageStorage
            ds.SOPInstanceUID = phantom_vendors.uid(study.seed, 22, number, index)
            ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
            ds.ImageType = ["ORIGINAL", "PRIMARY", "M_FFE", "M", "FFE"]
            for name in (
                "Manufacturer", "ManufacturerModelName", "DeviceSerialNumber", "SeriesNumber",
                "SeriesInstanceUID", "SeriesDescription", "ProtocolName", "MagneticFieldStrength",
            ):  # fmt: skip
                setattr(ds, name, whole[name].value)
            content = group.FrameContentSequence[0]
            when = datetime.strptime(str(content.FrameAcquisitionDateTime), "%Y%m%d%H%M%S.%f")
            ds.SeriesTime = ds.AcquisitionTime = begun.strftime("%H%M%S.%f")
            ds.ContentTime = (begun + timedelta(seconds=95)).strftime("%H%M%S.%f")
            ds.TemporalPositionIdentifier = str(content.TemporalPositionIndex)
            ds.InstanceNumber = str(index + 1)
            ds.ImagePositionPatient = group.PlanePositionSequence[0].ImagePositionPatient
            ds.ImageOrientationPatient = shared.PlaneOrientationSequence[0].ImageOrientationPatient
            ds.PixelSpacing = shared.PixelMeasuresSequence[0].PixelSpacing
            ds.SliceThickness = "8"
            timing = group.MRTimingAndRelatedParametersSequence[0]
            ds.RepetitionTime, ds.FlipAngle = timing.RepetitionTime, timing.FlipAngle
            ds.EchoTime = f"{group.MREchoSequence[0].EffectiveEchoTime:.2f}"
            beat = group.CardiacSynchronizationSequence[0]
            ds.TriggerTime = f"{beat.NominalCardiacTriggerDelayTime:g}"
            ds.ScanningSequence, ds.SequenceVariant = ["GR"], ["SP", "MP"]
            ds.MRAcquisitionType = "2D"
            ds.ScanOptions = "CG"
            ds.EchoTrainLength, ds.PatientPosition, ds.BodyPartExamined = "1", "HFS", "HEART"
            ds.ContrastBolusAgent = "Gadovist"
            ds.Rows, ds.Columns = whole.Rows, whole.Columns
            scaling = group.PixelValueTransformationSequence[0]
            ds.RescaleSlope, ds.RescaleIntercept = scaling.RescaleSlope, "0"
            own = ds.private_block(0x2005, "Philips MR Imaging DD 001", create=True)
            own.add_new(0x0E, "FL", phantom_philips.scale_slope(group))
            own.add_new(0xA0, "FL", (when - begun).total_seconds())
            delay = whole.private_block(0x2001, "Philips Imaging DD 001")[0x1B].value
            ds.private_block(0x2001, "Philips Imaging DD 001", create=True).add_new(
                0x1B, "FL", delay
            )
            phantom_vendors.pixels(ds, stored[index])
            yield ds


def siemens_enhanced(study: PhantomStudy, head: Dataset, start: datetime) -> Iterator[Dataset]:
    """Siemens' enhanced objects: one multi-frame file for each slice and state."""
    for number, series, truth, is_input in phantom_vendors.films(study):
        film = (number, series, truth, is_input)
        ds = phantom_philips.one_object(study, head, start, series.state, [film], is_input)
        ds.SOPInstanceUID = phantom_vendors.uid(study.seed, 23, number)
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
        ds.SeriesInstanceUID, ds.SeriesNumber = series.uid, str(20 + number)
        ds.Manufacturer, ds.ManufacturerModelName = "SIEMENS", "Sola"
        ds.DeviceSerialNumber = "90004"
        ds.PulseSequenceName = "*tfl2d1"
        word = "Stress" if series.state == "stress" else "Rest"
        ds.SeriesDescription = f"{word} perfusion {'AIF' if is_input else 'dynamic'}"
        ds.ProtocolName = "perf_tfl_sr"
        ds.remove_private_tags()
        modifier = ds.SharedFunctionalGroupsSequence[0].MRModifierSequence[0]
        modifier.InversionRecovery = "YES"
        modifier.InversionTimes = [float(series.acquisition.saturation_time_ms or 100.0)]
        yield ds


def scanner_maps(study: PhantomStudy, head: Dataset, start: datetime) -> Iterator[Dataset]:
    """The truth's flow as a scanner's inline maps: derived images, pixel = 100 × ml/min/g."""
    for number, (series, truth) in enumerate(zip(study.series, study.truth, strict=True)):
        ds = copy.deepcopy(head)
        stress = series.state == "stress"
        ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = MRImageStorage
        ds.SOPInstanceUID = phantom_vendors.uid(study.seed, 24, number)
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
        ds.ImageType = ["DERIVED", "PRIMARY", "PERFUSION", "NONE"]
        ds.Manufacturer, ds.ManufacturerModelName = "SIEMENS", "Aera"
        ds.SeriesInstanceUID = phantom_vendors.uid(study.seed, 25, number)
        ds.SeriesNumber = str(200 + number)
        ds.SeriesDescription = f"{'STRESS' if stress else 'REST'}_Perf_Flow_Map_SLC{number % 3}"
        ds.ProtocolName = "perf_tfl_sr"
        when = start + timedelta(seconds=phantom_vendors.clock(series, truth)[-1] + 20)
        ds.SeriesTime = ds.AcquisitionTime = ds.ContentTime = when.strftime("%H%M%S.%f")
        ds.InstanceNumber = "1"
        ds.ScanningSequence, ds.SequenceVariant, ds.MRAcquisitionType = ["GR"], ["SP"], "2D"
        ds.ImagePositionPatient = phantom_vendors.decimals(
            phantom_vendors.first_pixel(series, truth)
        )
        place = truth.placement
        ds.ImageOrientationPatient = phantom_vendors.decimals(
            (*place.along_row, *place.along_column), 8
        )
        ds.PixelSpacing = [f"{size:.8g}" for size in series.pixel_spacing_mm]
        ds.SliceThickness = "8"
        ds.Rows, ds.Columns = truth.mbf.shape
        ds.RescaleSlope, ds.RescaleIntercept, ds.RescaleType = "1", "0", "US"
        phantom_vendors.pixels(ds, 100 * np.nan_to_num(truth.mbf))
        yield ds

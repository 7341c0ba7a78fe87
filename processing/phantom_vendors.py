"""How the vendors' files tell the same phantom film: time, slices, sequence, scaling.

Seen in real files: Siemens writes one series a slice, with AcquisitionTime as the clock and
TriggerTime as a constant delay; GE writes all slices into one series, with TriggerTime counting
up from the start, a useless AcquisitionTime and the field in gauss. Enhanced objects are written
by ``phantom_philips``.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.uid import MRImageStorage

from processing.mcaq.phantom import PhantomStudy, SeriesTruth
from processing.mcaq.series import Series

_LARMOR_MHZ_PER_T = 42.577
#: Number, series, truth, and whether it is an input series.
Film = tuple[int, Series, SeriesTruth, bool]


def uid(*parts: int) -> str:
    """A UID that these numbers always give."""
    words = np.random.SeedSequence([5, *parts]).generate_state(4, np.uint32)
    return f"2.25.{int.from_bytes(words.tobytes(), 'big') >> 6 | 1 << 121}"


def films(study: PhantomStudy) -> Iterator[Film]:
    """Number, series, truth and whether it is an input series; input series before theirs."""
    number = 0
    for one, truth in zip(study.series, study.truth, strict=True):
        if one.aif is not None and truth.level == study.truth[0].level:
            for echo in echoes(one.aif):
                yield number, echo, truth, True
                number += 1
        yield number, one, truth, False
        number += 1


def echoes(series: Series) -> list[Series]:
    """An input series as files have it: each echo a film of its own, of the same frames."""
    if series.later_echo is None:
        return [series]
    how = replace(series.acquisition, later_echo_time_ms=None)
    first = replace(series, acquisition=how, later_echo=None)
    later = replace(
        first,
        signal=series.later_echo,
        acquisition=replace(how, echo_time_ms=series.acquisition.later_echo_time_ms),
    )
    return [first, later]


def _stamp(moment: datetime) -> str:
    return moment.strftime("%H%M%S.%f")


def decimals(values: tuple[float, ...], digits: int = 6) -> list[str]:
    """Decimal strings of at most 16 characters."""
    return [f"{value:.{digits}f}" for value in values]


def clock(series: Series, truth: SeriesTruth) -> list[float]:
    """Seconds of each frame from the study's start; input frames come a moment earlier."""
    early = 0.0 if series.uid == truth.uid else 0.06
    return [float(t) + float(truth.clock_s[0]) - early for t in series.times_s]


def _sequence(ds: Dataset, series: Series) -> None:
    """What the sequence was, in the words that all classic files share."""
    how = series.acquisition
    field = how.field_t or 1.5
    ds.ScanningSequence = ["GR", "IR"]
    ds.SequenceVariant = ["SK", "SP", "MP"]
    ds.ScanOptions = "CG"
    ds.MRAcquisitionType = "2D"
    ds.AngioFlag = "N"
    ds.SliceThickness = "8"
    ds.RepetitionTime = "177.5"
    ds.EchoTime = f"{how.echo_time_ms:.2f}"
    ds.InversionTime = f"{how.saturation_time_ms:.1f}"
    ds.NumberOfAverages = "1"
    ds.ImagingFrequency = f"{field * _LARMOR_MHZ_PER_T:.6f}"
    ds.ImagedNucleus = "1H"
    ds.EchoNumbers = "1"
    ds.MagneticFieldStrength = f"{field:g}"
    ds.SpacingBetweenSlices = "18"
    ds.NumberOfPhaseEncodingSteps = str(4 * (how.pulses_to_centre or 24))
    ds.EchoTrainLength = "1"
    ds.PercentSampling = "82"
    ds.PercentPhaseFieldOfView = "83.3"
    ds.PixelBandwidth = "1000"
    ds.ContrastBolusAgent = "Gadobutrol"
    ds.ContrastBolusVolume = "5.6"
    ds.BodyPartExamined = "HEART"
    ds.TransmitCoilName = "Body"
    ds.ReceiveCoilName = "HeartMatrix"
    ds.InPlanePhaseEncodingDirection = "ROW"
    ds.VariableFlipAngleFlag = "N"
    ds.SAR = "0.21"
    ds.PatientPosition = "HFS"


def _geometry(ds: Dataset, series: Series, truth: SeriesTruth) -> None:
    place = truth.placement
    ds.ImagePositionPatient = decimals(first_pixel(series, truth))
    ds.ImageOrientationPatient = decimals((*place.along_row, *place.along_column), 8)
    normal = np.cross(place.along_row, place.along_column)
    ds.SliceLocation = f"{float(np.dot(normal, place.position)):.4f}"
    ds.PixelSpacing = [f"{size:.8g}" for size in series.pixel_spacing_mm]
    ds.Rows, ds.Columns = series.signal.shape[1:]


def first_pixel(series: Series, truth: SeriesTruth) -> tuple[float, ...]:
    """Centre of the first pixel; coarser pixels begin at the same corner of the field of view."""
    place = truth.placement
    own = np.array(series.pixel_spacing_mm)
    field_of_view = own * series.signal.shape[1:]
    half = 0.5 * (own - field_of_view / np.array(truth.segmentation.shape))
    first = (
        np.array(place.position)
        + half[0] * np.array(place.along_column)
        + half[1] * np.array(place.along_row)
    )
    return tuple(float(part) for part in first)


def pixels(ds: Dataset, picture: np.ndarray, *, signed: bool = False, stored: int = 12) -> None:
    values = np.clip(np.rint(picture), 0, 2**stored - 1).astype("<u2")
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.BitsAllocated = 16
    ds.BitsStored = 16 if signed else stored
    ds.HighBit = ds.BitsStored - 1
    ds.PixelRepresentation = int(signed)
    ds.WindowCenter, ds.WindowWidth = "230", "460"
    ds["PixelData"] = DataElement(0x7FE00010, "OW", values.tobytes())


def siemens(study: PhantomStudy, head: Dataset, start: datetime) -> Iterator[Dataset]:
    """One series for each slice and state; the order of slices is told by geometry alone."""
    for number, series, truth, is_input in films(study):
        ds = copy.deepcopy(head)
        stress = series.state == "stress"
        times = clock(series, truth)
        ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = MRImageStorage
        ds.ImageType = ["ORIGINAL", "PRIMARY", "M", "ND", "NORM"]
        ds.Manufacturer = "SIEMENS"
        ds.ManufacturerModelName = "Aera"
        ds.DeviceSerialNumber = "90001"
        ds.SoftwareVersions = "syngo MR E11"
        ds.SeriesTime = _stamp(start + timedelta(seconds=times[-1] + 4 + number))
        word = "Stress" if stress else "Rest"
        ds.SeriesDescription = f"{word} perfusion {'AIF' if is_input else 'dynamic'}"
        ds.ProtocolName = f"{word.lower()}_perf_tfl_sr_3slice"
        _sequence(ds, series)
        ds.SequenceName = f"*tfl2d1_{2 * (series.acquisition.pulses_to_centre or 24)}"
        ds.TriggerTime = f"{truth.trigger_delay_ms:g}"
        ds.AcquisitionMatrix = [0, series.signal.shape[1], series.signal.shape[2], 0]
        ds.SeriesInstanceUID = series.uid
        ds.SeriesNumber = str((20 if stress else 40) + number)
        _geometry(ds, series, truth)
        ds.ImageComments = f"{head.PatientName} perfusion"
        _siemens_private(ds, head)
        for frame, picture in enumerate(series.signal):
            ds.SOPInstanceUID = uid(study.seed, 3, number, frame)
            ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
            ds.AcquisitionTime = _stamp(start + timedelta(seconds=times[frame]))
            later = times[-1] + 5 + number + 0.11 * frame
            ds.ContentTime = _stamp(start + timedelta(seconds=later))
            ds.AcquisitionNumber = ds.InstanceNumber = str(frame + 1)
            ds.NominalInterval = str(round(float(truth.beat_ms[frame])))
            _flip(ds, series, frame)
            pixels(ds, picture)
            yield ds


def _flip(ds: Dataset, series: Series, frame: int) -> None:
    how = series.acquisition
    pd = series.roles[frame] == "pd"
    ds.FlipAngle = f"{how.pd_flip_angle_deg if pd else how.flip_angle_deg:g}"


def _siemens_private(ds: Dataset, head: Dataset) -> None:
    """The maker's own blocks; their text holds the patient's name, as real ones do."""
    block = ds.private_block(0x0019, "SIEMENS MR HEADER", create=True)
    block.add_new(0x08, "CS", "IMAGE NUM 4")
    block.add_new(0x09, "LO", "1.0")
    block.add_new(0x0F, "SH", "Fast")
    block = ds.private_block(0x0029, "SIEMENS CSA HEADER", create=True)
    text = f"SV10 tPatientName = {head.PatientName} tPatientID = {head.PatientID}".encode()
    block.add_new(0x08, "CS", "IMAGE NUM 4")
    block.add_new(0x09, "LO", head.StudyDate)
    block.add_new(0x10, "OB", text + b"\0" * (-len(text) % 2))


def ge(study: PhantomStudy, head: Dataset, start: datetime) -> Iterator[Dataset]:
    """All slices of a state in one series, interleaved; TriggerTime counts up from its start."""
    for state in dict.fromkeys(one.state for one in study.series):
        mine = [film for film in films(study) if film[1].state == state and not film[3]]
        inputs = [film for film in films(study) if film[1].state == state and film[3]]
        for number, group in enumerate((mine, inputs)):
            if group:
                yield from _ge_series(study, head, start, state, number, group)


def _ge_series(
    study: PhantomStudy, head: Dataset, start: datetime, state: str, number: int,
    group: list[Film],
) -> Iterator[Dataset]:  # fmt: skip
    ds = copy.deepcopy(head)
    stress = state == "stress"
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = MRImageStorage
    ds.ImageType = ["ORIGINAL", "PRIMARY", "OTHER"]
    ds.Manufacturer = "GE MEDICAL SYSTEMS"
    ds.ManufacturerModelName = "SIGNA EXCITE"
    ds.DeviceSerialNumber = "0000000A90001"
    ds.SoftwareVersions = "09"
    ds.SeriesDescription = f"FGRET {state}{' AIF' if number else ''}"
    ds.ProtocolName = f"cardiac {state}"
    ds.SeriesInstanceUID = uid(study.seed, 4, int(stress), number)
    ds.SeriesNumber = str((6 if stress else 9) + number)
    _sequence(ds, group[0][1])
    field = group[0][1].acquisition.field_t or 1.5
    # These systems write the field in gauss and the frequency in tenths of hertz.
    ds.MagneticFieldStrength = f"{10000 * field:g}"
    ds.ImagingFrequency = f"{field * _LARMOR_MHZ_PER_T * 1e7:.0f}"
    ds.ImagedNucleus = "H1"
    ds.RepetitionTime = "6.827"
    block = ds.private_block(0x0009, "GEMS_IDEN_01", create=True)
    block.add_new(0x01, "LO", "GE_GENESIS_FF")
    block.add_new(0x27, "LO", str(head.PatientName))
    first = min(clock(series, truth)[0] for _, series, truth, _ in group)
    begun = start + timedelta(seconds=first)
    ds.SeriesTime = _stamp(begun)
    instance = 1
    for frame in range(len(group[0][1].times_s)):
        for film, series, truth, _ in group:
            instance += 1
            moment = clock(series, truth)[frame]
            ds.SOPInstanceUID = uid(study.seed, 5, film, frame)
            ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
            # Three values for the whole film: of no use as a clock.
            third = 3 * frame // len(series.times_s)
            ds.AcquisitionTime = ds.ContentTime = _stamp(begun + timedelta(seconds=20 * third))
            ds.TriggerTime = f"{1000 * (moment - first) + truth.trigger_delay_ms:.1f}"
            ds.NominalInterval = "6"
            ds.HeartRate = str(round(60000 / float(np.median(truth.beat_ms))))
            ds.AcquisitionNumber = "0"
            ds.InstanceNumber = str(instance)
            ds.InversionTime = f"{series.acquisition.saturation_time_ms:.1f}"
            ds.EchoTime = f"{series.acquisition.echo_time_ms:.2f}"
            _geometry(ds, series, truth)
            _flip(ds, series, frame)
            pixels(ds, series.signal[frame], signed=True)
            yield ds

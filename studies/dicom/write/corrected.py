"""The corrected film as MR images: one for each frame, with its own time.

Stored values have 16 bits; one slope, a power of two, serves the whole film, and its intercept is
zero, so that signals keep their ratio whether a reader applies it or not. A value that is read back
differs from the array by half a slope at most.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import MRImageStorage

from studies.dicom.frames import Frame
from studies.dicom.quiet import quiet
from studies.dicom.write import codes, encode
from studies.dicom.write.film import Film
from studies.dicom.write.head import (
    date_and_time,
    decimal,
    place,
    same_for_all,
    taken,
)
from studies.intended_use import INTENDED_USE

_SERIES_NUMBER = 9101
_SEQUENCES = frozenset({"SE", "IR", "GR", "EP", "RM"})
_VARIANTS = frozenset({"SK", "MTC", "SS", "TRSS", "SP", "MP", "OSP", "NONE"})
_OPTIONS = frozenset(
    {"PER", "RG", "CG", "PPG", "FC", "PFF", "PFP", "SP", "FS", "CT", "SAT", "GATED", "CARD_GATED"}
)
_GATED = frozenset({"CG", "PPG", "CARD_GATED", "GATED"})
#: Kept as they are where the file has them, at its top or in a functional group.
_NUMBERS = (
    "SliceThickness", "SpacingBetweenSlices", "NumberOfAverages", "NumberOfPhaseEncodingSteps",
    "EchoNumbers", "PercentSampling", "PercentPhaseFieldOfView", "PixelBandwidth",
)  # fmt: skip
_HIGHEST_MHZ = 1000.0


@dataclass(frozen=True)
class Corrected:
    """The objects of a corrected film: their UIDs in the order of time, the last one, all as files.

    Only the few elements that differ are encoded for each frame: there are hundreds of frames.
    """

    series_uid: str
    uids: tuple[str, ...]
    _shared: encode.Encoded
    _own: tuple[encode.Encoded, ...]

    def files(self) -> Iterator[bytes]:
        return (self._file(number) for number in range(len(self.uids)))

    def _file(self, number: int) -> bytes:
        start = encode.file_start(MRImageStorage, self.uids[number])
        return start + encode.joined(self._shared | self._own[number])

    @cached_property
    def last(self) -> Dataset:
        return dcmread(BytesIO(self._file(-1)))

    @cached_property
    def references(self) -> Dataset:
        """All frames as SourceImageSequence and ReferencedSeriesSequence, encoded once for all."""
        purpose = encode.elements(_purpose())
        refs = [
            encode.text(ReferencedSOPClassUID=MRImageStorage, ReferencedSOPInstanceUID=uid)
            for uid in self.uids
        ]
        series = encode.text(SeriesInstanceUID=self.series_uid)
        series |= encode.sequence("ReferencedInstanceSequence", refs)
        told = encode.sequence("SourceImageSequence", [ref | purpose for ref in refs])
        told |= encode.sequence("ReferencedSeriesSequence", [series])
        return encode.read(told)


def _purpose() -> Dataset:
    ds = Dataset()
    ds.PurposeOfReferenceCodeSequence = [codes.SOURCE_IMAGE]
    return ds


@quiet
def corrected(film: Film) -> Corrected:
    """The corrected film. Raises head.NoPlace."""
    base = image(film)
    slope, stored = quantised(film.corrected)
    base.SOPClassUID = MRImageStorage
    base.ImageType = ["DERIVED", "SECONDARY", "OTHER", "MOCO"]
    base.SeriesInstanceUID = film.uid("corrected")
    base.SeriesNumber = _SERIES_NUMBER + film.number
    base.SeriesDescription = f"MOCO perfusion {film.title}, research"[:64]
    base.DerivationDescription = _told(film)
    base.DerivationCodeSequence = [codes.DEFORMED_FOR_REGISTRATION]
    base.NumberOfTemporalPositions = len(film.frames)
    grey(base, stored, slope)
    moments = list(taken(film))
    base.SeriesDate, base.SeriesTime = date_and_time(moments[0]) if moments[0] else ("", "")
    contents = {frame.content_time_s for frame in film.frames}
    own_content = None not in contents and len(contents) == len(film.frames)
    inverted = "IR" in _words(base.ScanningSequence)
    purpose = encode.elements(_purpose())
    uids = tuple(film.uid("corrected", n + 1) for n in range(len(film.frames)))
    own = []
    for number, (frame, moment, picture) in enumerate(
        zip(film.frames, moments, stored, strict=True)
    ):
        count = str(number + 1)
        own.append(
            encode.text(
                SOPInstanceUID=uids[number],
                InstanceNumber=count,
                AcquisitionNumber=count,
                TemporalPositionIdentifier=count,
                **_when(frame, moment, own_content=own_content),
                **_pulses(frame, inverted=inverted),
            )
            | encode.sequence("SourceImageSequence", [_source(film.head, frame) | purpose])
            | encode.pixels(picture.tobytes())
        )
    return Corrected(
        series_uid=str(base.SeriesInstanceUID),
        uids=uids,
        _shared=encode.elements(base),
        _own=tuple(own),
    )


def image(film: Film) -> Dataset:
    """What all MR images made from a film share. Raises head.NoPlace."""
    ds = same_for_all(film)
    position, orientation, spacing = place(film)
    ds.ImagePositionPatient = [decimal(value) for value in position]
    ds.ImageOrientationPatient = [decimal(value) for value in orientation]
    ds.PixelSpacing = [decimal(value) for value in spacing]
    ds.BodyPartExamined = "HEART"
    ds.BurnedInAnnotation = "NO"
    ds.ImageComments = INTENDED_USE
    lossy = str(film.head.get("LossyImageCompression") or "")
    ds.LossyImageCompression = "01" if lossy == "01" else "00"
    if lossy == "01":
        for keyword in ("LossyImageCompressionRatio", "LossyImageCompressionMethod"):
            if keyword in film.head:
                ds[keyword] = film.head[keyword]
    _sequence(ds, film)
    return ds


def _sequence(ds: Dataset, film: Film) -> None:
    """How the film was taken, as far as the files tell and MR images have a place for it."""
    frame, head = film.frames[-1], film.head
    given = set(frame.scanning_sequence)
    ds.ScanningSequence = sorted(given & _SEQUENCES) or "RM"
    ds.SequenceVariant = [v for v in frame.sequence_variant if v in _VARIANTS] or "NONE"
    options = [o for o in _words(_find(head, "ScanOptions")) if o in _OPTIONS]
    if not _GATED & set(options) and any(f.trigger_time_ms is not None for f in film.frames):
        # A time after the trigger is there only where the heart triggered.
        options.append("CG")
    ds.ScanOptions = options or ""
    kind = str(_find(head, "MRAcquisitionType") or "")
    ds.MRAcquisitionType = kind if kind in {"2D", "3D"} else "2D"
    for keyword in _NUMBERS:
        value = _find(head, keyword)
        if value is not None:
            setattr(ds, keyword, value)
    if "SliceThickness" not in ds:
        ds.SliceThickness = None
    ds.EchoTrainLength = _find(head, "EchoTrainLength")
    ds.EchoTime = _decimal(frame.echo_time_ms)
    ds.RepetitionTime = _decimal(frame.repetition_time_ms)
    if frame.field_t is not None:
        ds.MagneticFieldStrength = _decimal(frame.field_t)
    frequency = _find(head, "ImagingFrequency")
    if frequency is not None and 0 < float(frequency) < _HIGHEST_MHZ:
        ds.ImagingFrequency = frequency
        ds.ImagedNucleus = "1H"
    if frame.sequence_name:
        ds.SequenceName = frame.sequence_name
    if frame.agent is not None:
        ds.ContrastBolusAgent = frame.agent
    ds.PatientPosition = str(_find(head, "PatientPosition") or "")


def _find(head: Dataset, keyword: str) -> Any:
    """A value at the top of a file, or in the functional groups that frames share."""
    if head.get(keyword) not in (None, ""):
        return head.get(keyword)
    for name in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        for group in list(head.get(name) or [])[:1]:
            for element in group:
                if element.VR == "SQ" and len(element.value):
                    value = element.value[0].get(keyword)
                    if value not in (None, ""):
                        return value
    return None


def _words(value: Any) -> list[str]:
    if value is None:
        return []
    return [value.upper()] if isinstance(value, str) else [str(part).upper() for part in value]


def _decimal(value: float | None) -> str | None:
    return None if value is None else decimal(value)


def _when(frame: Frame, moment: datetime | None, *, own_content: bool) -> dict[str, str]:
    """The frame's times: AcquisitionTime as the analysis understood it, the rest as it came."""
    told = {"ContentDate": "", "ContentTime": ""}
    if moment is not None:
        day, time = date_and_time(moment)
        told = {"ContentDate": day, "ContentTime": time}
        told |= {"AcquisitionDate": day, "AcquisitionTime": time}
    if own_content and frame.content_time_s is not None:
        told["ContentTime"] = _time_of_day(frame.content_time_s)
    if frame.trigger_time_ms is not None:
        told["TriggerTime"] = decimal(frame.trigger_time_ms)
    if frame.nominal_interval_ms is not None:
        told["NominalInterval"] = str(round(frame.nominal_interval_ms))
    return told


def _time_of_day(seconds: float) -> str:
    micro = round(seconds * 1e6)
    hours, rest = divmod(micro, 3_600_000_000)
    minutes, rest = divmod(rest, 60_000_000)
    return f"{hours % 24:02d}{minutes:02d}{rest // 1_000_000:02d}.{rest % 1_000_000:06d}"


def _pulses(frame: Frame, *, inverted: bool) -> dict[str, str]:
    told = {}
    if frame.flip_angle_deg is not None:
        told["FlipAngle"] = decimal(frame.flip_angle_deg)
    if inverted:
        # MR images have no place for a time after saturation where nothing is inverted.
        told["InversionTime"] = _decimal(frame.inversion_time_ms) or ""
    return told


def _source(head: Dataset, frame: Frame) -> encode.Encoded:
    """A reference to the image that a frame came from, without its purpose."""
    told = {} if frame.frames_in_file == 1 else {"ReferencedFrameNumber": str(frame.frame_number)}
    return encode.text(
        ReferencedSOPClassUID=str(head.SOPClassUID),
        ReferencedSOPInstanceUID=frame.sop_instance_uid,
        SpatialLocationsPreserved="NO",
        **told,
    )


def _told(film: Film) -> str:
    return (
        "The heart held still: each frame moved and bent onto the others, on the part of the "
        f"picture around the heart. {film.making.sentence}. {INTENDED_USE}"
    )[:1024]


def quantised(values: NDArray[np.float32]) -> tuple[float, NDArray[np.int16 | np.uint16]]:
    """A slope and 16-bit values: values = slope · stored, to half a slope.

    The slope is the smallest power of two for which all fit; what is not a number becomes 0.
    Signed only where there are negative values.
    """
    finite = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0).astype(np.float64)
    signed = bool((finite < 0).any())
    most = 2**15 - 1 if signed else 2**16 - 1
    peak = float(np.abs(finite).max(initial=0.0))
    slope = 2.0 ** math.ceil(math.log2(peak / most)) if peak > 0 else 1.0
    return slope, np.rint(finite / slope).astype("<i2" if signed else "<u2")


def grey(ds: Dataset, stored: NDArray[np.int16 | np.uint16], slope: float) -> None:
    """Describe 16-bit grey pictures (…, r, c), with one window for all of them."""
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.Rows, ds.Columns = stored.shape[-2:]
    ds.BitsAllocated = ds.BitsStored = 16
    ds.HighBit = 15
    ds.PixelRepresentation = int(stored.dtype.kind == "i")
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = "0", decimal(slope), "US"
    low, high = (slope * float(v) for v in np.percentile(stored, (1, 99.5)))
    ds.WindowCenter = decimal((low + high) / 2)
    ds.WindowWidth = decimal(max(high - low, slope))

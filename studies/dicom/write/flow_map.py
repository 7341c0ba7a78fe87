"""The flow map three times: as it is, as a picture any archive shows, and in colour.

The truth is the Parametric Map: the very 32-bit numbers, with their unit. Few archives show such an
object yet, so there is an MR image of 100 × flow, as scanners write their own flow maps, which a
reader can measure in everywhere; and the map in colour over the anatomy with its scale from 0 to
6 ml/min/g, which is what a report shows.
"""

from __future__ import annotations

import numpy as np
from highdicom.pm import ParametricMap, RealWorldValueMapping
from highdicom.sr import CodedConcept
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import MRImageStorage, SecondaryCaptureImageStorage

from studies.colours import MBF_HIGH, MBF_LOW
from studies.dicom.quiet import quiet
from studies.dicom.write import codes, encode
from studies.dicom.write.corrected import Corrected, image
from studies.dicom.write.film import Film
from studies.dicom.write.head import finish, made_at, named, on_the_grid, same_for_all, stamp
from studies.intended_use import INTENDED_USE

#: Stored values of the grey display copy are so many times the flow.
TIMES = 100
_MAP, _GREY, _COLOUR = 9201, 9301, 9401
_HIGHEST = 2**16 - 1
_SOURCES, _SERIES = Tag("SourceImageSequence"), Tag("ReferencedSeriesSequence")
_FRAMES = Tag("PerFrameFunctionalGroupsSequence")


@quiet
def parametric_map(film: Film, frames: Corrected) -> Dataset:
    """The map's 32-bit floating-point numbers; NaN outside the muscle, as in the array.

    frames: the corrected film, which the map refers to. Raises head.NoPlace.
    """
    ds = ParametricMap(
        **on_the_grid(film, frames.last, "map", _MAP + film.number),
        pixel_array=film.mbf.astype(np.float32)[np.newaxis],
        contains_recognizable_visual_features=False,
        real_world_value_mappings=[_mapping(film)],
        window_center=(MBF_LOW + MBF_HIGH) / 2,
        window_width=MBF_HIGH - MBF_LOW,
        content_label="MBF",
    )
    ds.SeriesDescription = _described(f"MBF {film.title}, {film.unit}")
    ds.BodyPartExamined = "HEART"
    ds.BurnedInAnnotation = "NO"
    refer_to_all(ds, frames)
    return finish(ds, film, made_at(film))


def _mapping(film: Film) -> RealWorldValueMapping:
    finite = film.mbf[np.isfinite(film.mbf)]
    return RealWorldValueMapping(
        lut_label="MBF",
        lut_explanation="Myocardial blood flow" if film.is_flow else "Relative perfusion",
        unit=_unit(film),
        value_range=(0.0, float(max(finite.max(initial=0.0), MBF_HIGH))),
        slope=1.0,
        intercept=0.0,
        quantity_definition=quantity(film),
    )


def _unit(film: Film) -> CodedConcept:
    return codes.ML_PER_MIN_PER_G if film.is_flow else codes.NO_UNIT


def quantity(film: Film) -> CodedConcept:
    return codes.BLOOD_FLOW if film.is_flow else codes.RELATIVE_BLOOD_FLOW


def _described(what: str) -> str:
    return f"{what}, research"


def refer_to_all(ds: Dataset, frames: Corrected) -> None:
    """Let a multi-frame object of one place refer to each frame of the corrected film."""
    groups = []
    sources = encode.elements(frames.references)[_SOURCES]
    for group in ds.PerFrameFunctionalGroupsSequence:
        told = encode.elements(group.DerivationImageSequence[0]) | {int(_SOURCES): sources}
        told = encode.sequence("DerivationImageSequence", [told])
        del group.DerivationImageSequence
        groups.append(encode.elements(group) | told)
    whole = encode.read(encode.sequence("PerFrameFunctionalGroupsSequence", groups))
    ds[_FRAMES] = whole.get_item(_FRAMES)
    ds[_SERIES] = frames.references.get_item(_SERIES)


@quiet
def grey_map(film: Film, frames: Corrected) -> Dataset:
    """An MR image of 100 × flow, 0 where it is not known; with the mapping to flow and its unit.

    A value read back differs from the array by 0.005 ml/min/g at most. Raises head.NoPlace.
    """
    ds = image(film)
    named(ds, film, "grey", _described(f"MBF x{TIMES} {film.title}"), _GREY)
    ds.SOPClassUID = MRImageStorage
    ds.ImageType = ["DERIVED", "SECONDARY", "OTHER", "MBF"]
    ds.DerivationDescription = (
        f"Pixel value = {TIMES} x myocardial blood flow in {film.unit}; 0 where it is not known. "
        f"{film.making.sentence}. {INTENDED_USE}"
    )[:1024]
    ds.DerivationCodeSequence = [codes.PERFUSION_ANALYSIS]
    stored = stored_flow(film.mbf)
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns = stored.shape
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 0
    ds.WindowCenter = str(round(TIMES * (MBF_LOW + MBF_HIGH) / 2))
    ds.WindowWidth = str(round(TIMES * (MBF_HIGH - MBF_LOW)))
    ds.WindowCenterWidthExplanation = f"{MBF_LOW:g} to {MBF_HIGH:g} {film.unit}"
    mapping = Dataset()
    mapping.LUTLabel = "MBF"
    mapping.LUTExplanation = f"Flow in {film.unit}"
    mapping.add_new(0x00409216, "US", 0)
    mapping.add_new(0x00409211, "US", _HIGHEST)
    mapping.RealWorldValueIntercept, mapping.RealWorldValueSlope = 0.0, 1 / TIMES
    mapping.MeasurementUnitsCodeSequence = [_unit(film)]
    ds.RealWorldValueMappingSequence = [mapping]
    ds[_SOURCES] = frames.references.get_item(_SOURCES)
    stamp(ds, made_at(film))
    ds.AcquisitionDate, ds.AcquisitionTime = ds.ContentDate, ds.ContentTime
    # Required of triggered images; those of the last frame stand for all of them.
    for keyword in ("TriggerTime", "FlipAngle", "InversionTime"):
        if keyword in frames.last:
            ds[keyword] = frames.last[keyword]
    ds.PixelData = stored.tobytes()
    ds["PixelData"].VR = "OW"
    return ds


def stored_flow(mbf: NDArray[np.float32]) -> NDArray[np.uint16]:
    scaled = np.rint(TIMES * np.nan_to_num(mbf, nan=0.0).astype(np.float64))
    return np.clip(scaled, 0, _HIGHEST).astype("<u2")


@quiet
def colour_map(film: Film, frames: Corrected) -> Dataset | None:
    """The coloured map over the anatomy with its scale, as a secondary capture."""
    if film.picture is None:
        return None
    ds = same_for_all(film)
    # A picture with a scale beside it lies nowhere in the patient.
    del ds.FrameOfReferenceUID, ds.PositionReferenceIndicator
    what = f"MBF colour {MBF_LOW:g}-{MBF_HIGH:g} {film.title}"
    named(ds, film, "colour", _described(what), _COLOUR)
    ds.SOPClassUID = SecondaryCaptureImageStorage
    ds.ConversionType = "WSD"
    ds.ImageType = ["DERIVED", "SECONDARY", "OTHER", "MBF"]
    ds.DerivationDescription = (
        f"Myocardial blood flow in {film.unit}, colours from {MBF_LOW:g} to {MBF_HIGH:g}, over the "
        f"film's mean. {film.making.sentence}. {INTENDED_USE}"
    )[:1024]
    ds.DerivationCodeSequence = [codes.PERFUSION_ANALYSIS]
    ds[_SOURCES] = frames.references.get_item(_SOURCES)
    ds.BodyPartExamined = "HEART"
    ds.PatientOrientation = ""
    # The words in the picture are of state, slice and use: none of them tells who it is.
    ds.BurnedInAnnotation = "NO"
    ds.ImageComments = INTENDED_USE
    stamp(ds, made_at(film))
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PlanarConfiguration = 3, "RGB", 0
    ds.Rows, ds.Columns = film.picture.shape[:2]
    ds.BitsAllocated = ds.BitsStored = 8
    ds.HighBit, ds.PixelRepresentation = 7, 0
    data = np.ascontiguousarray(film.picture, dtype=np.uint8).tobytes()
    ds.PixelData = data + b"\0" * (len(data) % 2)
    ds["PixelData"].VR = "OB"
    return ds

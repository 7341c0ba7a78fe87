"""Blood pools, muscle and AHA segments as a DICOM segmentation of the corrected film."""

from __future__ import annotations

import numpy as np
from highdicom import AlgorithmIdentificationSequence
from highdicom.color import CIELabColor
from highdicom.seg import Segmentation as SegmentationObject
from highdicom.seg import SegmentationTypeValues, SegmentDescription
from highdicom.sr import CodedConcept
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from studies.dicom.quiet import quiet
from studies.dicom.write import codes
from studies.dicom.write.corrected import Corrected
from studies.dicom.write.film import Film
from studies.dicom.write.flow_map import refer_to_all
from studies.dicom.write.head import finish, made_at, on_the_grid

_SERIES_NUMBER = 9501
_MUSCLE, _LV, _RV = 1, 2, 3
#: Label, category, type, region and colour (red, green, blue) of the three tissues.
_TISSUES: dict[int, tuple[str, CodedConcept, CodedConcept, CodedConcept, tuple[int, int, int]]] = {
    _LV: ("LV blood pool", codes.BODY_SUBSTANCE, codes.BLOOD, codes.LEFT_VENTRICLE, (213, 40, 27)),
    _RV: ("RV blood pool", codes.BODY_SUBSTANCE, codes.BLOOD, codes.RIGHT_VENTRICLE, (0, 94, 184)),
    _MUSCLE: (
        "Myocardium", codes.ANATOMICAL_STRUCTURE, codes.MYOCARDIUM, codes.HEART, (0, 150, 57),
    ),
}  # fmt: skip


def parts(film: Film) -> list[tuple[str, NDArray[np.bool_]]]:
    """Name and mask of each segment, in the order of their numbers; empty ones are left out."""
    tissues = [(_TISSUES[value][0], film.segmentation == value) for value in (_LV, _RV, _MUSCLE)]
    wall = [(aha_label(number), film.aha == number) for number in codes.AHA]
    return [(name, mask) for name, mask in [*tissues, *wall] if mask.any()]


def aha_label(number: int) -> str:
    return f"AHA {number}"


@quiet
def segmentation(film: Film, frames: Corrected) -> Dataset | None:
    """A binary segmentation; ``None`` where nothing was found. Raises head.NoPlace.

    The heart stands still in the corrected film, so one mask holds for all its frames; the object
    refers to each.
    """
    found = parts(film)
    if not found:
        return None
    ds = SegmentationObject(
        **on_the_grid(film, frames.last, "segmentation", _SERIES_NUMBER + film.number),
        pixel_array=np.stack([mask for _, mask in found], axis=-1).astype(np.uint8)[np.newaxis],
        segmentation_type=SegmentationTypeValues.BINARY,
        segment_descriptions=[_described(film, n, name) for n, (name, _) in enumerate(found, 1)],
        content_label="HEART",
        omit_empty_frames=False,
    )
    ds.SeriesDescription = f"Segmentation {film.title}, research"
    ds.BodyPartExamined = "HEART"
    ds["PixelData"].VR = "OB"
    refer_to_all(ds, frames)
    ds.CodingSchemeIdentificationSequence = [codes.own_scheme()]
    return finish(ds, film, made_at(film))


def _described(film: Film, number: int, name: str) -> SegmentDescription:
    aha = {aha_label(n): n for n in codes.AHA}
    if name in aha:
        n = aha[name]
        category, kind, region = codes.ANATOMICAL_STRUCTURE, codes.AHA[n], codes.HEART
        colour = _wheel(n)
    else:
        _, category, kind, region, colour = next(t for t in _TISSUES.values() if t[0] == name)
    return SegmentDescription(
        segment_number=number,
        segment_label=name,
        segmented_property_category=category,
        segmented_property_type=kind,
        algorithm_type="SEMIAUTOMATIC" if film.drawn else "AUTOMATIC",
        algorithm_identification=AlgorithmIdentificationSequence(
            name=film.making.engine[:64],
            family=codes.SEGMENTATION,
            version=film.making.version,
            source="CoreCMR",
        ),
        tracking_uid=film.uid("track", name),
        tracking_id=f"{film.folder} {name}",
        anatomic_regions=[region],
        display_color=CIELabColor.from_rgb(*colour),
    )


def _wheel(number: int) -> tuple[int, int, int]:
    """Neighbours in the wall have colours that are told apart."""
    wheel = (
        (230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178), (213, 94, 0),
    )  # fmt: skip
    return wheel[(number - 1) % len(wheel)]

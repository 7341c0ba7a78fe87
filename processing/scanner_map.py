"""The flow map that the scanner made itself, put on the grid of ours: shown beside it, compared.

Gadgetron and Siemens send such maps as derived images whose pixels are 100 × ml/min/g (Kellman
2017, doi:10.1186/s12968-017-0355-5, describes the maps). They are never analysed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from processing.mcaq.series import SeriesResult
from studies.dicom.frames import Frame
from studies.dicom.sort import ScannerMap, SortedSeries

Pixels = Callable[[str], NDArray[np.generic]]
F64 = NDArray[np.float64]
_PER_UNIT = 100.0


@dataclass(frozen=True)
class Beside:
    """A scanner's map beside a series of ours.

    mbf: (rows, cols) of our result, ml/min/g, NaN where their picture ends. The means are over
    ``pixels`` of our heart muscle where both know a flow; difference is ours less theirs.
    """

    sop_instance_uid: str
    mbf: NDArray[np.float32]
    pixels: int
    mean: float | None
    mean_difference: float | None

    def told(self) -> dict[str, Any]:
        """``scanner_map`` of a series' entry in the report."""
        return {
            "sop_instance_uid": self.sop_instance_uid,
            "pixels": self.pixels,
            "mean": self.mean,
            "mean_difference": self.mean_difference,
        }


def flow_of(one: ScannerMap, pixels: Pixels) -> F64:
    """Flow of a scanner's map in ml/min/g, (rows, cols)."""
    frame = one.frame
    stored = pixels(frame.file_id)[frame.frame_number - 1].astype(np.float64)
    return (stored * frame.slope + frame.intercept) / _PER_UNIT


def beside(
    one: ScannerMap, flow: F64, film: SortedSeries, result: SeriesResult, *, same_unit: bool
) -> Beside | None:
    """The scanner's map on the grid of ``result``; ``None`` where a header leaves out its place.

    same_unit: whether our flow is in ml/min/g; a relative index is not compared.
    """
    first = film.frames[0]
    rows, cols = result.mbf.shape
    grid = np.mgrid[:rows, :cols].astype(np.float64)
    grid += np.array(result.offset, dtype=np.float64)[:, None, None]
    place = _to_patient(first, grid)
    at = None if place is None else _to_pixels(one.frame, place)
    if at is None:
        return None
    # Headers round places to a millionth; on the same grid nothing is to be interpolated.
    theirs = map_coordinates(flow, np.round(at, 3), order=1, mode="constant", cval=np.nan)
    both = np.isfinite(result.mbf) & np.isfinite(theirs) & (theirs > 0)
    known = bool(both.any())
    return Beside(
        one.frame.sop_instance_uid,
        theirs.astype(np.float32),
        int(both.sum()),
        float(theirs[both].mean()) if known else None,
        float((result.mbf[both] - theirs[both]).mean()) if known and same_unit else None,
    )


def _axes(frame: Frame) -> tuple[F64, F64, F64] | None:
    """First pixel's place, and the steps from row to row and from column to column, all in mm."""
    if frame.position_mm is None or frame.orientation is None or frame.pixel_spacing_mm is None:
        return None
    along_row, along_column = np.array(frame.orientation[:3]), np.array(frame.orientation[3:])
    down, right = frame.pixel_spacing_mm
    return np.array(frame.position_mm), along_column * down, along_row * right


def _to_patient(frame: Frame, grid: F64) -> F64 | None:
    """Places in the patient, (3, rows, cols) mm, of pixels (2, rows, cols)."""
    axes = _axes(frame)
    if axes is None:
        return None
    first, down, right = (axis[:, None, None] for axis in axes)
    return np.asarray(first + grid[0] * down + grid[1] * right)


def _to_pixels(frame: Frame, place: F64) -> F64 | None:
    """Pixels (2, rows, cols) of a frame at places in the patient, seen along its normal."""
    axes = _axes(frame)
    if axes is None:
        return None
    first, down, right = axes
    away = place - first[:, None, None]
    return np.stack([np.tensordot(step, away, 1) / float(step @ step) for step in (down, right)])

"""Flow of the wall's inner half over that of its outer half, where the wall is thick enough."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from processing.mcaq.series import MYOCARDIUM, LabelArray, LayerRatio

#: Pixels across the wall. The outermost on either side are left out: blood and fat shine into them.
#: In thinner walls of phantoms the ratio found has nothing to do with the true one.
THICKNESS_PIXELS = 6.0
_BORDER_PIXELS = 1.0
_FEWEST_PIXELS = 4
#: The inner layer has about the flow of the outer one, or less: more is a contour that is wrong.
_MOST_RATIO = 2.0


def endo_epi(
    mbf: NDArray[np.float32], aha: LabelArray, labels: LabelArray, numbers: Iterable[int]
) -> dict[int, LayerRatio]:
    """By AHA number the ratio of mean flow, or the reason why it is not known.

    mbf: (r, c) ml/min/g, NaN where unknown. aha, labels: (r, c) as in ``SeriesResult``. The border
    runs half-way between cavity and outside. Flow of pixels leans towards that of its segment, so
    true differences are larger than these.
    """
    depth = wall_depth(labels)
    if depth is None:
        return {n: LayerRatio(None, "The heart muscle does not close round the cavity.")
                for n in numbers}  # fmt: skip
    inner, outer = depth
    return {number: _of_segment(mbf, aha == number, inner, outer) for number in numbers}


def wall_depth(labels: LabelArray) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """How deep each pixel of (r, c) lies in the wall, from the cavity and from outside, pixels.

    ``None`` where the wall does not close round a cavity.
    """
    wall = labels == MYOCARDIUM
    filled = np.asarray(ndimage.binary_fill_holes(wall))
    cavity = filled & ~wall
    if not cavity.any() or filled.all():
        return None
    # From pixel centre to the first centre beyond the wall; the wall ends half a pixel before.
    inner = np.asarray(ndimage.distance_transform_edt(~cavity)) - 0.5
    outer = np.asarray(ndimage.distance_transform_edt(filled)) - 0.5
    return inner, outer


def _of_segment(
    mbf: NDArray[np.float32],
    here: NDArray[np.bool_],
    inner: NDArray[np.float64],
    outer: NDArray[np.float64],
) -> LayerRatio:
    known = here & np.isfinite(mbf)
    if not known.any():
        return LayerRatio(None, "The segment holds no heart muscle of known flow.")
    thickness = float(np.median((inner + outer)[known]))
    if thickness < THICKNESS_PIXELS:
        return LayerRatio(
            None,
            f"The wall is {thickness:.1f} pixels thick here; "
            f"{THICKNESS_PIXELS:.0f} or more are needed.",
        )
    known &= (inner > _BORDER_PIXELS) & (outer > _BORDER_PIXELS)
    endo, epi = mbf[known & (inner < outer)], mbf[known & (inner > outer)]
    if min(endo.size, epi.size) < _FEWEST_PIXELS:
        return LayerRatio(None, "The segment holds too few pixels.")
    below = float(epi.mean())
    if below <= 0:
        return LayerRatio(None, "The outer layer has no flow to compare with.")
    ratio = float(endo.mean()) / below
    if ratio > _MOST_RATIO:
        return LayerRatio(
            None,
            "The outer layer has less than half the flow of the inner one, as where the contour "
            "takes in other tissue.",
        )
    return LayerRatio(ratio)

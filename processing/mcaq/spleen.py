"""Whether the spleen takes up as much contrast at stress as at rest.

Adenosine narrows the vessels of the spleen as it widens those of the heart: where the spleen is in
view and fills at stress as at rest, the stressor may not have worked (splenic switch-off, Manisty
2015, 10.1148/radiol.2015142059: seen in 90 % under adenosine, never under dobutamine or
regadenoson). The spleen is known by the way it fills: from arterial blood, quickly, without giving
contrast back soon, left of and below or behind the heart, and as one thick organ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from processing.mcaq import signal as sr
from processing.mcaq.gain import LEVELLED
from processing.mcaq.heart import Heart
from processing.mcaq.input_function import InputFunction
from processing.mcaq.series import Flag, Series

F64 = NDArray[np.float64]
Mask = NDArray[np.bool_]

#: The stress-to-rest ratio of the spleen's signal is 0.56 ± 0.13 with switch-off and 0.93 ± 0.23
#: without (Patriki 2021, 10.1186/s12968-020-00696-y): one standard deviation from either.
STILL_ON = 0.7
CUT_SOURCE = "Patriki 2021, doi:10.1186/s12968-020-00696-y"
#: Uptake while contrast comes is read so long after the peak in the LV, and again later, s.
_EARLY_S, _LATE_S = (2.0, 8.0), (14.0, 30.0)
#: Uptake of a spleen at rest, ml/min/ml: more than liver or resting muscle, less than blood.
_LEAST_UPTAKE, _MOST_UPTAKE = 0.55, 4.0
#: Blood gives its contrast on within the time between the two readings; the spleen keeps it.
_KEPT = 0.75
_SMOOTH_MM, _NEAREST_MM, _THICK_MM, _RIM_MM = 3.0, 50.0, 7.0, 3.0
_SMALLEST_MM2 = 500.0
#: Degrees from the direction that leads from the right ventricle to the left one, towards below.
_SECTOR_DEG = (-15.0, 105.0)
#: Signal before contrast, as a share of the picture's usual tissue, that is not just noise.
_LEAST_SIGNAL = 0.25


@dataclass(frozen=True)
class View:
    """What one series shows of the belly: uptake (rows, cols) in ml/min/ml on the source grid, and
    where it has the way of an organ that is fed by arteries and keeps contrast."""

    state: str
    level: str
    uptake: F64
    organ: Mask
    heart: Heart
    spacing_mm: tuple[float, float]
    mirrored: bool


@dataclass(frozen=True)
class SwitchOff:
    """ratio: uptake at stress over that at rest, median of the slices in which the spleen is seen
    in both; ``None`` with the reason."""

    ratio: float | None
    slices: int
    reason: str | None = None


def view(
    one: Series, used: Mask, before: slice, aif: InputFunction, residue: float, heart: Heart
) -> View | None:
    """Uptake of every pixel of a film as it was acquired; ``None`` if the film is too short.

    before: of the frames that are ``used``. residue: contrast in blood before, mmol/l.
    """
    times = np.asarray(one.times_s, dtype=np.float64)[used]
    arterial = np.maximum(np.nan_to_num(aif.at(times)), 0)
    peak_s = float(times[int(arterial.argmax())])
    early, late = (
        (times >= peak_s + start) & (times <= peak_s + end) for start, end in (_EARLY_S, _LATE_S)
    )
    if early.sum() < 3 or late.sum() < 3:
        return None
    sigma = tuple(_SMOOTH_MM / size for size in one.pixel_spacing_mm)

    def mean(frames: Mask | slice) -> F64:
        return np.asarray(
            ndimage.gaussian_filter(one.signal[used][frames].mean(axis=0).astype(np.float64), sigma)
        )

    how = sr.physics(one.acquisition)
    native = mean(before)
    full = native / float(how.recovery(how.r1_muscle(np.array([LEVELLED * residue])))[0])
    start, soon, later = (
        sr.muscle_concentration(picture, full, how) for picture in (native, mean(early), mean(late))
    )
    come = np.concatenate([[0.0], np.cumsum(np.diff(times) * (arterial[1:] + arterial[:-1]) / 2)])
    uptake = 60 * (soon - start) / max(float(come[early].mean()), 1e-6)
    tissue = native > _LEAST_SIGNAL * float(np.median(native[native > np.median(native)]))
    organ = (
        tissue
        & (uptake > _LEAST_UPTAKE)
        & (uptake < _MOST_UPTAKE)
        & (later - start > _KEPT * (soon - start))
    )
    return View(one.state, one.level, uptake, organ, heart, one.pixel_spacing_mm, one.mirrored)


def find(seen: View) -> Mask | None:
    """Where an organ like the spleen lies in a view at rest, (rows, cols); ``None`` if nowhere.

    A kidney fills alike; whether it is one is told by what it does at stress.
    """
    rows, cols = np.mgrid[: seen.uptake.shape[0], : seen.uptake.shape[1]]
    down = (rows - seen.heart.row) * seen.spacing_mm[0]
    right = (cols - seen.heart.col) * seen.spacing_mm[1]
    axis = np.arctan2(
        (seen.heart.row - seen.heart.rv_row) * seen.spacing_mm[0],
        (seen.heart.col - seen.heart.rv_col) * seen.spacing_mm[1],
    )
    turn = np.degrees(np.angle(np.exp(1j * (np.arctan2(down, right) - axis))))
    if seen.mirrored:
        turn = -turn
    place = (
        (np.hypot(down, right) > _NEAREST_MM) & (turn > _SECTOR_DEG[0]) & (turn < _SECTOR_DEG[1])
    )
    return _large(_at_least(seen.organ, _THICK_MM, seen.spacing_mm) & place, seen.spacing_mm)


def _large(mask: Mask, spacing_mm: tuple[float, float]) -> Mask | None:
    """The patches of ``mask`` that are large enough for an organ."""
    labels, count = ndimage.label(mask)
    sizes = np.bincount(labels.ravel(), minlength=count + 1) * spacing_mm[0] * spacing_mm[1]
    kept = np.flatnonzero(sizes >= _SMALLEST_MM2)
    kept = kept[kept > 0]
    return np.isin(labels, kept) if len(kept) else None


def _away_from_edge(mask: Mask, spacing_mm: tuple[float, float]) -> F64:
    return np.asarray(ndimage.distance_transform_edt(mask, sampling=spacing_mm))


def _at_least(mask: Mask, thick_mm: float, spacing_mm: tuple[float, float]) -> Mask:
    """What a disc of that radius reaches without leaving ``mask``."""
    middle = _away_from_edge(mask, spacing_mm) > thick_mm
    if not middle.any():
        return middle
    return np.asarray(
        ndimage.distance_transform_edt(~middle, sampling=spacing_mm) <= thick_mm, dtype=np.bool_
    )


def switch_off(views: Sequence[View]) -> SwitchOff:
    """Stress against rest, from slices of the same level in both states."""
    ratios = []
    states = {seen.state for seen in views}
    if not {"stress", "rest"} <= states:
        return SwitchOff(None, 0, "It takes a stress and a rest series.")
    for rest in views:
        stress = next(
            (one for one in views if one.state == "stress" and one.level == rest.level), None
        )
        if rest.state != "rest" or stress is None or stress.uptake.shape != rest.uptake.shape:
            continue
        organ = find(rest)
        if organ is not None:
            ratios.append(_ratio(rest, stress, organ))
    if not ratios:
        return SwitchOff(None, 0, "The spleen was not seen in the same slice in both states.")
    return SwitchOff(float(np.median(ratios)), len(ratios))


def _ratio(rest: View, stress: View, organ: Mask) -> float:
    """Uptake at stress over that at rest.

    Where a patch as large as an organ falls below the cut, that is the spleen, and what lies
    beside it a kidney.
    """
    by = (rest.heart.row - stress.heart.row, rest.heart.col - stress.heart.col)
    # What noise makes negative is no uptake.
    at_stress = np.maximum(ndimage.shift(stress.uptake, by, order=1), 0.0)
    each = at_stress / np.maximum(rest.uptake, 1e-6)
    fallen = _at_least(organ & (each < STILL_ON), _THICK_MM, rest.spacing_mm)
    patch = _large(fallen, rest.spacing_mm)
    if patch is None:
        inner = _away_from_edge(organ, rest.spacing_mm) > _RIM_MM
        patch = inner if inner.any() else organ
    return float(np.median(at_stress[patch]) / np.median(rest.uptake[patch]))


def finding(found: SwitchOff) -> Flag | None:
    if found.ratio is None or found.ratio < STILL_ON:
        return None
    return Flag(
        "no_splenic_switch_off", "warning",
        "The spleen takes up contrast at stress as at rest "
        f"({100 * found.ratio:.0f} %): the stressor may not have worked. This holds for adenosine; "
        "with regadenoson or dobutamine it says nothing.",
    )  # fmt: skip

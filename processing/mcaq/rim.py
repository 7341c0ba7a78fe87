"""The dark rim: an inner edge of the wall that looks empty only while the cavity is brightest.

A finite k-space makes bright blood ring: about one pixel from the border the wall is darker than it
is, in step with the blood (Di Bella 2005). A true defect fills slowly, so that
it is dark later than the blood is bright, and longer; and it is seldom one pixel thin. Each curve
of the wall is taken apart into slow filling, which contrast in tissue does, and a share of the
blood's own signal, which shines in. Ringing takes from that share in the one layer and adds to it
in the next.

On phantoms this tells defects that reach through much of the wall from rims nearly always, but half
of the thin ones not: where the inner edge looks like a rim, it is said that it may be one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.optimize import nnls

from processing.mcaq.layers import wall_depth
from processing.mcaq.series import LV_BLOOD, Flag, LabelArray

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
Mask = NDArray[np.bool_]

#: Layers, in pixels from the cavity: where ringing darkens, and the next, where it does not.
_RINGING, _BEHIND = (0.9, 2.1), (2.1, 3.5)
#: Rates at which tissue gives contrast back, 1/s; and how late contrast comes there, s.
_RATES, _DELAY_S, _STEP_S = (0.01, 0.05, 0.12, 0.3), 0.8, 0.1
_BEFORE_FRAMES, _AFTER_PEAK_S, _FIRST_S = 6, 20.0, 6.0
#: Blood's share against that of the outer wall: dark below the first, as bright from the second;
#: the two layers differ by at least this. Tuned on phantoms 701 to 706.
_DARK, _BRIGHT, _STEP = 0.75, 0.9, 0.02
#: A rim fills as the wall outside it does, a defect less.
_FILLS = 0.83
_FEWEST = 3


@dataclass(frozen=True)
class Rim:
    """dark: AHA numbers whose inner edge is dark. artefact: those of them that look like a dark
    rim, the others being dark as a defect is."""

    dark: tuple[int, ...]
    artefact: tuple[int, ...]


def find(
    corrected: F32, times_s: F64, aif_mmol_l: F64, labels: LabelArray, aha: LabelArray, used: Mask,
    numbers: Iterable[int],
) -> Rim:  # fmt: skip
    """corrected: (T, r, c) scanner units; times_s, aif_mmol_l, used: (T,)."""
    film, times = corrected[used].astype(np.float64), times_s[used]
    arterial = np.maximum(np.nan_to_num(aif_mmol_l[used]), 0)
    depth = wall_depth(labels)
    pool = ndimage.binary_erosion(labels == LV_BLOOD, iterations=2)
    if arterial.max() <= 0 or not pool.any() or depth is None:
        return Rim((), ())
    foot = int(np.flatnonzero(arterial > 0.1 * arterial.max())[0])
    before = slice(max(1, foot - _BEFORE_FRAMES), max(foot, 2))
    end = int(np.searchsorted(times, times[int(arterial.argmax())] + _AFTER_PEAK_S))
    seen = slice(before.start, end)
    if end - foot < 8 or foot < 2:
        return Rim((), ())
    above = film - film[before].mean(axis=0)
    parts = _parts(times, arterial, above[:, pool].mean(axis=1))[seen]
    inner, outer = depth

    def fit(where: Mask) -> tuple[float, float] | None:
        if where.sum() < _FEWEST:
            return None
        return _taken_apart(parts, above[seen][:, where].mean(axis=1))

    outside = {n: fit((aha == n) & (inner > outer) & (outer > 1.0)) for n in numbers}
    shares = [one[1] for one in outside.values() if one is not None]
    usual = float(np.median(shares)) if shares else 0.0
    if usual <= 0:
        return Rim((), ())
    dark, artefact = [], []
    for n, mine in outside.items():
        edge = fit((aha == n) & (inner >= _RINGING[0]) & (inner < _RINGING[1]))
        behind = fit((aha == n) & (inner >= _BEHIND[0]) & (inner < _BEHIND[1]))
        if mine is None or edge is None or behind is None or edge[1] >= _DARK * usual:
            continue
        dark.append(n)
        thin = behind[1] >= _BRIGHT * usual and behind[1] - edge[1] > _STEP
        if thin and edge[0] >= _FILLS * mine[0]:
            artefact.append(n)
    return Rim(tuple(dark), tuple(artefact))


def _parts(times_s: F64, arterial: F64, blood: F64) -> F64:
    """What a curve is made of (T, parts): tissue that empties at several rates, and blood with
    either sign."""
    fine = np.arange(times_s[0], times_s[-1], _STEP_S)
    entering = np.interp(fine - _DELAY_S, times_s, arterial)
    ages = np.arange(len(fine)) * _STEP_S
    filled = [
        np.interp(times_s, fine, np.convolve(entering, np.exp(-rate * ages))[: len(fine)] * _STEP_S)
        for rate in _RATES
    ]
    return np.stack([*filled, blood, -blood], axis=1)


def _taken_apart(parts: F64, curve: F64) -> tuple[float, float]:
    """How strongly tissue fills at first, and the share of blood's signal."""
    weights, _ = nnls(parts, curve)
    ages = np.arange(0, _FIRST_S, _STEP_S)
    height = sum(
        weight * np.exp(-rate * ages) for weight, rate in zip(weights, _RATES, strict=False)
    )
    return float(np.mean(height)), float(weights[-2] - weights[-1])


def finding(found: Rim) -> Flag | None:
    if not found.artefact:
        return None
    many = len(found.artefact) > 1
    named = ", ".join(str(n) for n in found.artefact)
    return Flag(
        "dark_rim_possible", "info",
        f"In segment{'s' if many else ''} {named} the inner edge of the wall is dark only while "
        "the cavity is brightest, is one pixel thin, and then fills as the wall outside it, as a "
        "dark rim does. A thin defect can look alike: check in the film whether it lasts.",
    )  # fmt: skip

"""Upslope index: how steeply tissue rises, against how steeply blood does.

The steepest straight line through a few frames on the way up, of tissue over that of blood. It is a
relative number, not flow: it grows with flow but less than in proportion, and it is comparable
within one method only. Its ratio of stress to rest is the upslope reserve. Delay has no say.

Sources: Wilke 1993, Al-Saadi 2000 (Circulation 101:1379).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from processing.mcaq.kinetics.curves import Curves, Estimate, where_known

F64 = NDArray[np.float64]

#: Frames under one straight line, of tissue and of the quicker blood.
TISSUE_FRAMES, BLOOD_FRAMES = 5, 3
#: Tissue rises until so long after the peak in blood, s.
_RISES_S = 12.0


def fit(curves: Curves) -> Estimate:
    """Upslope index of all curves, relative; the delay is not told."""
    return where_known(curves, _fit)


def _fit(curves: Curves) -> Estimate:
    times = curves.times_s[curves.used]
    blood = curves.blood[curves.used]
    data = np.asarray(curves.tissue[:, curves.used], dtype=np.float64)
    data = data - curves.expected.share[:, None] * blood
    peak_s = times[int(blood.argmax())]
    early = int((times <= peak_s + _RISES_S).sum())
    rise = _steepest(times[:early], data[:, :early], TISSUE_FRAMES)
    of_blood = float(_steepest(times[:early], blood[None, :early], BLOOD_FRAMES)[0])
    nothing = np.full(len(data), np.nan)
    if not of_blood > 0:
        return Estimate(nothing, nothing.copy())
    return Estimate(np.maximum(rise, 0) / of_blood, nothing)


def _steepest(times_s: F64, curves: F64, frames: int) -> F64:
    """The largest slope (P,) of a straight line through ``frames`` frames in a row of (P, T)."""
    frames = min(frames, len(times_s))
    at = np.lib.stride_tricks.sliding_window_view(times_s, frames)
    seen = np.lib.stride_tricks.sliding_window_view(curves, frames, axis=1)
    away = at - at.mean(axis=1, keepdims=True)
    power = np.maximum((away**2).sum(axis=1), 1e-12)
    return np.asarray(((seen * away).sum(axis=2) / power).max(axis=1))

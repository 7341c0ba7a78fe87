"""Deconvolution with a residue function of Fermi's shape.

R(t) = (1 + e^(−k·t0)) / (1 + e^(k·(t − t0))): one until about t0, then falling at rate k. It stands
for the first pass alone: contrast that has gone over into the interstitium stays longer than it
can tell, so frames count until the end of the first pass only. Written so that R(0) = 1 whatever
its shape, the amplitude is flow.

A dictionary over delay, width and steepness, amplitude in closed form, tells where to start;
``separable.climb`` goes on from there. Source: Jerosch-Herold 1998 (Med Phys 25:73).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from processing.mcaq.kinetics import separable
from processing.mcaq.kinetics.curves import (
    FEWEST_FRAMES,
    Curves,
    Estimate,
    Passage,
    ml_per_min_per_g,
    where_known,
)

F64 = NDArray[np.float64]

#: The first pass through muscle ends so long after the peak in blood, s. Of 6, 8, 10 and 12 s, on
#: curves of known flow, longer windows take more of what interstitium holds back for low flow,
#: and shorter ones tell low flow worse.
FIRST_PASS_S = 8.0
#: Logarithm of steepness (1/s), width (s) and delay (s): where they may lie.
_LEAST = np.array([np.log(0.03), 0.0, -0.75])
_MOST = np.array([np.log(4.0), 25.0, 3.5])
_NUDGE = np.array([0.05, 0.1, 0.05])
_MIDDLE, _SPREAD = np.array([np.log(0.3), 4.0, 0.5]), np.array([1.5, 8.0, 3.0])
_STEEPNESS = np.geomspace(0.05, 3.0, 9)
_WIDTHS_S = np.array([0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.5, 8.0, 10.0, 13.0, 17.0, 22.0])


def response(fine_s: F64, steepness: F64, width_s: F64) -> F64:
    """R (…, N) at times (N,) for steepness (1/s) and width (s), (…) each."""
    k, width = steepness[..., None], width_s[..., None]
    return np.asarray((1 + np.exp(-k * width)) / (1 + np.exp(np.minimum(k * (fine_s - width), 80))))


def fit(curves: Curves) -> Estimate:
    """Flow of all curves, ml/min/g whole blood, and their delay."""
    return where_known(curves, _fit)


def _fit(curves: Curves) -> Estimate:
    frames = first_pass(curves)
    times = curves.times_s[frames]
    passage = Passage(curves.times_s, curves.blood, float(times[-1]) + 1)
    task = separable.Task.of(curves, frames)
    steepness, width = (one.ravel() for one in np.meshgrid(_STEEPNESS, _WIDTHS_S, indexing="ij"))
    fine = passage.through(response(passage.fine_s, steepness, width))
    shapes = np.stack([np.log(steepness), width], axis=1)

    def columns(at: F64) -> F64:
        one = passage.through(response(passage.fine_s, np.exp(at[:, 0]), at[:, 1]))
        return passage.seen(one, times, at[:, 2])[:, None]

    def searched(delays_s: F64, middle: F64, spread: F64) -> separable.Found:
        start = _best(task, passage, fine, shapes, times, delays_s)
        search = separable.Search(columns, _LEAST, _MOST, _NUDGE, middle, spread)
        return separable.climb(task, search, start)

    found = separable.at_one_delay(searched, _MIDDLE, _SPREAD, one_delay=curves.one_delay)
    flow = ml_per_min_per_g(found.amplitude[:, 0], curves.density_g_per_ml)
    return Estimate(flow, found.at[:, 2])


def first_pass(curves: Curves) -> NDArray[np.bool_]:
    """The frames (T,) of the first pass through muscle, or as many as it takes to fit."""
    peak_s = float(curves.times_s[int(np.argmax(np.where(curves.used, curves.blood, -np.inf)))])
    early = curves.used & (curves.times_s <= peak_s + FIRST_PASS_S)
    if early.sum() < FEWEST_FRAMES:
        early = curves.used & (np.cumsum(curves.used) <= FEWEST_FRAMES)
    return np.asarray(early)


def _best(
    task: separable.Task, passage: Passage, fine: F64, shapes: F64, times: F64, delays_s: F64
) -> F64:
    """The dictionary's best steepness (logarithm), width and delay for each curve, (P, 3)."""
    best = np.full(len(task.data), -np.inf)
    at = np.zeros((len(task.data), 3))
    for delay in delays_s:
        atoms = passage.seen(fine, times, np.full(len(fine), delay))
        right = task.against(atoms)
        of_blood = (atoms @ task.blood) ** 2
        own = (atoms**2).sum(axis=1)[None] - of_blood[None] / task.stiff[:, None]
        gain = np.maximum(right, 0) ** 2 / (own + 1e-12)
        which = gain.argmax(axis=1)
        most = gain[np.arange(len(gain)), which]
        better = most > best
        best = np.where(better, most, best)
        at[better] = np.column_stack([shapes[which], np.full(len(which), delay)])[better]
    return at

"""Tissue curves whose flow is known, from a model that is richer than the one that is fitted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from processing.mcaq.phantom import blood, tissue

HAEMATOCRIT, DENSITY = 0.42, 1.05
#: Interval of beats and frames: at stress the heart beats faster.
PACE_S = {"stress": 0.66, "rest": 0.86}
#: The bolus of a usual injection: peaks of 3.5 and 4.4 mmol/l (Kellman 2017).
BOLUS = {
    "stress": blood.BolusShape(5.0, 3.0, 4.6, 13.5, 3.5),
    "rest": blood.BolusShape(6.0, 4.2, 6.2, 18.0, 4.4),
}


@dataclass(frozen=True)
class Curves:
    """times_s, aif: (T,) s, mmol/l whole blood. flows: (b,) ml/min/g. tissue: (b, T) mmol/l."""

    times_s: np.ndarray
    aif: np.ndarray
    flows: np.ndarray
    tissue: np.ndarray

    def noisy(self, noise, seed):
        grain = np.random.default_rng(seed).standard_normal(self.tissue.shape)
        return (self.tissue + noise * grain).astype(np.float32)


def made(state, flows, frames=48, delay_s=0.0, spill=0.0, muscle=None):
    """delay_s: of tissue behind the input function. spill: share of blood that shines in."""
    flows = np.asarray(flows, dtype=float)
    times = PACE_S[state] * np.arange(frames)
    way = blood.circulate(BOLUS[state], float(times[-1]) + 3)
    found = tissue.simulate(flows, way.times_s, way.left, HAEMATOCRIT, muscle)
    aif = np.interp(times, way.times_s, way.left)
    curves = [np.interp(times - delay_s, found.times_s, one) for one in found.content.T]
    return Curves(times, aif, flows, np.array(curves) + spill * aif)

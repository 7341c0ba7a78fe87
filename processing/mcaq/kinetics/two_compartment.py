"""Two compartments that exchange: plasma and interstitium, each well mixed.

    vp dcp/dt = Fp (ca − cp) − PS (cp − ce),   ve dce/dt = PS (cp − ce)

Its response is a sum of two exponentials of positive amplitude whose sum is plasma flow Fp:
q = (A1 e^(−r1·t) + A2 e^(−r2·t)) ∗ ca, with ca in plasma, and MBF = Fp / (1 − haematocrit). So
rates and delay are searched, amplitudes solved for: a dictionary of all pairs of rates tells where
to start, ``separable.climb`` goes on from there. With one amplitude zero it is one compartment.

Blood runs along capillaries, as in the exchange model; a mixed compartment loses contrast from the
first moment on, and asks for more flow to hold the same. So flow is read too high: by a quarter
at usual flows of simulated muscle, whatever the noise.

Sources: Brix 1999, Sourbron and Buckley 2013 (NMR Biomed 26:1004); Flouri 2016 (MRM 76:998)
solves the same system by integrals; pairs of rates keep the blood's share and the delay apart.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from processing.mcaq.kinetics import separable
from processing.mcaq.kinetics.curves import (
    Curves,
    Estimate,
    Passage,
    ml_per_min_per_g,
    where_known,
)

F64 = NDArray[np.float64]

#: Rates of muscle, 1/s: washout of the interstitium, and of plasma.
_RATES = np.geomspace(0.002, 2.5, 16)
#: Logarithms of the rates, and delay in s.
_LEAST = np.array([np.log(1e-3), np.log(1e-3), -0.75])
_MOST = np.array([np.log(3.0), np.log(3.0), 3.5])
#: Between two rates of the dictionary curves differ by more than noise, as shares of their height.
_COARSE = (0.005, 0.03)
_NUDGE = np.array([0.05, 0.05, 0.05])
#: What is expected: plasma is emptied at (Fp + PS) / vp, 0.4/s with the values of Xue 2019. A curve
#: hardly tells that rate from flow, so it is held within a factor of two unless the curve insists.
_MIDDLE, _SPREAD = np.array([np.log(0.02), np.log(0.4), 0.3]), np.array([2.0, 0.3, 0.4])


def fit(curves: Curves) -> Estimate:
    """Flow of all curves, ml/min/g whole blood, and their delay."""
    return where_known(curves, _fit)


def _fit(curves: Curves) -> Estimate:
    frames = curves.used
    times = curves.times_s[frames]
    passage = Passage(curves.times_s, curves.blood / (1 - curves.haematocrit))
    task = separable.Task.of(curves, frames)
    fine = passage.through(np.exp(-_RATES[:, None] * passage.fine_s))

    def columns(at: F64) -> F64:
        rates = np.exp(at[:, :2])
        both = passage.through(np.exp(-rates[:, :, None] * passage.fine_s))
        return passage.seen(both, times, at[:, 2])

    def searched(delays_s: F64, middle: F64, spread: F64) -> separable.Found:
        starts = _best(task, passage, fine, times, delays_s, middle, spread)
        search = separable.Search(columns, _LEAST, _MOST, _NUDGE, middle, spread)
        return separable.climb_from_each(task, search, starts)

    found = separable.at_one_delay(searched, _MIDDLE, _SPREAD, one_delay=curves.one_delay)
    plasma_flow = found.amplitude.sum(axis=1)
    flow = ml_per_min_per_g(plasma_flow, curves.density_g_per_ml) / (1 - curves.haematocrit)
    return Estimate(np.asarray(flow), found.at[:, 2])


def _best(
    task: separable.Task,
    passage: Passage,
    fine: F64,
    times: F64,
    delays_s: F64,
    middle: F64,
    spread: F64,
) -> list[F64]:
    """For each tolerance the best pair of rates (logarithms) and delay of each curve, (P, 3)."""
    slow, fast = np.triu_indices(len(_RATES), 1)
    rates = np.log(np.stack([_RATES[slow], _RATES[fast]], axis=1))
    unusual = (((rates - middle[:2]) / spread[:2]) ** 2).sum(axis=1)
    best = np.full((len(_COARSE), len(task.data)), -np.inf)
    at = np.zeros((len(_COARSE), len(task.data), 3))
    for delay in delays_s:
        atoms = passage.seen(fine, times, np.full(len(fine), delay))
        right = task.against(atoms)
        of_blood = atoms @ task.blood
        gram = atoms @ atoms.T
        products = gram[None] - np.multiply.outer(1 / task.stiff, np.outer(of_blood, of_blood))
        _, _, gain = separable.amplitudes(
            (products[:, slow, slow], products[:, slow, fast], products[:, fast, fast]),
            (right[:, slow], right[:, fast]),
        )
        for n, coarse in enumerate(_COARSE):
            variance = task.variance + (coarse * task.height) ** 2
            score = gain / variance[:, None] - unusual[None]
            score -= ((delay - middle[2]) / spread[2]) ** 2
            which = score.argmax(axis=1)
            most = score[np.arange(len(score)), which]
            better = most > best[n]
            best[n] = np.where(better, most, best[n])
            at[n][better] = np.column_stack([rates[which], np.full(len(which), delay)])[better]
    return list(at)

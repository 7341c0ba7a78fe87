"""How strong full magnetisation would be in a film: what turns its signal into a share of it.

Proton-density frames measure it. Without them weaker witnesses are heard together: blood and
muscle before contrast (both with their known T1); the peak in blood, which must be a
concentration that people have after a usual dose; and the valley behind the first pass, which is
a fifth of the peak or so before contrast comes round again: where signal is saturated it looks
shallower. A second injection finds contrast already there: blood then starts brighter than
muscle, which tells how much is left. All are weighed on a grid of gains and residues, so that one
bad witness is outvoted, and the width of what remains is carried into the interval of flow.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from processing.mcaq.signal import Physics

F64 = NDArray[np.float64]

#: Water in muscle against blood, and R2* at once: signal at equal relaxation.
MUSCLE_TO_BLOOD = 0.82
#: Contrast in muscle against whole blood when both have levelled out: extracellular volume 0.27
#: of tissue against plasma of 0.58 of blood (Kellman 2012).
LEVELLED = 0.27 / 0.58
#: The peak in LV blood after 0.05–0.1 mmol/kg, mmol/l: 3.5–4.4 ± 1.2 (Kellman 2017), 4.4–5.2
#: (Xue 2019); the spread is taken wide, relative.
USUAL_PEAK, _PEAK_SPREAD = 4.3, 0.6
#: Peak over valley of the first pass: 5.6–8.3 (Kellman 2017), 3.5–7 of slower boluses.
_PEAK_TO_VALLEY, _VALLEY_SPREAD = 5.0, 0.3
#: How far signal before contrast lies from its model, relative: coil, inflow, noise floor.
_BASELINE_SPREAD = 0.08
#: Blood and muscle before contrast may be wrong together: saturation may be poor for both.
_ONE_CAUSE = 0.75
_PD_SPREAD, _ASSUMED_PD_SPREAD = 0.04, 0.35
#: What an earlier injection usually leaves, mmol/l; and what it costs to say that there was one.
_USUAL_RESIDUE, _EARLIER = 0.25, 1.2
_RESIDUES = np.r_[0.0, np.geomspace(0.03, 1.5, 40)]


@dataclass(frozen=True)
class Gain:
    """blood: signal of full magnetisation in blood, scanner units; muscle: likewise.

    residue: contrast in blood before the injection, mmol/l. spread: relative standard deviation
    of muscle's concentration against the blood's peak that comes of it. source: "proton
    density", "baseline" or "usual peak", whichever had most to say.
    """

    blood: float
    muscle: float
    residue: float
    spread: float
    source: str


def estimate(
    how: Physics,
    *,
    blood_before: float,
    blood_peak: float,
    muscle_before: float | None,
    blood_valley: float | None = None,
    proton_density: float | None = None,
    proton_density_is_sure: bool = True,
    known_residue: float | None = None,
) -> Gain:
    """Weigh the witnesses; all arguments in scanner units.

    blood_valley: the least signal of blood behind the first pass, if it was seen.
    proton_density: the gain of blood that proton-density frames tell. known_residue: contrast
    in blood before the injection, mmol/l, where another film has told it.
    """
    blood_before, blood_peak = max(blood_before, 1e-6), max(blood_peak, 1e-6)
    curve = how.recovery(how.r1_blood(np.linspace(0, 30, 800)), np.linspace(0, 30, 800))
    grid = blood_peak / (float(curve.max()) * np.geomspace(1.08, 0.05, 400))
    residues = _RESIDUES if known_residue is None else np.array([known_residue])
    native = how.recovery(how.r1_blood(residues), residues)
    muscle = how.recovery(how.r1_muscle(LEVELLED * residues))

    log_gain = np.log(grid)[:, None]
    expected = np.log(blood_before / native)[None]
    cost = _outlier(log_gain - expected, _BASELINE_SPREAD)
    if muscle_before is not None and muscle_before > 0:
        told = np.log(muscle_before / (MUSCLE_TO_BLOOD * muscle))[None]
        cost = _ONE_CAUSE * (cost + _outlier(log_gain - told, _BASELINE_SPREAD))
    cost = cost + (_EARLIER * (residues > 0) + residues / _USUAL_RESIDUE)[None]
    baseline_only = cost.min(axis=1)
    if proton_density is not None:
        width = _PD_SPREAD if proton_density_is_sure else _ASSUMED_PD_SPREAD
        cost = cost + _outlier(log_gain - np.log(proton_density), width) * (
            3.0 if proton_density_is_sure else 1.0
        )
    top = int(curve.argmax()) + 1
    amounts = np.linspace(0, 30, 800)[:top]
    peak = np.interp(blood_peak / grid, curve[:top], amounts)
    if blood_valley is not None:
        valley = np.interp(blood_valley / grid, curve[:top], amounts)
        above = (
            np.maximum(peak[:, None] - residues, 1e-3),
            np.maximum(valley[:, None] - residues, 1e-3),
        )
        cost = cost + _outlier(np.log(above[0] / above[1] / _PEAK_TO_VALLEY), _VALLEY_SPREAD)
    usual = 0.5 * (np.log(np.maximum(peak, 1e-3) / USUAL_PEAK) / _PEAK_SPREAD) ** 2
    beyond = np.maximum(blood_peak / grid / float(curve.max()) - 1, 0)
    cost = cost + (usual + (beyond / 0.02) ** 2)[:, None]

    weight = np.exp(-(cost - cost.min()))
    weight /= weight.sum()
    each = weight.sum(axis=1)
    best = float(np.exp(each @ np.log(grid)))
    residue = float(weight.sum(axis=0) @ residues)
    log_peak = np.log(np.maximum(peak, 1e-3))
    # A greater gain makes less of both; what flow feels is the one against the other.
    against = log_peak + np.log(grid)
    middle = float(each @ against)
    spread = float(np.sqrt(each @ (against - middle) ** 2))
    source = "baseline"
    if proton_density is not None and abs(np.log(best / proton_density)) < 0.2:
        source = "proton density"
    elif abs(np.log(best / float(grid[baseline_only.argmin()]))) > 0.2:
        source = "usual peak"
    return Gain(best, best * MUSCLE_TO_BLOOD, residue, spread, source)


def _outlier(deviation: F64, spread: float) -> F64:
    """Cost of a deviation that may be an outlier: Student's t with three degrees of freedom."""
    return np.asarray(2.0 * np.log1p((deviation / spread) ** 2 / 3))

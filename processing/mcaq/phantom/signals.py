"""Contrast and signal of every compartment, for the frames of one slice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from processing.mcaq.phantom import anatomy, bloch, blood, tissue

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

#: Signal of full, unweighted transverse magnetisation at the heart's centre, scanner units.
GAIN = 3600.0
HAEMATOCRIT = 0.42
#: Relaxivities of gadobutrol in blood, l/mmol/s, and native T1, ms, at 1.5 and 3 T.
R1 = {1.5: 4.7, 3.0: 4.5}
R2 = {1.5: 5.8, 3.0: 5.9}
T1_BLOOD = {1.5: 1660.0, 3.0: 1950.0}
T1_MUSCLE = {1.5: 1070.0, 3.0: 1270.0}

#: Relaxation at 1.5 T, and contrast's way in: flow in ml/min/ml, space in ml/ml.
_OTHER: dict[str, tuple[bloch.Tissue, float, float]] = {
    "fat": (bloch.Tissue(270, 80, 0.85, 30), 0.03, 0.08),
    "muscle": (bloch.Tissue(950, 40, 0.8, 35), 0.06, 0.14),
    "marrow": (bloch.Tissue(520, 50, 0.45, 60), 0.10, 0.15),
    "gut_wall": (bloch.Tissue(950, 50, 0.8, 40), 0.45, 0.22),
    "stomach": (bloch.Tissue(1400, 60, 0.06, 90), 0.0, 0.1),
}
_LIVER = bloch.Tissue(590, 46, 0.8, 40)
_SPLEEN = bloch.Tissue(1050, 80, 0.85, 25)
_LUNG = bloch.Tissue(1200, 60, 0.16, 420)
_LUNG_BLOOD_SHARE = 0.35
#: Under adenosine the spleen's vessels close in most, not in all (Patriki 2021: in 72 %).
_SPLEEN_FLOW = {"stress": 0.35, "rest": 1.3}
_KIDNEY = bloch.Tissue(1080, 85, 0.85, 20)
_MEDULLA = bloch.Tissue(1400, 85, 0.88, 20)
_EFFUSION = bloch.Tissue(2900, 600, 1.0, 5)


@dataclass(frozen=True)
class StateCurves:
    """What one state's blood and tissue do on the fine time grid, before pictures are taken."""

    circulation: blood.Circulation
    muscle: tissue.TissueCurves
    state: str
    residual: float
    switch_off: bool = True

    def at(self, curve: F64, times_s: F64) -> F64:
        return np.interp(times_s, self.circulation.times_s, curve)

    def blood(self, curve: F64, times_s: F64) -> F64:
        return self.at(curve, times_s) + self.residual

    def wall(self, times_s: F64) -> F64:
        """Concentration (T, b) of the wall for each simulated flow, mmol per l of tissue."""
        grid = self.muscle.times_s
        found = [np.interp(times_s, grid, one) for one in self.muscle.content.T]
        return np.stack(found, axis=1) + 0.45 * self.residual


def _bed(entering: F64, flow: float, space: float) -> F64:
    """A tissue that is one well-mixed space: dC/dt = f · Ca − (f / v) · C."""
    rate = flow / 60
    keep = float(np.exp(-rate / space * blood.STEP_S))
    drive = space * (1 - keep) * entering
    return np.asarray(lfilter([1.0], [1.0, -keep], drive))


def _kidney(curves: StateCurves) -> tuple[F64, F64]:
    """Cortex and medulla: much flow at once, then what has been filtered stays and moves inwards.

    Cortex: plasma flow about 2.3 ml/min/ml, a tenth of it filtered into tubules that hold it for
    minutes (three compartments as in Lee 2007 and Zhang 2008).
    """
    filtered = blood.carried(curves.circulation.aorta, 5.0, 3.0)
    cortex = _bed(curves.circulation.aorta, 2.3, 0.36) + _bed(filtered, 0.3, 1.5)
    medulla = _bed(filtered, 0.35, 0.2) + _bed(blood.carried(filtered, 14.0, 7.0), 0.3, 2.0)
    return cortex, medulla


def muscle_tissue(field: float) -> bloch.Tissue:
    return bloch.Tissue(T1_MUSCLE[field], 46, 0.85, 30, 8)


def blood_tissue(field: float) -> bloch.Tissue:
    return bloch.Tissue(T1_BLOOD[field], 220, 1.0, 12, 20)


def of_compartments(
    curves: StateCurves, times_s: F64, readout: bloch.Readout, field: float, heart_flow: float,
    names: Sequence[str] = anatomy.COMPARTMENTS,
) -> F32:  # fmt: skip
    """Signal (T, compartments) at those times; ``heart_flow`` is that of the other muscle."""
    way = curves.circulation
    red = blood_tissue(field)
    flesh = muscle_tissue(field)
    scale = T1_MUSCLE[field] / T1_MUSCLE[1.5]
    flows = curves.muscle.mbf
    wall = curves.wall(times_s)
    heart = np.array([np.interp(heart_flow, flows, one) for one in wall])
    supplied = curves.state if curves.switch_off else "rest"
    spleen = _bed(way.aorta, _SPLEEN_FLOW[supplied], 0.32)
    liver = _bed(0.8 * way.portal + 0.2 * way.aorta, 0.9, 0.26)
    pairs = {
        "left_blood": (curves.blood(way.left, times_s), red),
        "right_blood": (curves.blood(way.right, times_s), red),
        "aorta": (curves.blood(way.aorta, times_s), red),
        "lung_vessel": (curves.blood(way.lungs, times_s), red),
        "liver_vessel": (curves.blood(way.portal, times_s), red),
        "lung": (_LUNG_BLOOD_SHARE * curves.blood(way.lungs, times_s), _LUNG),
        "liver": (curves.at(liver, times_s) + 0.25 * curves.residual, _LIVER),
        "spleen": (curves.at(spleen, times_s) + 0.3 * curves.residual, _SPLEEN),
        "right_wall": (heart, flesh),
        "papillary": (heart, flesh),
    }
    for name, (kind, flow, space) in _OTHER.items():
        inside = _bed(way.aorta, flow, space)
        pairs[name] = (curves.at(inside, times_s) + 0.3 * space * curves.residual, kind)
    if "kidney_cortex" in names:
        cortex, medulla = _kidney(curves)
        pairs["kidney_cortex"] = (curves.at(cortex, times_s) + 0.6 * curves.residual, _KIDNEY)
        pairs["kidney_medulla"] = (curves.at(medulla, times_s) + 0.9 * curves.residual, _MEDULLA)
        pairs["effusion"] = (np.zeros(len(times_s)), _EFFUSION)
    result = np.empty((len(times_s), len(names)), dtype=np.float32)
    for n, name in enumerate(names):
        amount, kind = pairs[name]
        if name in ("muscle", "liver", "spleen", "gut_wall", "kidney_cortex", "kidney_medulla"):
            kind = bloch.Tissue(
                kind.t1_ms * scale, kind.t2_ms, kind.density, kind.r2_star_per_s, kind.r2_star
            )
        result[:, n] = GAIN * bloch.signal_of(amount, kind, readout)
    return result


def of_wall(curves: StateCurves, times_s: F64, readout: bloch.Readout, field: float) -> F32:
    """Signal (T, b) of the wall for each simulated flow."""
    return np.asarray(
        GAIN * bloch.signal_of(curves.wall(times_s), muscle_tissue(field), readout),
        dtype=np.float32,
    )

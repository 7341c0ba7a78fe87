"""The true flow in the wall: uneven as it is in people, with one defect at stress.

Normal flow: 0.7–1.0 ml/min/g at rest and about 3 under a vasodilator (Xue 2019; Brown 2018), a
little more at the endocardium at rest and a little less at stress. A stenosis leaves rest flow
alone and takes most from the inner layer at stress.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]

TURN = 2 * np.pi
#: Of each vessel: the middle of its territory as a share of the way round from the anterior
#: insertion (septum, inferior, lateral, anterior), half its width there, and how much of its
#: force reaches base, middle and apex.
_TERRITORIES = {
    "LAD": (0.02, 0.17, {"basal": 0.45, "mid": 1.0, "mid2": 1.0, "apical": 1.0}),
    "RCA": (0.40, 0.15, {"basal": 1.0, "mid": 0.95, "mid2": 0.8, "apical": 0.6}),
    "LCx": (0.64, 0.14, {"basal": 0.9, "mid": 1.0, "mid2": 0.9, "apical": 0.45}),
}


@dataclass(frozen=True)
class Defect:
    """vessel: whose territory. severity: share of stress flow lost in the inner layer there."""

    vessel: str
    severity: float


@dataclass(frozen=True)
class Perfusion:
    """Mean flow of the healthy wall, ml/min/g, its unevenness, and the defect if there is one."""

    mean: float
    inner_gain: float
    waves: tuple[tuple[float, float], ...]
    defect: Defect | None


def perfusion(seed: int, state: str, defect: Defect | None) -> Perfusion:
    rng = np.random.default_rng([seed, 11])
    rest = float(rng.uniform(0.8, 0.98))
    stress = float(rng.uniform(2.8, 3.3))
    waves = tuple((float(rng.uniform(0.02, 0.055)), float(rng.uniform(0, TURN))) for _ in range(3))
    if state == "rest":
        return Perfusion(rest, 0.10, waves, None)
    return Perfusion(stress, -0.08, waves, defect)


def any_defect(seed: int) -> Defect:
    rng = np.random.default_rng([seed, 12])
    vessel = ("LAD", "RCA", "LCx")[int(rng.integers(3))]
    return Defect(vessel, float(rng.uniform(0.6, 0.72)))


def flow_map(how: Perfusion, level: str, angle: F32, depth: F32) -> F32:
    """Flow in ml/min/g for angle (radians from the anterior insertion) and depth (0 to 1)."""
    phase = {"basal": 0.0, "mid": 0.5, "mid2": 0.8, "apical": 1.2}[level]
    flow = np.full(angle.shape, how.mean, dtype=np.float32)
    for n, (size, where) in enumerate(how.waves, 1):
        flow *= 1 + size * np.cos(n * angle + where + phase)
    flow *= 1 + how.inner_gain * (0.5 - depth)
    if how.defect is not None:
        middle, half, reach = _TERRITORIES[how.defect.vessel]
        away = np.abs(np.mod(angle / TURN - middle + 0.5, 1) - 0.5)
        inside = 1 / (1 + np.exp((away - half) / 0.018))
        layer = 1 - 0.5 * depth
        flow *= 1 - how.defect.severity * reach[level] * inside * layer
    return np.asarray(flow, dtype=np.float32)

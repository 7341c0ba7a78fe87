"""The true flow in the wall: uneven as it is in people, with one defect at stress.

Normal flow: 0.7–1.0 ml/min/g at rest and about 3 under a vasodilator (Xue 2019; Brown 2018), a
little more at the endocardium at rest and a little less at stress. A stenosis leaves rest flow
alone and takes most from the inner layer at stress. Where all three vessels are narrow, or the
small ones do not widen, stress flow is low everywhere and no part stands out (global flow below
1.82 speaks for three narrow vessels, Kotecha 2019).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]

TURN = 2 * np.pi
Amount = Literal["usual", "low"]
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
    """vessel: whose territory. severity: share of stress flow lost in the inner layer there.

    transmurality: share of the wall, from inside, that has lost so much, the rest having lost
    next to nothing; by default the loss falls off evenly to half of it at the outer border.
    """

    vessel: str
    severity: float
    transmurality: float | None = None


@dataclass(frozen=True)
class Perfusion:
    """Mean flow of the wall, ml/min/g, its unevenness, and the defects; ``healthy_mean``: what the
    mean were in a healthy heart."""

    mean: float
    inner_gain: float
    waves: tuple[tuple[float, float], ...]
    defects: tuple[Defect, ...]
    healthy_mean: float


def perfusion(
    seed: int, state: str, defects: Sequence[Defect], amount: Amount = "usual"
) -> Perfusion:
    rng = np.random.default_rng([seed, 11])
    rest = float(rng.uniform(0.8, 0.98))
    stress = float(rng.uniform(2.8, 3.3))
    waves = tuple((float(rng.uniform(0.02, 0.055)), float(rng.uniform(0, TURN))) for _ in range(3))
    if state == "rest":
        return Perfusion(rest, 0.10, waves, (), rest)
    mean = stress
    if amount == "low":
        mean *= float(np.random.default_rng([seed, 13]).uniform(0.36, 0.56))
    return Perfusion(mean, -0.08, waves, tuple(defects), stress)


def any_defect(seed: int) -> Defect:
    rng = np.random.default_rng([seed, 12])
    vessel = ("LAD", "RCA", "LCx")[int(rng.integers(3))]
    return Defect(vessel, float(rng.uniform(0.6, 0.72)))


def two_defects(seed: int) -> tuple[Defect, ...]:
    """Defects in the territories of two vessels, one of them through less of the wall."""
    rng = np.random.default_rng([seed, 14])
    first, second = rng.choice(("LAD", "RCA", "LCx"), size=2, replace=False)
    return (
        Defect(str(first), float(rng.uniform(0.6, 0.72))),
        Defect(str(second), float(rng.uniform(0.6, 0.72)), float(rng.uniform(0.3, 1.0))),
    )


def flow_map(how: Perfusion, level: str, angle: F32, depth: F32) -> F32:
    """Flow in ml/min/g for angle (radians from the anterior insertion) and depth (0 to 1)."""
    phase = {"basal": 0.0, "mid": 0.5, "mid2": 0.8, "apical": 1.2}[level]
    flow = np.full(angle.shape, how.mean, dtype=np.float32)
    for n, (size, where) in enumerate(how.waves, 1):
        flow *= 1 + size * np.cos(n * angle + where + phase)
    flow *= 1 + how.inner_gain * (0.5 - depth)
    for defect in how.defects:
        middle, half, reach = _TERRITORIES[defect.vessel]
        away = np.abs(np.mod(angle / TURN - middle + 0.5, 1) - 0.5)
        inside = 1 / (1 + np.exp((away - half) / 0.018))
        if defect.transmurality is None:
            layer = 1 - 0.5 * depth
        else:
            layer = _inner_layer(depth, defect.transmurality)
        flow *= 1 - defect.severity * reach[level] * inside * layer
    return np.asarray(flow, dtype=np.float32)


def _inner_layer(depth: F32, share: float) -> F32:
    """1 from the endocardium to that share of the wall, 0 beyond, with a soft edge."""
    if share >= 1:
        return np.ones_like(depth)
    return np.asarray(1 / (1 + np.exp((depth - share) / 0.04)), dtype=np.float32)

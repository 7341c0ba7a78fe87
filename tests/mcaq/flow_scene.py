"""The drawn heart with contrast of known flow: signals by the physics that the engine knows of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from processing.mcaq import signal as sr
from processing.mcaq.gain import MUSCLE_TO_BLOOD
from processing.mcaq.series import GivenInputFunction, Series
from tests.mcaq.curves import PACE_S, made
from tests.mcaq.scene import Scene
from tests.mcaq.test_signal import FLASH

GAIN = 4000.0
#: Muscle ahead in time is blood of the right ventricle: by how much, s.
_BEFORE_S = 4.0


@dataclass(frozen=True)
class Known:
    """series: one film. flows: ml/min/g by AHA number. aif: (T,) mmol/l. scene: where all lies."""

    series: Series
    flows: dict[int, float]
    aif: np.ndarray
    scene: Scene


def known(state, flows, *, noise=2.0, seed=1, given=True):
    """A mid slice whose six segments have these flows, in the order of their numbers 7 to 12."""
    frames = 44
    scene = Scene(frames=frames, step_s=PACE_S[state], septum=np.radians(120))
    curves = made(state, flows, frames)
    how = sr.physics(FLASH)

    def blood(amount):
        return GAIN * how.recovery(how.r1_blood(amount), amount)

    left, right, wall, *_ = scene.parts()
    ahead = np.interp(curves.times_s + _BEFORE_S, curves.times_s, curves.aif)
    film = blood(curves.aif)[:, None, None] * left + blood(ahead)[:, None, None] * right
    muscle = MUSCLE_TO_BLOOD * GAIN * how.recovery(how.r1_muscle(curves.tissue))
    angle, _ = scene.angle_and_radius()
    # Anticlockwise from the anterior insertion come 8, 9, 10, 11, 12, 7.
    sixth = ((angle - scene.rv_angle + scene.septum / 2) % (2 * np.pi) // (np.pi / 3)).astype(int)
    film = film + muscle[(sixth + 1) % 6].transpose(2, 0, 1) * wall
    film = film + 25 * np.clip(1 - left - right - wall, 0, 1)
    film = film + noise * np.random.default_rng(seed).standard_normal(film.shape)
    series = scene.series(
        np.abs(film).astype(np.float32),
        state=state,
        acquisition=FLASH,
        given_contours=scene.contours() if given else None,
        given_aif=GivenInputFunction(curves.times_s, curves.aif) if given else None,
    )
    return Known(series, dict(zip(range(7, 13), flows, strict=True)), curves.aif, scene)

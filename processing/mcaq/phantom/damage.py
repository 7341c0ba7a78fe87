"""Pictures that went wrong as a whole: ghosts, a lost signal, a burst of noise.

A ghost comes from a signal that changed from line to line while k-space was filled: as the lines
are read along the columns' direction, copies of the heart appear beside it. A frame is dark when
its trigger came so early that nothing had recovered, or a coil was lost. Noise comes from radio
waves that got in.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from processing.mcaq.phantom.truth import Damage

F32 = NDArray[np.float32]

_KINDS: tuple[Damage, ...] = ("ghost", "dark", "noise")


def chosen(rng: np.random.Generator, frames: NDArray[np.intp], count: int) -> dict[int, Damage]:
    """Which of these frames are spoilt, and how: every kind in turn."""
    where = rng.choice(frames, size=min(count, len(frames)), replace=False)
    return {int(frame): _KINDS[n % len(_KINDS)] for n, frame in enumerate(where)}


def done(picture: F32, kind: Damage, noise: float, rng: np.random.Generator) -> F32:
    """The spoilt picture (rows, cols); noise: the film's own standard deviation."""
    if kind == "ghost":
        every = float(rng.uniform(3.2, 5.5))
        lines = np.arange(picture.shape[1])
        swing = 1 + 1.1 * np.cos(2 * np.pi * lines / every + float(rng.uniform(0, 2 * np.pi)))
        found = np.abs(fft.ifft(fft.fft(picture, axis=1) * swing, axis=1))
        return np.asarray(found, dtype=np.float32)
    if kind == "dark":
        left, scatter = 0.06, max(noise, 1e-3)
    else:
        left, scatter = 0.9, 0.25 * float(np.percentile(picture, 99))
    white = scatter * rng.standard_normal((2, *picture.shape))
    return np.asarray(np.hypot(left * picture + white[0], white[1]), dtype=np.float32)

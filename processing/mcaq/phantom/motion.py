"""Heart beats and breathing: when frames are taken, and where everything is then.

A point of the motion-free picture lies elsewhere in the observed one. The film is drawn by the
field u, observed(y) = still(y + u(y)); the truth is its inverse d, still(x) = observed(x + d(x)),
found by fixed-point iteration. Both in mm here. Breathing moves all that is inside the ribs, more
near the diaphragm; the wall of the chest stays. The heart also fills more after a longer beat.

A slice stays where it is while the heart moves along its own long axis as well, which no field in
the plane can show: in a deep breath it cuts the heart elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]

Breathing = Literal["free", "gasp", "hold_then_drift", "none"]
Depth = Callable[[NDArray[np.floating], NDArray[np.floating]], F64]


def beats(rng: np.random.Generator, count: int, interval_s: float) -> F64:
    """Times of ``count`` R waves from 0, s: arrhythmia of breathing, wander, an early beat with
    its pause, and a trigger that was missed."""
    breath = 2 * np.pi * np.arange(count) * interval_s / 4.3
    wander = np.zeros(count)
    for n in range(1, count):
        wander[n] = 0.8 * wander[n - 1] + rng.normal(0, 0.012)
    intervals = interval_s * (1 + wander + 0.025 * np.sin(breath) + rng.normal(0, 0.006, count))
    if count >= 30:
        early = int(rng.integers(count // 2, count - 6))
        intervals[early] *= 0.72
        intervals[early + 1] *= 1.3
        missed = int(rng.integers(3 * count // 4, count - 3))
        intervals[missed] *= 2
    return np.concatenate([[0.0], np.cumsum(intervals[:-1])])


@dataclass(frozen=True)
class Course:
    """Of each frame (T,): how far the diaphragm stands below its mean place, mm; how far the
    heart lags to the side, mm; and how much larger than usual it is (share of its radius)."""

    down_mm: F64
    side_mm: F64
    filling: F64

    @property
    def rests(self) -> bool:
        """Whether nothing moves in the plane."""
        return not (self.down_mm.any() or self.side_mm.any() or self.filling.any())


def course(
    rng: np.random.Generator, times_s: F64, breathing: Breathing, amplitude_mm: float
) -> Course:
    """Breathing by the time of each frame; the same generator state gives the same breaths."""
    grid = np.arange(-5.0, float(times_s[-1]) + 5.0, 0.05)
    period = 4.1 + float(rng.uniform(-0.5, 0.7))
    pace = np.exp(np.interp(grid, grid[::60], rng.normal(0, 0.13, len(grid[::60]))))
    phase = np.cumsum(0.05 * pace) / period + float(rng.uniform())
    depth = np.exp(np.interp(phase, np.arange(60), rng.normal(0, 0.22, 60)))
    # Out-breath lasts longer than in-breath (Lujan 1999).
    breath = depth * (1 - np.cos(np.pi * phase) ** 4)
    drift = np.interp(grid, grid[::200], rng.normal(0, 0.12, len(grid[::200])))
    lag = np.roll(breath, 8)
    if breathing == "none":
        down, side = np.zeros_like(grid), np.zeros_like(grid)
    elif breathing == "hold_then_drift":
        hold = 0.3 * float(times_s[-1])
        after = np.clip((grid - hold) / 2.0, 0, 1)
        down = after * (breath - 0.4) + 0.02 * np.maximum(hold - grid, 0) + drift * after
        side = 0.3 * after * (lag - 0.4)
    else:
        down = breath - 0.55 + drift
        side = 0.25 * (lag - 0.55)
        if breathing == "gasp":
            when = float(rng.uniform(0.25, 0.6)) * float(times_s[-1])
            down = down + 2.2 * np.exp(-(((grid - when) / 1.1) ** 2))
    filling = rng.normal(0, 0.012, len(times_s))
    gaps = np.diff(times_s, prepend=2 * times_s[0] - times_s[1])
    filling += 0.06 * np.clip(gaps / np.median(gaps) - 1, -0.4, 0.5)
    return Course(
        amplitude_mm * np.interp(times_s, grid, down),
        amplitude_mm * np.interp(times_s, grid, side),
        filling if breathing != "none" else np.zeros(len(times_s)),
    )


#: Steps in which a slice's place on the long axis is told and drawn.
OFFSET_STEP_MM = 1.5


def deep_breaths(
    rng: np.random.Generator, times_s: F64, count: int, along_axis: float
) -> tuple[F64, F64]:
    """How far (T,) deep breaths move the heart down, and the slice along it to the apex, both mm.

    Every other one is a breath pressed out, which moves the heart up. A deep breath moves the
    domes by 44 mm (Gierada 1995) and the heart by six tenths of that (Danias 1999). along_axis:
    share of a move downwards that goes along the heart's axis, to its apex.
    """
    lasts = float(times_s[-1] - times_s[0])
    down = np.zeros(len(times_s))
    for number in range(count):
        # Spread over the film, none on the other.
        share = (number + 0.5 + rng.uniform(-0.25, 0.25)) / count
        when = times_s[0] + (0.12 + 0.82 * share) * lasts
        deep = rng.uniform(21, 30) if number % 2 == 0 else -rng.uniform(14, 19)
        down += deep * np.exp(-(((times_s - when) / rng.uniform(0.9, 1.3)) ** 2))
    # The heart goes down, so what the slice cuts lay higher before, nearer the base.
    offset = -along_axis * down
    # Nought has no sign.
    return down, OFFSET_STEP_MM * np.round(offset / OFFSET_STEP_MM) + 0.0


def other_phases(
    rng: np.random.Generator, frames: NDArray[np.intp], count: int
) -> dict[int, float]:
    """Which of these frames a wrong trigger takes in another phase of the beat, and how far it
    lies towards the other end of the contraction, as a share."""
    chosen = rng.choice(frames, size=min(count, len(frames)), replace=False)
    return {int(frame): float(rng.choice([0.7, 1.0])) for frame in chosen}


def drawn_field(move: Course, x: F64, y: F64, depth: Depth, heart_mm: float, wall_mm: float) -> F64:
    """u at points x, y (T, n) of the observed picture, (T, 2, n) mm, row (y) first.

    depth tells how deep in the body a point lies; from ``wall_mm`` inwards things move.
    """
    share = np.clip((depth(x, y) - wall_mm) / 38.0, 0, 1)
    inside = share * share * (3 - 2 * share)
    vertical = 1 + 0.22 * np.tanh((y - 15) / 70)
    down = move.down_mm[:, None] * inside * vertical
    side = move.side_mm[:, None] * inside
    # The heart's own place moves with the breath, and it grows about that place.
    dx = x - move.side_mm[:, None]
    dy = y - move.down_mm[:, None]
    swell = move.filling[:, None] * np.exp(-(dx**2 + dy**2) / (1.5 * heart_mm) ** 2)
    return np.stack([-down - swell * dy, -side - swell * dx], axis=1)


def true_field(move: Course, x: F64, y: F64, depth: Depth, heart_mm: float, wall_mm: float) -> F64:
    """d at points x, y (n,) of the motion-free picture, (T, 2, n) mm, row first."""
    frames = len(move.down_mm)
    found = np.zeros((frames, 2, x.size))
    for _ in range(7):
        found = -drawn_field(
            move, x + found[:, 1], y + found[:, 0], depth, heart_mm, wall_mm
        )  # fmt: skip
    return found

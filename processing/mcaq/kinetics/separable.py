"""Least squares where some parameters are linear: those are solved for, the others searched.

A curve is a sum of columns φ(θ) with amplitudes of at least zero, plus a share of blood that is
known to a spread. The share is integrated out: what blood could explain as well weighs less, by
⟨x, y⟩ = x·y − (x·b)(y·b) / (b·b + variance/spread²). The search is Gauss–Newton with damping on
the residual after the amplitudes (variable projection; Golub and Pereyra 1973, in Kaufman's form).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from processing.mcaq.kinetics.curves import DELAYS_S, SAME_DELAY_S, Curves

F64 = NDArray[np.float64]

_ROUNDS = 10
#: How far a curve lies from any of the model's because blood is known at the frames alone, as a
#: share of its height.
_DISCREPANCY = 0.003
_TINY = 1e-12


@dataclass(frozen=True)
class Task:
    """data: (P, U) without the expected blood. blood: (U,). stiff: (P,) b·b + variance/spread².

    height: (P,) of the curves. variance: (P,) of one value, mmol²/l².
    """

    data: F64
    blood: F64
    stiff: F64
    height: F64
    variance: F64

    @classmethod
    def of(cls, curves: Curves, frames: NDArray[np.bool_]) -> Task:
        """The curves on some of the ``frames`` (T,)."""
        spill, blood = curves.expected, np.asarray(curves.blood[frames], dtype=np.float64)
        data = np.asarray(curves.tissue[:, frames], dtype=np.float64)
        height = np.percentile(np.abs(data), 95, axis=1)
        variance = curves.noise**2 + (_DISCREPANCY * height) ** 2 + 1e-10
        stiff = float(blood @ blood) + variance / spill.spread**2
        return cls(data - spill.share[:, None] * blood, blood, stiff, height, variance)

    def power(self) -> F64:
        """⟨d, d⟩ of each curve, (P,)."""
        return np.asarray((self.data**2).sum(axis=1) - (self.data @ self.blood) ** 2 / self.stiff)

    def against(self, atoms: F64) -> F64:
        """⟨d, φ⟩ of each curve with each of N atoms (N, U): (P, N)."""
        shared = (self.data @ self.blood) / self.stiff
        return np.asarray(self.data @ atoms.T - shared[:, None] * (atoms @ self.blood)[None])

    def inner(self, one: F64, other: F64) -> F64:
        """⟨x, y⟩ of (P, k, U) and (P, l, U): (P, k, l)."""
        plain = one @ other.transpose(0, 2, 1)
        of_blood = (one @ self.blood)[:, :, None] * (other @ self.blood)[:, None]
        return np.asarray(plain - of_blood / self.stiff[:, None, None])


def amplitudes(gram: tuple[F64, F64, F64], right: tuple[F64, F64]) -> tuple[F64, F64, F64]:
    """The two amplitudes of at least zero that fit best, and by how much they lower ⟨r, r⟩.

    gram: ⟨φ1, φ1⟩, ⟨φ1, φ2⟩, ⟨φ2, φ2⟩; right: ⟨d, φ1⟩, ⟨d, φ2⟩; all of one shape.
    """
    (first, both, second), (to_first, to_second) = gram, right
    determinant = first * second - both**2
    apart = determinant > 1e-9 * first * second
    safe = np.where(apart, determinant, 1.0)
    a = (second * to_first - both * to_second) / safe
    b = (first * to_second - both * to_first) / safe
    alone_a = np.maximum(to_first, 0) / (first + _TINY)
    alone_b = np.maximum(to_second, 0) / (second + _TINY)
    gain_a, gain_b = alone_a * to_first, alone_b * to_second
    inside = apart & (a >= 0) & (b >= 0)
    use_a = gain_a >= gain_b
    a = np.where(inside, a, np.where(use_a, alone_a, 0.0))
    b = np.where(inside, b, np.where(use_a, 0.0, alone_b))
    gain = np.where(inside, a * to_first + b * to_second, np.maximum(gain_a, gain_b))
    return a, b, gain


@dataclass(frozen=True)
class Search:
    """columns: θ (P, n) → (P, L, U), L of 1 or 2. Bounds, nudges, expectation and spread: (n,)."""

    columns: Callable[[F64], F64]
    least: F64
    most: F64
    nudge: F64
    middle: F64
    spread: F64


@dataclass(frozen=True)
class Found:
    """at: θ (P, n). amplitude: (P, L). cost: (P,) minus twice the logarithm of the posterior."""

    at: F64
    amplitude: F64
    cost: F64


@dataclass(frozen=True)
class _Here:
    """At some θ (P, n): amplitudes (P, L), the curves they make (P, U), deviations from what is
    expected (P, k), and minus twice the logarithm of the posterior (P,)."""

    amplitude: F64
    curve: F64
    away: F64
    cost: F64


def climb(task: Task, search: Search, start: F64) -> Found:
    """From θ (P, n) to where data and expectation agree best."""
    at = np.clip(start, search.least, search.most)
    here = _at(task, search, at)
    damping = np.full(len(at), 1e-2)
    unit = np.eye(at.shape[1])
    for _ in range(_ROUNDS):
        moved = [_at(task, search, at + search.nudge * one) for one in unit]
        curves = np.stack([one.curve - here.curve for one in moved], axis=1)
        curves = curves / search.nudge[:, None]
        away = np.stack([one.away - here.away for one in moved], axis=1) / search.nudge[:, None]
        rest = (task.data - here.curve)[:, None]
        normal = task.inner(curves, curves) / task.variance[:, None, None]
        normal += away @ away.transpose(0, 2, 1)
        right = task.inner(curves, rest)[:, :, 0] / task.variance[:, None]
        right -= (away @ here.away[:, :, None])[:, :, 0]
        diagonal = np.einsum("pkk->pk", normal)[:, :, None] * unit
        step = np.linalg.solve(normal + damping[:, None, None] * diagonal, right[..., None])
        tried = np.clip(at + np.clip(step[..., 0], -1.0, 1.0), search.least, search.most)
        there = _at(task, search, tried)
        better = there.cost < here.cost
        at = np.where(better[:, None], tried, at)
        here = _Here(
            np.where(better[:, None], there.amplitude, here.amplitude),
            np.where(better[:, None], there.curve, here.curve),
            np.where(better[:, None], there.away, here.away),
            np.where(better, there.cost, here.cost),
        )
        damping = np.where(better, 0.3 * damping, 6 * damping)
    return Found(at, here.amplitude, here.cost)


def climb_from_each(task: Task, search: Search, starts: Sequence[F64]) -> Found:
    """The best of the climbs from several starts θ (P, n), for each curve by itself."""
    best = climb(task, search, starts[0])
    for start in starts[1:]:
        other = climb(task, search, start)
        better = other.cost < best.cost
        best = Found(
            np.where(better[:, None], other.at, best.at),
            np.where(better[:, None], other.amplitude, best.amplitude),
            np.where(better, other.cost, best.cost),
        )
    return best


def at_one_delay(
    searched: Callable[[F64, F64, F64], Found],
    middle: F64,
    spread: F64,
    *,
    one_delay: bool,
) -> Found:
    """Curves that are ``searched`` over all delays, and again about the delay they share.

    searched: from delays that are tried, s, and from expectation and spread (n,), of which the
    delay is the last. The second search is left out unless all curves have ``one_delay``.
    """
    found = searched(DELAYS_S, middle, spread)
    if not one_delay or len(found.at) < 2:
        return found
    delay = float(np.median(found.at[:, -1]))
    near = DELAYS_S[np.abs(DELAYS_S - delay) <= 2 * SAME_DELAY_S]
    return searched(near, np.r_[middle[:-1], delay], np.r_[spread[:-1], SAME_DELAY_S])


def _at(task: Task, search: Search, at: F64) -> _Here:
    columns = search.columns(at)
    gram = task.inner(columns, columns)
    right = task.inner(columns, task.data[:, None])[:, :, 0]
    if columns.shape[1] == 1:
        amplitude = np.maximum(right, 0) / (gram[:, :, 0] + _TINY)
    else:
        a, b, _ = amplitudes(
            (gram[:, 0, 0], gram[:, 0, 1], gram[:, 1, 1]), (right[:, 0], right[:, 1])
        )
        amplitude = np.stack([a, b], axis=1)
    curve = (amplitude[:, :, None] * columns).sum(axis=1)
    away = (at - search.middle) / search.spread
    rest = (task.data - curve)[:, None]
    misfit = task.inner(rest, rest)[:, 0, 0] / task.variance + (away**2).sum(axis=1)
    return _Here(amplitude, curve, away, np.asarray(misfit))

"""Flow of a few good curves: the exchange model's most probable parameters, and how sure they are.

From the dictionary's best curves Gauss–Newton climbs to the maxima of the posterior; draws about
them, weighted by the true posterior (importance sampling), then give its mean and spread. At high
flow the posterior is wide and skewed: its mean errs less than its maximum.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import qmc

from processing.mcaq.kinetics.exchange import (
    DELAY,
    FLOW,
    MIDDLE,
    MOST_SPILL,
    MOST_UNEVEN,
    NOT_LESS,
    SPREAD,
    SPREAD_WITHIN,
    UNEVEN,
    USUAL_FLOW,
    Dictionary,
    Fit,
    Model,
    Spill,
    little_spill,
    scores,
    variance_of,
)

F64 = NDArray[np.float64]
F32 = NDArray[np.float32]

_STARTS = 3
_ROUNDS = 8
_LEAST_LOG_FLOW, _MOST_LOG_FLOW = np.log(0.02), np.log(9.0)
#: Draws for each curve and maximum, and how much wider than the maximum they are.
_DRAWS, _WIDER = 32, 1.3


def refine(
    dictionary: Dictionary,
    curves: F32,
    used: NDArray[np.bool_],
    noise: F64,
    *,
    delay_s: float,
    usual_flow: float = USUAL_FLOW,
    spill: Spill | None = None,
) -> Fit:
    """Flow of the B curves (B, T) of one slice; arguments as in ``exchange.fit``.

    What makes up muscle differs little within one slice: once all curves have been fitted, those
    parameters are expected near what the curves say together, and all are fitted again.
    """
    spill = spill or little_spill(len(curves))
    middle = MIDDLE.copy()
    middle[FLOW], middle[DELAY] = np.log(usual_flow), delay_s
    start = _starts(dictionary, curves, used, noise, middle, spill)
    task = _Task.of(dictionary.model, curves, used, noise, spill, middle, SPREAD)
    found = _climb(task, start)
    if len(curves) >= 3:
        best = found.at[np.arange(len(curves)), found.cost.argmin(axis=1)]
        together = np.median(best, axis=0)
        together[FLOW] = middle[FLOW]
        start = found.at.copy()
        start[:, :, 1:] = 0.5 * (start[:, :, 1:] + together[1:])
        task = _Task.of(dictionary.model, curves, used, noise, spill, together, SPREAD_WITHIN)
        found = _climb(task, start)
    return _drawn_about(task, found)


def _starts(
    dictionary: Dictionary,
    curves: F32,
    used: NDArray[np.bool_],
    noise: F64,
    middle: F64,
    spill: Spill,
) -> F64:
    """The dictionary's best for each curve, and its best of clearly lower and higher flow."""
    score = scores(dictionary, curves, used, noise, spill)
    parameters = dictionary.parameters
    told = [FLOW, DELAY]
    away = (parameters[:, told] - middle[told]) / SPREAD[told]
    score -= (0.5 * (away**2).sum(axis=1)).astype(np.float32)
    chosen = [score.argmax(axis=1)]
    flow = parameters[:, FLOW]
    for step in (-0.25, 0.25):
        beyond = (flow[None] - flow[chosen[0]][:, None]) * np.sign(step) > abs(step)
        chosen.append(np.where(beyond, score, -np.inf).argmax(axis=1))
    return np.asarray(parameters[np.stack(chosen, axis=1)])


@dataclass(frozen=True)
class _Task:
    """B curves to be explained, and what is expected of their parameters.

    data: (B, U) without the blood that is expected in it. variance, unsure, least: (B,).
    """

    model: Model
    data: F64
    used: NDArray[np.bool_]
    variance: F64
    unsure: F64
    least: F64
    middle: F64
    spread: F64

    @classmethod
    def of(
        cls, model: Model, curves: F32, used: NDArray[np.bool_], noise: F64, spill: Spill,
        middle: F64, spread: F64,
    ) -> _Task:  # fmt: skip
        data = curves[:, used].astype(np.float64) - spill.share[:, None] * model.blood[used]
        variance = variance_of(curves[:, used], noise)
        return cls(
            model, data, used, variance, spill.spread, -(spill.share + NOT_LESS), middle, spread
        )

    @property
    def blood(self) -> F64:
        return np.asarray(self.model.blood[self.used])

    @property
    def stiff(self) -> F64:
        return np.asarray(float(self.blood @ self.blood) + self.variance / self.unsure**2)

    def curves(self, at: F64) -> F64:
        """The model's curves (B, S, U) for parameters (B, S, 8)."""
        return self.model.curves(at.reshape(-1, 8))[:, self.used].reshape(*at.shape[:2], -1)

    def slopes(self, at: F64) -> F64:
        """Derivatives of the curves by each parameter, (B, S, 8, U)."""
        by = self.model.slopes(at.reshape(-1, 8))[1][:, :, self.used]
        return by.reshape(*at.shape[:2], 8, -1)

    def cost(self, at: F64) -> tuple[F64, F64]:
        """Minus twice the logarithm of the posterior (B, S) at (B, S, 8), and residuals."""
        left = self.data[:, None] - self.curves(at)
        share = np.clip((left @ self.blood) / self.stiff[:, None], self.least[:, None], MOST_SPILL)
        rest = left - share[:, :, None] * self.blood
        misfit = (rest**2).sum(axis=2) / self.variance[:, None]
        misfit += (share / self.unsure[:, None]) ** 2
        misfit += (((at - self.middle) / self.spread) ** 2).sum(axis=2)
        return np.asarray(misfit), rest


@dataclass(frozen=True)
class _Maxima:
    """Where the climbs ended (B, S, 8), the cost there (B, S), and its curvature (B, S, 8, 8)."""

    at: F64
    cost: F64
    normal: F64


def _climb(task: _Task, start: F64) -> _Maxima:
    """Gauss–Newton with damping from the starts (B, S, 8)."""
    at = start
    value, rest = task.cost(at)
    damping = np.full(value.shape, 0.1)
    normal = np.zeros((*value.shape, 8, 8))
    for _ in range(_ROUNDS):
        slope = task.slopes(at)
        # What blood could explain as well tells nothing.
        share = (slope @ task.blood) / task.stiff[:, None, None]
        slope -= share[..., None] * task.blood
        normal = np.einsum("bskt,bslt->bskl", slope, slope) / task.variance[:, None, None, None]
        normal += np.diag(1 / task.spread**2)
        right = np.einsum("bskt,bst->bsk", slope, rest) / task.variance[:, None, None]
        right -= (at - task.middle) / task.spread**2
        diagonal = np.einsum("bskk->bsk", normal)[..., None] * np.eye(8)
        damped = normal + damping[:, :, None, None] * diagonal
        step = np.linalg.solve(damped, right[..., None])[..., 0]
        new = _allowed(at + np.clip(step, -1.5 * task.spread, 1.5 * task.spread))
        new_value, new_rest = task.cost(new)
        better = new_value < value
        at = np.where(better[..., None], new, at)
        rest = np.where(better[..., None], new_rest, rest)
        value = np.where(better, new_value, value)
        damping = np.where(better, 0.3 * damping, 5 * damping)
    return _Maxima(at, value, normal)


def _allowed(at: F64) -> F64:
    at[..., UNEVEN] = np.clip(at[..., UNEVEN], 0, MOST_UNEVEN)
    at[..., FLOW] = np.clip(at[..., FLOW], _LEAST_LOG_FLOW, _MOST_LOG_FLOW)
    return at


def _drawn_about(task: _Task, found: _Maxima) -> Fit:
    """Mean and spread of flow over draws about the maxima, weighted by the posterior."""
    curves, maxima = found.cost.shape
    even = np.clip(qmc.Sobol(8, scramble=True, seed=11).random(_DRAWS), 1e-3, 1 - 1e-3)
    normal = ndtri(even)
    root = np.linalg.cholesky(np.linalg.inv(found.normal)) * _WIDER
    away = np.einsum("bskl,dl->bsdk", root, normal)
    draws = (found.at[:, :, None] + away).reshape(curves, -1, 8)
    # How densely the draws lie at each draw: a sum over the maxima they were taken about.
    density = np.zeros(draws.shape[:2])
    for n in range(maxima):
        offset = draws - found.at[:, n, None]
        square = np.einsum("bdk,bkl,bdl->bd", offset, found.normal[:, n], offset) / _WIDER**2
        volume = 0.5 * np.linalg.slogdet(found.normal[:, n])[1]
        density += np.exp(volume[:, None] - volume.min() - 0.5 * square)
    value, _ = task.cost(_allowed(draws))
    score = -0.5 * value - np.log(density + 1e-300)
    weight = np.exp(score - score.max(axis=1, keepdims=True))
    # No single draw may stand for all.
    limit = np.sqrt(draws.shape[1]) * weight.mean(axis=1, keepdims=True)
    weight = np.minimum(weight, limit)
    weight /= weight.sum(axis=1, keepdims=True)
    flow = np.exp(draws[:, :, FLOW])
    mean = (weight * flow).sum(axis=1)
    deviation = np.sqrt((weight * (flow - mean[:, None]) ** 2).sum(axis=1))
    return Fit(mean, deviation, np.einsum("bd,bdk->bk", weight, draws))

"""Blood–tissue exchange along capillaries of unequal flow, with blood that spills into the pixel.

An arteriole (volume Va, well mixed in two steps) feeds capillaries of plasma volume Vp whose
plasma exchanges by PS with an interstitium Vi; a venule (Vv) drains them. Without mixing along
the way each capillary's outflow has a closed form in the Laplace domain (s). Capillary flows are
spread about their mean F with relative deviation RD, told by three classes (Gauss–Hermite). With
the outflow H(s) · Cin(s) tissue holds Q(s) = (F/s) · Cin(s) · (1 − H(s)).

F and PS are in ml/min per g, of whole blood and plasma; volumes are ml of plasma or interstitium
per ml tissue. Cin is plasma concentration, that of whole blood over (1 − haematocrit). A curve
of tissue is one of the model's, delayed against the input function, plus a share of arterial
blood: the cavity's within the point-spread function.

The data do not tell all of this apart: at high flow contrast is handed over by PS rather than by
flow. So what is known of hearts (Xue 2019: PS 1.1–1.3 ml/min/g, Vb 10–12 ml/100 g, Vi 20 %) is
put in as a prior, wide enough to be overruled. Pixels are fitted by a dictionary drawn from the
prior and take the mean over it, each curve weighted by how well it explains the pixel. The less
noisy curves of segments go on from the dictionary's best in ``posterior``.

Sources: Bassingthwaighte 1989 and Jacquez 1985 (the model); Kellman and Xue 2017 (its use);
closed form derived from the former with both diffusions zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import qmc

F64 = NDArray[np.float64]
F32 = NDArray[np.float32]
C64 = NDArray[np.complex64]

#: Order of the parameters: logarithms of flow, PS, Vp, Vi; RD; logarithms of Va, Vv; delay in s.
FLOW, PS, PLASMA, SPACE, UNEVEN, ARTERIOLE, VENULE, DELAY = range(8)
USUAL_FLOW, FLOW_SPREAD = 1.6, 0.75
MIDDLE = np.array([
    np.log(USUAL_FLOW), np.log(1.1), np.log(0.045), np.log(0.21), 0.25,
    np.log(0.012), np.log(0.012), 0.0,
])  # fmt: skip
SPREAD = np.array([FLOW_SPREAD, 0.5, 0.4, 0.4, 0.15, 0.4, 0.4, 0.45])
#: Within one slice; flow is as free as ever.
SPREAD_WITHIN = np.array([FLOW_SPREAD, 0.2, 0.2, 0.15, 0.08, 0.2, 0.2, 0.2])
_LEAST_FLOW, _MOST_FLOW = 0.12, 7.0
MOST_UNEVEN = 0.56
#: The dictionary is drawn wider than the prior and weighted back to it, with heavier tails.
_WIDER, _TAIL = 1.5, 5.0
ATOMS = 1024
_DELAYS_S = np.arange(-0.75, 3.3, 0.25)
_STEP_S, _LENGTH = 0.25, 512
#: What of the input's spectrum is left out, against its largest part; the slowest capillary's flow
#: against the mean; by how much a delay is changed to see what it does.
_QUIET, _SLOWEST, _NUDGE_S = 2e-3, 0.03, 0.05
#: How far true curves lie from any of the model's, as a share of their height.
_DISCREPANCY = 0.012
MOST_SPILL = 0.6
#: A share of blood may be less than nothing by so much, or noise would lean to one side.
NOT_LESS = 0.01
#: Weights are flattened until at least so many curves of the dictionary share a pixel.
_FEWEST_SHARERS = 6.0
#: Pixels that are weighted at once: so many that their scores stay in the processor's cache.
_AT_ONCE = 64
#: Logarithm of the least weight: squares of lesser ones are no normal numbers any more, slow to
#: compute with, and thousands of them weigh nothing.
_FAINTEST = np.float32(-40.0)


class Model:
    """Tissue curves at ``times_s`` (T,) for one input function (T,), mmol/l whole blood."""

    def __init__(
        self, times_s: F64, aif_mmol_l: F64, haematocrit: float, density_g_per_ml: float
    ) -> None:
        self.times_s = times_s - times_s[0]
        self.blood = np.asarray(aif_mmol_l, dtype=np.float64)
        self.haematocrit, self.density = haematocrit, density_g_per_ml
        fine = np.arange(min(_LENGTH, int(self.times_s[-1] / _STEP_S) + 2)) * _STEP_S
        arterial = np.zeros(_LENGTH)
        arterial[: len(fine)] = np.interp(fine, self.times_s, self.blood) / (1 - haematocrit)
        # Damped Fourier transform: the Laplace transform along a line to the right of all poles.
        inflow = np.fft.rfft(arterial * np.exp(-_damping() * np.arange(_LENGTH) * _STEP_S))
        # Tissue answers slowly: what the input holds of fast changes is not worth a transform.
        loud = np.abs(inflow) > _QUIET * np.abs(inflow).max()
        band = int(np.flatnonzero(loud)[-1]) + 1
        self._inflow = inflow[:band].astype(np.complex64)
        self._growth = np.exp(_damping() * fine)

    def fine_curves(self, parameters: F64) -> F64:
        """Curves (N, …) every ``_STEP_S`` for parameters (N, 8); the delay is left out."""
        return self.in_time(self._tissue(parameters).held)

    def _tissue(self, parameters: F64) -> _Tissue:
        s = _laplace()[: len(self._inflow)]
        return _Tissue(parameters, s, self.haematocrit, self.density)

    def slopes(self, parameters: F64) -> tuple[F64, F64]:
        """Curves (N, T) for parameters (N, 8), and their derivatives (N, 8, T) by each of them."""
        tissue = self._tissue(parameters)
        fine = self.in_time(tissue.held)
        delay_s = parameters[:, DELAY]
        here = self.delayed(fine, delay_s)
        by = np.empty((len(parameters), 8, here.shape[1]))
        for n, transform in tissue.derivatives().items():
            by[:, n] = self.delayed(self.in_time(transform), delay_s)
        later = self.delayed(fine, delay_s + _NUDGE_S)
        by[:, DELAY] = (later - here) / _NUDGE_S
        return here, by

    def in_time(self, transform: C64) -> F64:
        """Transforms (N, …) of tissue, driven by the input, as fine curves (N, …)."""
        driven = np.fft.irfft(transform[:, : len(self._inflow)] * self._inflow, _LENGTH)
        return np.asarray(driven[:, : len(self._growth)] * self._growth)

    def curves(self, parameters: F64) -> F64:
        """Curves (N, T) mmol per l tissue for parameters (N, 8)."""
        return self.delayed(self.fine_curves(parameters), parameters[:, DELAY])

    def delayed(self, fine: F64, delay_s: F64) -> F64:
        """Fine curves (N, …), each at the frames' times less its delay (N,)."""
        at = self.times_s[None] - delay_s[:, None]
        place = np.clip(at / _STEP_S, 0, fine.shape[1] - 1.001)
        low = place.astype(np.intp)
        share = place - low
        flat = low + fine.shape[1] * np.arange(len(fine))[:, None]
        moved = fine.take(flat) * (1 - share) + fine.take(flat + 1) * share
        return np.asarray(np.where(at < 0, 0.0, moved))

    def all_delayed(self, fine: F32, delay_s: float) -> F32:
        """Fine curves (N, …), all at the frames' times less one delay."""
        at = self.times_s - delay_s
        place = np.clip(at / _STEP_S, 0, fine.shape[1] - 1.001)
        low = place.astype(np.intp)
        share = (place - low).astype(np.float32)
        moved = np.take(fine, low, axis=1) * (1 - share) + np.take(fine, low + 1, axis=1) * share
        moved[:, at < 0] = 0
        return np.asarray(moved)


class _Tissue:
    """What tissue with parameters (N, 8) does to its input at all s: ``held``, (F/s) · (1 − H)."""

    def __init__(self, parameters: F64, s: C64, haematocrit: float, density: float) -> None:
        values = np.exp(parameters[:, [FLOW, PS, PLASMA, SPACE, ARTERIOLE, VENULE]])
        per_s = density / 60
        flow = _column(values[:, 0] * per_s * (1 - haematocrit))
        exchange, plasma, space = (_column(values[:, n]) for n in (1, 2, 3))
        exchange = exchange * np.float32(per_s)
        uneven = np.clip(parameters[:, UNEVEN], 0, MOST_UNEVEN)
        s = s[None]
        self._through = plasma * s
        self._hidden = exchange / space / (s + exchange / space)
        self._exchanged = exchange * (1 - self._hidden)
        passage = self._through + self._exchanged
        self._classes = []
        leaves = np.zeros(1, dtype=np.complex64)
        for step, share in ((-1.0, 1 / 6), (0.0, 2 / 3), (1.0, 1 / 6)):
            wanted = 1 + step * np.sqrt(3) * uneven
            relative = _column(np.maximum(wanted, _SLOWEST))
            spent = passage / (flow * relative)
            one = _exponential(-spent) * np.float32(share)
            leaves = leaves + one * relative
            free = _column(step * np.sqrt(3) * (wanted > _SLOWEST))
            self._classes.append((one, spent, free))
        self._mixing = [s * _column(volume / 2) / flow for volume in (values[:, 4], values[:, 5])]
        self._mixed = 1 / ((1 + self._mixing[0]) * (1 + self._mixing[1])) ** 2
        self._rate, self._passage, self._flow = flow / s, passage, flow
        self._outflow = leaves * self._mixed
        self.held = np.asarray(self._rate * (1 - self._outflow), dtype=np.complex64)

    def derivatives(self) -> dict[int, C64]:
        """Those of ``held`` by each parameter but the delay."""
        # Sums over capillaries of what leaves them, by passage and by unevenness.
        passing = sum(one for one, _, _ in self._classes)
        uneven = sum(one * (1 + spent) * free for one, spent, free in self._classes)
        by_passage = -self._mixed * passing / self._flow
        lags = [2 * one / (1 + one) for one in self._mixing]
        lag = self._outflow * (lags[0] + lags[1])
        outflow = {
            FLOW: lag - by_passage * self._passage,
            PS: by_passage * self._exchanged * (1 - self._hidden),
            PLASMA: by_passage * self._through,
            SPACE: by_passage * self._exchanged * self._hidden,
            UNEVEN: self._mixed * uneven,
            ARTERIOLE: -self._outflow * lags[0],
            VENULE: -self._outflow * lags[1],
        }
        held = {n: np.asarray(-self._rate * by, dtype=np.complex64) for n, by in outflow.items()}
        held[FLOW] = np.asarray(held[FLOW] + self.held, dtype=np.complex64)
        return held


def _exponential(exponent: C64) -> C64:
    """e to complex numbers, of real functions, which NumPy computes ten times as fast."""
    size, found = np.exp(exponent.real), np.empty_like(exponent)
    np.multiply(size, np.cos(exponent.imag), out=found.real)
    np.multiply(size, np.sin(exponent.imag), out=found.imag)
    return found


def _column(values: F64) -> F32:
    return np.asarray(values, dtype=np.float32)[:, None]


def _damping() -> float:
    return 6.0 / (_LENGTH * _STEP_S)


@lru_cache(maxsize=1)
def _laplace() -> C64:
    frequencies = 2j * np.pi * np.fft.rfftfreq(_LENGTH, _STEP_S)
    return np.asarray(_damping() + frequencies, dtype=np.complex64)


@lru_cache(maxsize=1)
def _drawn() -> tuple[F64, F64]:
    """Parameters (ATOMS, 8) spread evenly over a wide range, and what the prior says of each.

    The flow's own prior is left out: it is put in for each pixel.
    """
    even = np.clip(qmc.Sobol(7, scramble=True, seed=7).random(ATOMS), 1e-4, 1 - 1e-4)
    normal = ndtri(even)
    parameters = np.zeros((ATOMS, 8))
    parameters[:, FLOW] = np.log(_LEAST_FLOW) + even[:, FLOW] * np.log(_MOST_FLOW / _LEAST_FLOW)
    logarithm = np.zeros(ATOMS)
    for n in (PS, PLASMA, SPACE):
        wide = _WIDER * normal[:, n]
        parameters[:, n] = MIDDLE[n] + SPREAD[n] * wide
        logarithm += 0.5 * normal[:, n] ** 2 - 0.5 * (_TAIL + 1) * np.log1p(wide**2 / _TAIL)
    parameters[:, UNEVEN] = MOST_UNEVEN * even[:, UNEVEN]
    for n in (ARTERIOLE, VENULE):
        parameters[:, n] = MIDDLE[n] + SPREAD[n] * normal[:, n]
    return parameters, logarithm


@lru_cache(maxsize=2)
def _drawn_held(haematocrit: float, density_g_per_ml: float) -> C64:
    """What tissue with the drawn parameters holds, whatever its input."""
    return _Tissue(_drawn()[0], _laplace(), haematocrit, density_g_per_ml).held


@dataclass(frozen=True)
class Dictionary:
    """Curves (N, T) mmol/l tissue at the frames' times for one input function.

    parameters: (N, 8). prior: (N,) logarithm, without flow and delay.
    """

    model: Model
    curves: F32
    parameters: F64
    prior: F64

    def near(self, delay_s: float, reach_s: float) -> Dictionary:
        """The part whose delay lies within reach of ``delay_s``."""
        kept = np.abs(self.parameters[:, DELAY] - delay_s) <= reach_s + 1e-6
        return Dictionary(self.model, self.curves[kept], self.parameters[kept], self.prior[kept])


@dataclass(frozen=True)
class Spill:
    """The share of arterial blood expected in each of P curves, and how sure that is, (P,) each."""

    share: F64
    spread: F64


def little_spill(count: int) -> Spill:
    """Where nothing is known of it."""
    return Spill(np.zeros(count), np.full(count, 0.08))


def no_spill(count: int) -> Spill:
    """Where there is none, as in simulated tissue."""
    return Spill(np.zeros(count), np.full(count, 1e-3))


@dataclass(frozen=True)
class Fit:
    """Of P curves: flow, its standard deviation (P,), ml/min/g, and all parameters (P, 8)."""

    mbf: F64
    deviation: F64
    parameters: F64


def build(times_s: F64, aif_mmol_l: F64, haematocrit: float, density_g_per_ml: float) -> Dictionary:
    """The dictionary for one arterial input function (T,), mmol/l whole blood at ``times_s``."""
    model = Model(times_s, aif_mmol_l, haematocrit, density_g_per_ml)
    parameters, prior = _drawn()
    fine = model.in_time(_drawn_held(haematocrit, density_g_per_ml)).astype(np.float32)
    curves, all_parameters = [], []
    for delay in _DELAYS_S:
        curves.append(model.all_delayed(fine, delay))
        late = parameters.copy()
        late[:, DELAY] = delay
        all_parameters.append(late)
    return Dictionary(
        model, np.concatenate(curves), np.concatenate(all_parameters),
        np.tile(prior, len(_DELAYS_S)),
    )  # fmt: skip


def fit(
    dictionary: Dictionary,
    curves: F32,
    used: NDArray[np.bool_],
    noise: F64,
    *,
    usual_flow: F64 | float = USUAL_FLOW,
    usual_spread: float = FLOW_SPREAD,
    delay_s: float | None = None,
    spill: Spill | None = None,
) -> Fit:
    """Fit P tissue curves (P, T), mmol/l, on the frames that are ``used``.

    noise: (P,) standard deviation of one value, mmol/l. usual_flow: (P,) ml/min/g, about which
    flow is expected, with ``usual_spread`` of its logarithm. delay_s: likewise of the delay.
    """
    spill = spill or little_spill(len(curves))
    log_flow = dictionary.parameters[:, FLOW] / usual_spread
    usual = np.broadcast_to(np.log(usual_flow) / usual_spread, len(curves))
    expected = -0.5 * log_flow**2
    if delay_s is not None:
        expected = (
            expected - 0.5 * ((dictionary.parameters[:, DELAY] - delay_s) / SPREAD[DELAY]) ** 2
        )
    # What flow is expected adds log_flow · usual − log_flow² / 2, but for what is one for all.
    atoms = _Atoms.of(dictionary, used, also=log_flow, prior=expected)
    told = np.column_stack(
        [
            np.exp(dictionary.parameters[:, FLOW]),
            np.exp(2 * dictionary.parameters[:, FLOW]),
            dictionary.parameters,
        ]
    )
    found = np.empty((len(curves), told.shape[1]))
    for first in range(0, len(curves), _AT_ONCE):
        some = slice(first, first + _AT_ONCE)
        score = atoms.scores(
            curves[some][:, used], noise[some], Spill(spill.share[some], spill.spread[some]),
            usual[some],
        )  # fmt: skip
        found[some] = _weights(score) @ told
    mbf, square = found[:, 0], found[:, 1]
    return Fit(mbf, np.sqrt(np.maximum(square - mbf**2, 0)), found[:, 2:])


def scores(
    dictionary: Dictionary, curves: F32, used: NDArray[np.bool_], noise: F64, spill: Spill
) -> F32:
    """Logarithm of each dictionary curve's probability for each of P curves, (P, N), but for what
    is one for all of the dictionary."""
    nothing = np.zeros(len(dictionary.prior))
    atoms = _Atoms.of(dictionary, used, also=nothing, prior=nothing)
    return atoms.scores(curves[:, used], noise, spill, np.zeros(len(curves)))


@dataclass(frozen=True)
class _Atoms:
    """A dictionary's N curves on the U frames that count, ready to be scored by one product.

    columns: (U + 3, N), of each curve its values, half its power, its prior and what is ``also``
    weighted by each tissue curve. blood: (U,). of_blood: (N,) products of curve and blood.
    """

    columns: F32
    blood: F32
    of_blood: F32

    @classmethod
    def of(
        cls, dictionary: Dictionary, used: NDArray[np.bool_], *, also: F64, prior: F64
    ) -> _Atoms:
        """prior: (N,) beside that of the dictionary."""
        curves = dictionary.curves[:, used]
        blood = dictionary.model.blood[used].astype(np.float32)
        half_power = 0.5 * np.einsum("nu,nu->n", curves, curves)
        columns = np.empty((len(blood) + 3, len(curves)), dtype=np.float32)
        columns[:-3] = curves.T
        columns[-3:] = half_power, dictionary.prior + prior, also
        return cls(columns, blood, curves @ blood)

    def scores(self, data: F32, noise: F64, spill: Spill, also: F64) -> F32:
        """Of P curves (P, U) against all N, (P, N), as in ``scores``; also: (P,)."""
        variance = variance_of(data, noise)
        # With the expected share of blood taken off, what is left of it is near zero.
        data = data - spill.share[:, None].astype(np.float32) * self.blood
        one = np.ones(len(data))
        rows = np.column_stack([data / variance[:, None], -1 / variance, one, also])
        score = rows.astype(np.float32) @ self.columns
        # What more of blood explains: x (s − x / 2) · (b·b + stiffness) / variance, s being its
        # best share and x that which is allowed.
        full = float(self.blood @ self.blood) + variance / spill.spread**2
        best = ((data @ self.blood) / full).astype(np.float32)[:, None]
        best = best - (1 / full).astype(np.float32)[:, None] * self.of_blood
        least = -(spill.share + NOT_LESS).astype(np.float32)[:, None]
        allowed = np.clip(best, least, np.float32(MOST_SPILL))
        best -= np.float32(0.5) * allowed
        best *= allowed
        best *= (full / variance).astype(np.float32)[:, None]
        score += best
        return np.asarray(score, dtype=np.float32)


def variance_of(data: F32, noise: F64) -> F64:
    height = np.percentile(np.abs(data), 95, axis=1)
    return np.asarray(noise**2 + (_DISCREPANCY * height) ** 2 + 1e-10, dtype=np.float64)


def _weights(score: F32) -> F32:
    """Weights (P, N) that sum to one; flattened where too few curves would carry them."""
    score -= score.max(axis=1, keepdims=True)
    weight = np.exp(np.maximum(score, _FAINTEST))
    few, mine = np.arange(len(score)), weight
    for _ in range(6):
        sharers = mine.sum(axis=1) ** 2 / np.einsum("pn,pn->p", mine, mine)
        still = sharers < _FEWEST_SHARERS
        if not still.any():
            break
        few, score = few[still], score[still] * np.float32(0.6)
        mine = np.exp(np.maximum(score, _FAINTEST))
        weight[few] = mine
    weight /= weight.sum(axis=1, keepdims=True)
    return weight

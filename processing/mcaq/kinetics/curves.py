"""What every model is given and gives, and contrast that has passed through a response.

A model is a pure function from ``Curves`` to ``Estimate``: all curves at once, nothing kept. Tissue
holds q(t) = F · ∫ R(s) · Ca(t − delay − s) ds, with flow F in 1/s (ml of blood per ml of tissue and
second), R the residue function (R(0) = 1) and Ca whole blood; MBF = 60 · F / density, ml/min/g
(Zierler 1965; Jerosch-Herold 1998). With whole blood on both sides haematocrit cancels; a model
that speaks of plasma puts it in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from processing.mcaq.kinetics.exchange import Spill, little_spill

F64 = NDArray[np.float64]
F32 = NDArray[np.float32]
Mask = NDArray[np.bool_]

#: Fewer frames than this tell no flow.
FEWEST_FRAMES = 8
#: Delays of tissue behind the input function that are tried, s.
DELAYS_S = np.arange(-0.75, 3.3, 0.25)
#: A slice's curves lie within this of their common delay, s.
SAME_DELAY_S = 0.3
_STEP_S = 0.1


@dataclass(frozen=True)
class Curves:
    """Tissue of one slice and the blood that feeds it.

    times_s, blood: (T,) s ascending, mmol/l whole blood. tissue: (P, T) mmol per l tissue.
    used: (T,) frames that count. noise: (P,) standard deviation of one value, mmol/l. spill: the
    share of blood expected in each curve; None where nothing is known of it. one_delay: all curves
    are of one slice, so their delay hardly differs.
    """

    times_s: F64
    blood: F64
    tissue: F64 | F32
    used: Mask
    noise: F64
    haematocrit: float
    density_g_per_ml: float
    spill: Spill | None = None
    one_delay: bool = False

    @property
    def expected(self) -> Spill:
        return self.spill or little_spill(len(self.tissue))

    def some(self, chosen: Mask) -> Curves:
        """The curves that are ``chosen`` (P,)."""
        spill = self.spill and Spill(self.spill.share[chosen], self.spill.spread[chosen])
        return replace(
            self, tissue=self.tissue[chosen], noise=self.noise[chosen], spill=spill or None
        )


@dataclass(frozen=True)
class Estimate:
    """Of P curves: value (P,), ml/min/g unless the model says otherwise, and delay (P,), s.

    NaN where a curve has values that are none, or where frames or contrast do not suffice.
    """

    value: F64
    delay_s: F64


def where_known(curves: Curves, fit: Callable[[Curves], Estimate]) -> Estimate:
    """``fit`` on the curves that can be fitted; NaN for the others."""
    count, used = len(curves.tissue), curves.used
    nothing = np.full(count, np.nan)
    blood = curves.blood[used]
    known = np.isfinite(curves.tissue[:, used]).all(axis=1) & np.isfinite(curves.noise)
    if used.sum() < FEWEST_FRAMES or not known.any():
        return Estimate(nothing, nothing.copy())
    if not np.isfinite(blood).all() or blood.max() <= 0 or not np.isfinite(curves.times_s).all():
        return Estimate(nothing, nothing.copy())
    found = fit(curves.some(known))
    value, delay = nothing, nothing.copy()
    value[known], delay[known] = found.value, found.delay_s
    return Estimate(value, delay)


class Passage:
    """Blood of one input function, carried through responses; times on an even, fine grid.

    ``fine_s``: (N,) s from the first frame. Between frames blood runs smoothly and without
    overshoot (monotone cubic; Fritsch and Carlson 1980).
    """

    def __init__(self, times_s: F64, blood: F64, until_s: float | None = None) -> None:
        at, first = np.unique(times_s, return_index=True)
        end = float(at[-1] if until_s is None else min(until_s, at[-1]))
        self.start_s = float(at[0])
        count = int((end - self.start_s) / _STEP_S) + 2
        self.fine_s: F64 = np.arange(count, dtype=np.float64) * _STEP_S
        inside = np.minimum(self.fine_s + self.start_s, at[-1])
        self.blood = np.asarray(PchipInterpolator(at, blood[first])(inside), dtype=np.float64)
        self._length = 2 * len(self.fine_s)
        self._spectrum = np.fft.rfft(self.blood, self._length)

    def through(self, response: F64) -> F64:
        """Blood convolved with responses (…, N) in 1/s; by the trapezoidal rule, (…, N)."""
        spectrum = np.fft.rfft(response, self._length) * self._spectrum
        whole = np.fft.irfft(spectrum, self._length)[..., : len(self.fine_s)]
        ends = response[..., :1] * self.blood + response * self.blood[0]
        return np.asarray(_STEP_S * (whole - 0.5 * ends))

    def seen(self, fine: F64, times_s: F64, delay_s: F64) -> F64:
        """Fine curves (n, …, N) at times (U,), each behind by its delay (n,): (n, …, U).

        By cubics (Catmull and Rom 1974): a search for the delay must not meet kinks.
        """
        at = times_s[None] - self.start_s - delay_s[:, None]
        last = fine.shape[-1] - 1
        place = np.clip(at / _STEP_S, 0, last - 0.001)
        shape = (len(fine), *[1] * (fine.ndim - 2), len(times_s))
        low = place.astype(np.intp).reshape(shape)
        share = place.reshape(shape) - low
        low = np.broadcast_to(low, (*fine.shape[:-1], len(times_s)))
        a, b, c, d = (
            np.take_along_axis(fine, np.clip(low + step, 0, last), axis=-1)
            for step in (-1, 0, 1, 2)
        )
        cubic = share * (3 * (b - c) + d - a) + 2 * a - 5 * b + 4 * c - d
        moved = b + 0.5 * share * (c - a + share * cubic)
        return np.asarray(np.where(at.reshape(shape) < 0, 0.0, moved))


def ml_per_min_per_g(per_s: F64, density_g_per_ml: float) -> F64:
    """MBF of a flow in 1/s (ml of blood per ml of tissue and second)."""
    return np.asarray(60 * per_s / density_g_per_ml)

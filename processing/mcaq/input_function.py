"""The arterial input function: concentration in the LV's blood, from where it is purest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from processing.mcaq import signal as sr
from processing.mcaq.gain import USUAL_PEAK, Gain
from processing.mcaq.series import Flag, GivenInputFunction

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]


#: Within this after the peak blood has given most of its contrast on, s.
_ROUND_S = 16.0
_MOST_WAY, _LEAST_RISE = 1.8, 1.15


@dataclass(frozen=True)
class InputFunction:
    """times_s, mmol_l: (T,) whole blood.

    saturation: share of full signal at the peak. spread: what the gain's uncertainty adds to
    that of flow, relative. t2_star_s: at the peak, where two echoes told it.
    """

    times_s: F64
    mmol_l: F64
    saturation: float
    source: str
    spread: float = 0.0
    flags: tuple[Flag, ...] = ()
    t2_star_s: float | None = None

    @property
    def peak(self) -> float:
        return float(np.nanmax(self.mmol_l))

    def at(self, times_s: F64) -> F64:
        return np.interp(times_s, self.times_s, self.mmol_l)


def given(one: GivenInputFunction) -> InputFunction:
    """An input function brought along."""
    return InputFunction(
        np.asarray(one.times_s, dtype=np.float64),
        np.asarray(one.concentration_mmol_l, dtype=np.float64),
        0.0,
        "given",
        0.0,
        (Flag("aif_given", "info", "The arterial input function was given, not measured here."),),
    )


@dataclass(frozen=True)
class BloodCurve:
    """Signal (T,) of the purest blood of a film, the frames before contrast, and the pixels."""

    signal: F64
    before: slice
    pixels: NDArray[np.bool_]

    def of(self, film: NDArray[np.floating]) -> F64:
        """The same blood's signal (T,) in another film (T, r, c) of the same frames."""
        return _middle_half(film[:, self.pixels])

    @property
    def baseline(self) -> float:
        return float(np.median(self.signal[self.before]))

    @property
    def peak(self) -> float:
        return float(self.signal.max())

    @property
    def is_passage(self) -> bool:
        """Whether it rises and falls about once; blood that only moves in and out does so often.

        The way up and down, over that of one rise and fall, is 1.0–1.2 in patients.
        """
        smooth = ndimage.gaussian_filter1d(self.signal, 1.0)
        way = float(np.abs(np.diff(smooth)).sum()) / (2 * float(np.ptp(smooth)) + 1e-9)
        return way < _MOST_WAY and self.peak > _LEAST_RISE * max(self.baseline, 1e-9)

    def valley(self, times_s: F64) -> float | None:
        """The least signal after the first pass; ``None`` where the film ends too soon to tell.

        The first pass is left early: a saturated curve may be higher when contrast comes round.
        """
        smooth = ndimage.gaussian_filter1d(self.signal, 0.7)
        rise = smooth - np.minimum.accumulate(smooth)
        fall = smooth - np.minimum.accumulate(smooth[::-1])[::-1]
        passage = np.minimum(rise, 1.5 * fall)
        first = int(passage.argmax())
        if passage[first] <= 0:
            return None
        after = (times_s > times_s[first]) & (times_s < times_s[first] + _ROUND_S)
        if after.sum() < 4 or times_s[-1] < times_s[first] + 0.6 * _ROUND_S:
            return None
        return float(smooth[after].min())


def blood_curve(film: F32, times_s: F64, cavity: NDArray[np.bool_]) -> BloodCurve:
    """From the brightest half of the inner LV blood of a corrected film (T, r, c).

    The mean over the whole cavity reads the peak up to a third too low: papillary muscle and
    the border's pixels hold little contrast.
    """
    inner = ndimage.binary_erosion(cavity)
    chosen = inner if inner.sum() >= 12 else cavity
    curves = film[:, chosen]
    mean = curves.mean(axis=1).astype(np.float64)
    before = _before(mean, times_s)
    peak = int(mean.argmax())
    strength = curves[max(0, peak - 1) : peak + 2].mean(axis=0) - curves[before].mean(axis=0)
    bright = strength >= np.percentile(strength, 50)
    pixels = np.zeros_like(cavity)
    pixels[chosen] = bright
    return BloodCurve(_middle_half(curves[:, bright]), before, pixels)


def blood_of(film: F32, times_s: F64, region: NDArray[np.bool_]) -> BloodCurve:
    """From all pixels of a region (r, c) that a person drew in blood, film (T, r, c)."""
    curves = film[:, region]
    before = _before(curves.mean(axis=1).astype(np.float64), times_s)
    return BloodCurve(_middle_half(curves), before, region)


def _before(mean: F64, times_s: F64) -> slice:
    """The frames before contrast, of blood's mean curve."""
    return sr.baseline_frames(ndimage.gaussian_filter1d(mean, 0.7), times_s)


def _middle_half(curves: NDArray[np.floating]) -> F64:
    """Mean (T,) of the middle half of (T, P): neither outliers nor the median's roughness."""
    ordered = np.sort(curves, axis=1)
    quarter = ordered.shape[1] // 4
    signal = ordered[:, quarter : max(quarter + 1, ordered.shape[1] - quarter)].mean(axis=1)
    return np.asarray(signal, dtype=np.float64)


def from_blood(
    blood: BloodCurve, times_s: F64, gain: Gain, how: sr.Physics, source: str
) -> InputFunction:
    """Concentration of a blood curve above what was there before."""
    mmol_l = sr.blood_concentration(blood.signal, gain.blood, how)
    mmol_l = mmol_l - float(np.mean(mmol_l[blood.before]))
    grid = np.linspace(0, sr.MOST_MMOL_L, 400)
    highest = float(how.recovery(how.r1_blood(grid), grid).max())
    saturation = blood.peak / gain.blood / highest
    flags: list[Flag] = []
    if saturation > sr.SATURATED:
        flags.append(
            Flag(
                "aif_saturated", "warning",
                "The blood's signal is close to saturation at its peak: the input function is "
                "uncertain there, as a rule too low, which makes all flow too high. Use a "
                "dual-sequence scan if there is one, or less contrast.",
            )
        )  # fmt: skip
    if gain.source == "usual peak":
        flags.append(
            Flag(
                "usual_peak_assumed", "warning",
                "Signal before contrast does not tell how strong full signal is, so the peak in "
                f"blood was taken to be near the usual {USUAL_PEAK:g} mmol/l: flow can be "
                "compared within this study, but its absolute level is uncertain.",
            )
        )  # fmt: skip
    if gain.residue > 0.1:
        flags.append(
            Flag(
                "contrast_before", "info",
                f"About {gain.residue:.1f} mmol/l of contrast was in the blood before this "
                "injection; flow is computed from what came on top.",
            )
        )  # fmt: skip
    return InputFunction(
        times_s, np.maximum(mmol_l, 0), saturation, source, gain.spread, tuple(flags)
    )

"""Signal to contrast concentration: the saturation-recovery signal model, turned round.

S(R1) = gain · [ (1 − e^(−TD·R1)) · a^(n−1) + b · (1 − a^(n−1)) / (1 − a) ],
a = cos(FA) e^(−TR·R1), b = 1 − e^(−TR·R1), R1 = 1/T1 + r1·c, TS = TD + n·TR.
Source: the FLASH form of MRXCAT (Wissmann 2014). Without the number of pulses n to the centre of
k-space, and for balanced SSFP, it is S = gain · (1 − e^(−TS·R1)). In blood, where contrast is
strong, T2* takes its share: S · e^(−TE·r2*·c). What is not known is assumed, and said.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from processing.mcaq.series import Acquisition, Flag

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

DEFAULT_FIELD_T = 1.5
DEFAULT_SATURATION_MS = 100.0
DEFAULT_HAEMATOCRIT = 0.42
DEFAULT_DENSITY_G_PER_ML = 1.05
#: T1 before contrast, ms, and relaxivity, l/mmol/s, at 1.5 and 3 T: native values of blood and
#: muscle, and gadobutrol in blood (Szomolanyi 2019; Shen 2015).
_T1_BLOOD_MS = {1.5: 1700.0, 3.0: 2000.0}
_T1_MUSCLE_MS = {1.5: 1100.0, 3.0: 1300.0}
_RELAXIVITY = {1.5: 4.7, 3.0: 4.5}
MOST_MMOL_L = 20.0
#: Effect on R2* of blood, l/mmol/s: T2* is about 10 ms at a peak of some 4.5 mmol/l (Kellman 2017).
R2_STAR_BLOOD = 20.0
DEFAULT_PD_FLIP_DEG = 5.0
#: Slices are not cut square: across one, pulses turn magnetisation by this share of their angle.
_MEAN_FLIP = 0.9
#: Beyond this share of full recovery the signal hardly tells concentrations apart.
SATURATED = 0.93


@dataclass(frozen=True)
class Physics:
    """The acquisition with nothing left open, and what had to be assumed."""

    saturation_time_s: float
    flip_rad: float
    pd_flip_rad: float | None
    repetition_time_s: float
    echo_time_s: float
    pulses_to_centre: int
    relaxivity: float
    t1_blood_s: float
    t1_muscle_s: float
    haematocrit: float
    density: float
    assumed: tuple[Flag, ...]

    def recovery(self, r1_per_s: F64, blood_mmol_l: F64 | None = None) -> F64:
        """Signal for gain 1, as a share of full magnetisation, for R1 in 1/s.

        blood_mmol_l: the concentration in blood, of the same shape, where T2* counts.
        """
        n = self.pulses_to_centre
        if n <= 1:
            signal = 1 - np.exp(-self.saturation_time_s * r1_per_s)
        else:
            delay = self.saturation_time_s - n * self.repetition_time_s
            signal = self._after_pulses(
                1 - np.exp(-delay * r1_per_s), r1_per_s, self.flip_rad, n - 1
            )
        if blood_mmol_l is not None:
            signal = signal * np.exp(-self.echo_time_s * R2_STAR_BLOOD * blood_mmol_l)
        return np.asarray(signal)

    def _after_pulses(self, start: F64, r1_per_s: F64, flip_rad: float, pulses: int) -> F64:
        """Longitudinal magnetisation that starts at ``start``, after so many pulses."""
        e = np.exp(-self.repetition_time_s * r1_per_s)
        a = math.cos(_MEAN_FLIP * flip_rad) * e
        kept = a**pulses
        return np.asarray(start * kept + (1 - e) * (1 - kept) / (1 - a))

    def r1_blood(self, mmol_l: F64) -> F64:
        """R1 of blood, 1/s, at a concentration."""
        return np.maximum(1 / self.t1_blood_s + self.relaxivity * mmol_l, 1e-3)

    def r1_muscle(self, mmol_l: F64) -> F64:
        """R1 of heart muscle, 1/s, at a concentration."""
        return np.maximum(1 / self.t1_muscle_s + self.relaxivity * mmol_l, 1e-3)

    def proton_density_share(self) -> float:
        """Signal of a proton-density frame as a share of the gain that ``recovery`` refers to."""
        angle = math.radians(DEFAULT_PD_FLIP_DEG) if self.pd_flip_rad is None else self.pd_flip_rad
        flip = self.flip_rad if self.flip_rad > 0 else angle
        share = math.sin(angle) / math.sin(flip)
        if self.pulses_to_centre > 1:
            rate = np.array([1 / self.t1_muscle_s])
            share *= float(
                self._after_pulses(np.ones(1), rate, angle, self.pulses_to_centre - 1)[0]
            )
        return share


def physics(acquisition: Acquisition) -> Physics:
    """Fill in what is not known with stated assumptions, one flag each."""
    flags: list[Flag] = []

    def known(value: float | None, default: float, name: str, what: str, unit: str) -> float:
        if value is not None and value > 0:
            return float(value)
        flags.append(
            Flag(
                f"assumed_{name}", "warning", f"{what} is not known; {default:g}{unit} is assumed."
            )
        )
        return default

    field = known(acquisition.field_t, DEFAULT_FIELD_T, "field", "The field strength", " T")
    near = 1.5 if field < 2.2 else 3.0
    saturation = known(
        acquisition.saturation_time_ms, DEFAULT_SATURATION_MS, "saturation_time",
        "The time from saturation to the image", " ms",
    )  # fmt: skip
    flip = acquisition.flip_angle_deg or 0.0
    pulses = acquisition.pulses_to_centre or 0
    repetition = acquisition.repetition_time_ms or 0.0
    if pulses > 1 and (flip <= 0 or not 0 < repetition * pulses < saturation):
        flags.append(
            Flag(
                "pulses_ignored", "warning",
                "The pulses before the centre of the image do not fit into the time after "
                "saturation; they are left out of the signal model.",
            )
        )  # fmt: skip
        pulses = 0
    if acquisition.sequence == "bssfp":
        pulses = 0
    quiet: list[Flag] = []
    constants = {
        "relaxivity_l_per_mmol_s": _RELAXIVITY[near],
        "t1_blood_ms": _T1_BLOOD_MS[near],
        "t1_myocardium_ms": _T1_MUSCLE_MS[near],
        "haematocrit": DEFAULT_HAEMATOCRIT,
        "tissue_density_g_per_ml": DEFAULT_DENSITY_G_PER_ML,
    }
    chosen: dict[str, float] = {}
    for name, usual in constants.items():
        value = getattr(acquisition, name)
        chosen[name] = usual if value is None else float(value)
        if value is None and name != "tissue_density_g_per_ml":
            quiet.append(
                Flag(
                    f"assumed_{name}",
                    "info",
                    f"{_WORDS[name]} was not measured; {usual:g} is used.",
                )
            )
    return Physics(
        saturation_time_s=saturation / 1000,
        flip_rad=math.radians(flip),
        pd_flip_rad=None
        if acquisition.pd_flip_angle_deg is None
        else math.radians(acquisition.pd_flip_angle_deg),
        repetition_time_s=repetition / 1000,
        echo_time_s=(acquisition.echo_time_ms or 0.0) / 1000,
        pulses_to_centre=pulses,
        relaxivity=chosen["relaxivity_l_per_mmol_s"],
        t1_blood_s=chosen["t1_blood_ms"] / 1000,
        t1_muscle_s=chosen["t1_myocardium_ms"] / 1000,
        haematocrit=chosen["haematocrit"],
        density=chosen["tissue_density_g_per_ml"],
        assumed=(*flags, *quiet),
    )


_WORDS = {
    "relaxivity_l_per_mmol_s": "The contrast agent's relaxivity (l/mmol/s)",
    "t1_blood_ms": "T1 of blood before contrast (ms)",
    "t1_myocardium_ms": "T1 of muscle before contrast (ms)",
    "haematocrit": "The haematocrit",
}


def blood_concentration(signal: NDArray[np.floating], gain: float, how: Physics) -> F64:
    """Signal (T,) of blood into mmol/l, for the gain in blood; what was there before included."""
    grid = np.linspace(-0.3, MOST_MMOL_L, 2000)
    return _turned_round(signal, gain, how.recovery(how.r1_blood(grid), grid), grid)


def muscle_concentration(
    signal: NDArray[np.floating], gain: NDArray[np.floating], how: Physics
) -> F64:
    """Signal (T, …) of muscle into mmol/l of tissue, for a gain (…) by pixel.

    Small negative values are kept, so that noise stays unbiased.
    """
    grid = np.linspace(-0.3, 8.0, 1600)
    return _turned_round(signal, gain, how.recovery(how.r1_muscle(grid)), grid)


def _turned_round(
    signal: NDArray[np.floating], gain: float | NDArray[np.floating], curve: F64, grid: F64
) -> F64:
    # Beyond its top the curve falls again (T2*, long read-outs): it is turned round up to there.
    top = int(curve.argmax()) + 1
    return np.asarray(np.interp(signal / np.maximum(gain, 1e-9), curve[:top], grid[:top]))


def baseline_frames(curve: F64, times_s: F64) -> slice:
    """The frames before contrast arrives in a blood curve (T,), without the very first ones."""
    rise = curve - curve.min()
    peak = int(curve.argmax())
    foot = peak
    while foot > 0 and rise[foot] > 0.1 * rise[peak]:
        foot -= 1
    first = min(2, max(0, foot - 2))
    return slice(first, max(foot, first + 1))


def frames_of(roles: Sequence[str], wanted: str) -> NDArray[np.bool_]:
    return np.array([role == wanted for role in roles])

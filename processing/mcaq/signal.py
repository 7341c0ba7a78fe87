"""Signal to contrast concentration: the saturation-recovery signal model, turned round.

S(R1) = gain · [ (1 − e^(−TD·R1)) · a^(n−1) + b · (1 − a^(n−1)) / (1 − a) ],
a = cos(FA) e^(−TR·R1), b = 1 − e^(−TR·R1), R1 = 1/T1 + r1·c, TS = TD + n·TR.
Source: the FLASH form of MRXCAT (Wissmann 2014). In balanced SSFP after a run-up magnetisation
lies at half the flip angle from its axis and goes from what saturation left to a steady state,
losing the share 1 − λ a pulse, λ = E1 cos²(FA/2) + E2 sin²(FA/2) (Scheffler 2003). Without the
number of pulses n to the centre of k-space both are S = gain · (1 − e^(−TS·R1)). In blood, where
contrast is strong, T2* takes its share of spoiled signal: S · e^(−TE·r2*·c); balanced pulses bring
it back, so that only T2 counts. What is not known is assumed, and said.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from processing.mcaq.agents import RELAXIVITIES, USUAL_AGENT
from processing.mcaq.series import Acquisition, Flag

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

DEFAULT_FIELD_T = 1.5
DEFAULT_SATURATION_MS = 100.0
DEFAULT_HAEMATOCRIT = 0.42
DEFAULT_DENSITY_G_PER_ML = 1.05
#: T1 and T2 before contrast, ms, at 1.5 and 3 T: native values of blood and muscle.
_T1_BLOOD_MS = {1.5: 1700.0, 3.0: 2000.0}
_T1_MUSCLE_MS = {1.5: 1100.0, 3.0: 1300.0}
_T2_BLOOD_MS = {1.5: 220.0, 3.0: 250.0}
_T2_MUSCLE_MS = 45.0
#: Effect on R2 over that on R1 (5.78 / 5.565 and 5.9133 / 4.9188 l/mmol/s of gadobutrol).
_R2_TO_R1 = {1.5: 1.04, 3.0: 1.20}
#: Between these the tables hold, T.
_FIELDS_KNOWN = (1.0, 3.5)
MOST_MMOL_L = 20.0
#: Effect on R2* of blood, l/mmol/s: T2* is about 10 ms at a peak of some 4.5 mmol/l (Kellman 2017).
R2_STAR_BLOOD = 20.0
DEFAULT_PD_FLIP_DEG = 5.0
#: Slices are not cut square: across one, pulses turn magnetisation by this share of their angle.
_MEAN_FLIP = 0.9
#: Beyond this share of full recovery the signal hardly tells concentrations apart: in phantoms with
#: one and a half times the usual dose, or 150 ms, the peak then reads a fifth too low or worse.
SATURATED = 0.90


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
    balanced: bool = False
    linear: bool = False
    field_t: float = DEFAULT_FIELD_T

    def recovery(self, r1_per_s: F64, blood_mmol_l: F64 | None = None) -> F64:
        """Signal for gain 1, as a share of full magnetisation, for R1 in 1/s.

        blood_mmol_l: the concentration in blood, of the same shape, where T2* counts; without it
        the signal is that of muscle.
        """
        n = self.pulses_to_centre
        if self.linear:
            return np.asarray(self.saturation_time_s * r1_per_s)
        if n <= 1:
            signal = 1 - np.exp(-self.saturation_time_s * r1_per_s)
        else:
            delay = self.saturation_time_s - n * self.repetition_time_s
            start = 1 - np.exp(-delay * r1_per_s)
            if self.balanced:
                r2 = self._r2(r1_per_s, is_blood=blood_mmol_l is not None)
                signal = self._balanced(start, r1_per_s, r2, self.flip_rad)
                signal = signal * np.exp(-self.echo_time_s * r2)
            else:
                signal = self._after_pulses(start, r1_per_s, self.flip_rad, n - 1)
        if blood_mmol_l is not None and not self.balanced:
            signal = signal * np.exp(-self.echo_time_s * R2_STAR_BLOOD * blood_mmol_l)
        return np.asarray(signal)

    def _after_pulses(self, start: F64, r1_per_s: F64, flip_rad: float, pulses: int) -> F64:
        """Longitudinal magnetisation that starts at ``start``, after so many pulses."""
        e = np.exp(-self.repetition_time_s * r1_per_s)
        a = math.cos(_MEAN_FLIP * flip_rad) * e
        kept = a**pulses
        return np.asarray(start * kept + (1 - e) * (1 - kept) / (1 - a))

    def _balanced(self, start: F64, r1_per_s: F64, r2_per_s: F64, flip_rad: float) -> F64:
        """Balanced magnetisation that starts at ``start`` after the pulses to the centre; its
        transverse part is the sine of half the angle times this."""
        half = _MEAN_FLIP * flip_rad / 2
        e1 = np.exp(-self.repetition_time_s * r1_per_s)
        e2 = np.exp(-self.repetition_time_s * r2_per_s)
        kept = (e1 * math.cos(half) ** 2 + e2 * math.sin(half) ** 2) ** (self.pulses_to_centre - 1)
        cos = math.cos(2 * half)
        steady = 2 * math.cos(half) * (1 - e1) / (1 - (e1 - e2) * cos - e1 * e2)
        return np.asarray(start * kept + steady * (1 - kept))

    def _r2(self, r1_per_s: F64, *, is_blood: bool) -> F64:
        """R2, 1/s, of blood or muscle whose R1 contrast has raised to that."""
        near = _near(self.field_t)
        t1_s = self.t1_blood_s if is_blood else self.t1_muscle_s
        t2_ms = _T2_BLOOD_MS[near] if is_blood else _T2_MUSCLE_MS
        return np.asarray(1000 / t2_ms + _R2_TO_R1[near] * np.maximum(r1_per_s - 1 / t1_s, 0.0))

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
        if self.balanced:
            return self._balanced_density_share(angle, flip)
        share = math.sin(angle) / math.sin(flip)
        if self.pulses_to_centre > 1:
            rate = np.array([1 / self.t1_muscle_s])
            share *= float(
                self._after_pulses(np.ones(1), rate, angle, self.pulses_to_centre - 1)[0]
            )
        return share

    def _balanced_density_share(self, angle: float, flip: float) -> float:
        """Of a balanced sequence. Its proton-density frames are spoiled ones of a small angle, as
        a rule; those of about its own angle are taken for balanced too."""
        rate, alone = np.array([1 / self.t1_muscle_s]), np.ones(1)
        many = self.pulses_to_centre > 1
        if angle < 0.5 * flip:
            share = math.sin(angle) / math.sin(flip / 2)
            left = self._after_pulses(alone, rate, angle, self.pulses_to_centre - 1) if many else 1
        else:
            share = math.sin(angle / 2) / math.sin(flip / 2)
            r2 = self._r2(rate, is_blood=False)
            left = self._balanced(alone, rate, r2, angle) if many else 1
        return share * float(np.squeeze(left))


def _near(field_t: float) -> float:
    """The field of the tables that a field is nearest to, T."""
    return 1.5 if field_t < 2.2 else 3.0


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
    near = _near(field)
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
    quiet: list[Flag] = []
    if acquisition.pulses_to_centre is None:
        lacking = "The number of pulses before the centre of the image"
        if flip <= 0:
            lacking = "The flip angle, and how many pulses come before the centre of the image,"
        quiet.append(
            Flag(
                "pulses_unknown", "info",
                f"{lacking} is not known; what the pulses take from signal is left out.",
            )
        )  # fmt: skip
    agent = acquisition.agent if acquisition.agent in RELAXIVITIES else None
    constants = {
        "relaxivity_l_per_mmol_s": RELAXIVITIES[agent or USUAL_AGENT][near],
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
            if name == "relaxivity_l_per_mmol_s":
                sentence = _relaxivity_sentence(agent, usual, near)
            else:
                sentence = f"{_WORDS[name]} was not measured; {usual:g} is used."
            quiet.append(Flag(f"assumed_{name}", "info", sentence))
    tables = any(getattr(acquisition, name) is None for name in list(constants)[:3])
    if tables and not _FIELDS_KNOWN[0] <= field <= _FIELDS_KNOWN[1]:
        flags.append(
            Flag(
                "field_unusual", "warning",
                f"For {field:g} T no relaxation times and relaxivity are tabled here; those of "
                f"{near:g} T are used. Give them in the protocol.",
            )
        )  # fmt: skip
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
        balanced=acquisition.sequence == "bssfp",
        linear=acquisition.linear,
        field_t=field,
    )


def _relaxivity_sentence(agent: str | None, used: float, field_t: float) -> str:
    if agent is None:
        return (
            f"The contrast agent is not known; the relaxivity of {USUAL_AGENT} in blood at "
            f"{field_t:g} T, {used:g} l/mmol/s, is used."
        )
    return (
        f"The relaxivity of {agent} in blood at {field_t:g} T, {used:g} l/mmol/s, is used; it was "
        "not measured."
    )


_WORDS = {
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

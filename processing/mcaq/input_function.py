"""The arterial input function: concentration in the LV's blood, from where it is purest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from processing.mcaq import signal as sr
from processing.mcaq.series import LV_BLOOD, Flag, GivenInputFunction, LabelArray

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]


@dataclass(frozen=True)
class InputFunction:
    """times_s, mmol_l: (T,) whole blood. saturation: share of full recovery at the peak."""

    times_s: F64
    mmol_l: F64
    saturation: float
    source: str
    flags: tuple[Flag, ...] = ()

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
        (Flag("aif_given", "info", "The arterial input function was given, not measured here."),),
    )


def measure(
    film: F32,
    times_s: F64,
    labels: LabelArray,
    how: sr.Physics,
    gain: NDArray[np.floating] | None,
    source: str,
) -> InputFunction:
    """From the brightest half of the inner LV blood of a corrected film (T, r, c).

    The mean over the whole cavity reads the peak up to a third too low: papillary muscle and
    the border's pixels hold little contrast.
    """
    cavity = labels == LV_BLOOD
    inner = ndimage.binary_erosion(cavity)
    chosen = inner if inner.sum() >= 12 else cavity
    curves = film[:, chosen]
    mean = curves.mean(axis=1).astype(np.float64)
    before = sr.baseline_frames(ndimage.gaussian_filter1d(mean, 0.7), times_s)
    base = curves[before].mean(axis=0)
    peak = int(mean.argmax())
    top = curves[max(0, peak - 1) : peak + 2].mean(axis=0)
    strength = top - base
    bright = strength >= np.percentile(strength, 50)
    curve = np.median(curves[:, bright], axis=1).astype(np.float32)
    baseline = np.float64(np.median(curves[before][:, bright]))
    scale = None if gain is None else np.float64(np.median(gain[chosen][bright]))
    done = sr.concentration(
        curve[:, None], np.array([baseline]), how, how.t1_blood_s,
        None if scale is None else np.array([scale]),
    )  # fmt: skip
    mmol_l = np.maximum(done.concentration[:, 0].astype(np.float64), 0)
    native = float(how.recovery(np.array([1 / how.t1_blood_s]))[0])
    highest = float(curve.max() / (scale if scale is not None else baseline / native))
    top_of_model = float(how.recovery(np.linspace(1 / how.t1_blood_s, 120, 400)).max())
    saturation = highest / top_of_model
    flags: list[Flag] = []
    if saturation > sr.SATURATED:
        flags.append(
            Flag(
                "aif_saturated", "warning",
                "The blood's signal is close to saturation at its peak: the input function is "
                "read too low there and flow too high. Use a dual-sequence or dual-bolus scan if "
                "there is one.",
            )
        )  # fmt: skip
    return InputFunction(times_s, mmol_l, saturation, source, tuple(flags))

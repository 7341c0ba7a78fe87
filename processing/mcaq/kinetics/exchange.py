"""Blood–tissue exchange by a dictionary, with blood that spills into the pixel.

A capillary of plasma volume Vp in a bed of interstitial volume Vi exchanges by PS. Without axial
diffusion its outflow has a closed form in the Laplace domain (s), and tissue holds
Q(s) = (F/s) · Cin(s) · (1 − exp(−(Vp·s + PS·s / (s + PS/Vi)) / F)).
Units: F and PS ml/min per ml tissue, of plasma; volumes ml per ml tissue. MBF in ml/min/g of
whole blood is F / (1 − haematocrit) / density.

A pixel's curve is told as one curve of the dictionary plus a share of arterial blood (the
cavity's blood within the point-spread function). Its flow is the mean over the dictionary,
weighted by how well each curve explains the pixel: steadier than the best curve alone.
Sources: Bassingthwaighte 1989 (the model); Kellman and Xue 2017 (its use); closed form derived
from the former with both diffusions zero.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
F32 = NDArray[np.float32]

_FLOWS = np.geomspace(0.12, 5.2, 34)
_PS = (0.4, 0.9, 1.8)
_PLASMA = (0.04, 0.08)
_INTERSTITIUM = (0.12, 0.2, 0.32)
_DELAYS_S = np.arange(-0.5, 3.1, 0.5)
_STEP_S = 0.2
_MOST_SPILL = 0.6


@dataclass(frozen=True)
class Dictionary:
    """Curves (N, T) mmol/l tissue at the frames' times for one input function.

    mbf: (N,) ml/min/g. blood: (T,) arterial whole-blood concentration, the spill-over term.
    """

    curves: F32
    mbf: F64
    blood: F32


@dataclass(frozen=True)
class Fit:
    """Flow of P curves: mean and standard deviation (P,), ml/min/g; residual (P,) rms mmol/l."""

    mbf: F64
    deviation: F64
    residual: F64
    fitted: F32


def build(times_s: F64, aif_mmol_l: F64, haematocrit: float, density: float) -> Dictionary:
    """The dictionary for one arterial input function (T,), mmol/l whole blood at ``times_s``."""
    fine = np.arange(0, times_s[-1] + _STEP_S, _STEP_S)
    arterial = np.interp(fine, times_s, aif_mmol_l)
    length = 2 ** int(np.ceil(np.log2(2 * len(fine))))
    # Damped Fourier transform: the Laplace transform along a line to the right of all poles.
    sigma = 6.0 / (length * _STEP_S)
    s = sigma + 2j * np.pi * np.fft.rfftfreq(length, _STEP_S)
    damped = np.zeros(length)
    damped[: len(fine)] = arterial / (1 - haematocrit) * np.exp(-sigma * fine)
    inflow = np.fft.rfft(damped)
    flow, ps, plasma, space = (
        part.ravel() / unit
        for part, unit in zip(
            np.meshgrid(_FLOWS, _PS, _PLASMA, _INTERSTITIUM, indexing="ij"),
            (60.0, 60.0, 1.0, 1.0),
            strict=True,
        )
    )
    passage = plasma[:, None] * s + ps[:, None] * s / (s + (ps / space)[:, None])
    held = flow[:, None] / s * inflow * (1 - np.exp(-passage / flow[:, None]))
    curves = np.fft.irfft(held, length)[:, : len(fine)] * np.exp(sigma * fine)
    late = []
    for delay in _DELAYS_S:
        at = times_s - delay
        place = np.clip(at / _STEP_S, 0, len(fine) - 1.001)
        low = place.astype(int)
        share = place - low
        moved = curves[:, low] * (1 - share) + curves[:, low + 1] * share
        moved[:, at < 0] = 0
        late.append(moved)
    mbf = flow * 60 / (1 - haematocrit) / density
    return Dictionary(
        curves=np.concatenate(late).astype(np.float32),
        mbf=np.tile(mbf, len(_DELAYS_S)),
        blood=np.asarray(aif_mmol_l, dtype=np.float32),
    )


def fit(dictionary: Dictionary, curves: F32, used: NDArray[np.bool_], noise: F64) -> Fit:
    """Fit P tissue curves (P, T), mmol/l, on the frames that are ``used``.

    noise: (P,) standard deviation of one value, mmol/l, the least that residuals are taken for.
    """
    # Equally dense in the logarithm of flow: the prior is flat there.
    atoms = dictionary.curves[:, used]
    blood = dictionary.blood[used]
    data = curves[:, used]
    power = float(blood @ blood) + 1e-9
    shared = data @ blood
    atom_shared = atoms @ blood
    cross = data @ atoms.T
    data_power = (data**2).sum(axis=1)
    atom_power = (atoms**2).sum(axis=1)
    spill = np.clip((shared[:, None] - atom_shared[None]) / power, 0, _MOST_SPILL)
    error = (
        data_power[:, None]
        - 2 * cross
        + atom_power[None]
        - 2 * spill * (shared[:, None] - atom_shared[None])
        + spill**2 * power
    )
    error = np.maximum(error, 0)
    count = int(used.sum())
    least = error.min(axis=1)
    variance = np.maximum(least / max(count - 5, 1), noise**2)
    # Neighbouring frames share noise and misfit, so they count as fewer than they are.
    weight = np.exp(-(error - least[:, None]) / (2 * variance[:, None]) * 0.5)
    weight /= weight.sum(axis=1, keepdims=True)
    mbf = weight @ dictionary.mbf
    spread = np.sqrt(np.maximum(weight @ dictionary.mbf**2 - mbf**2, 0))
    winner = error.argmin(axis=1)
    fitted = dictionary.curves[winner] + (
        spill[np.arange(len(winner)), winner][:, None] * dictionary.blood
    )
    return Fit(
        mbf.astype(np.float64),
        spread.astype(np.float64),
        np.sqrt(least / max(count, 1)).astype(np.float64),
        fitted.astype(np.float32),
    )

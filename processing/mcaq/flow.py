"""Flow of one slice: its curves into concentration, the model fitted, pixels and segments."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from processing.mcaq import segments
from processing.mcaq import signal as sr
from processing.mcaq.input_function import InputFunction
from processing.mcaq.inputs import Calibrated
from processing.mcaq.kinetics import exchange
from processing.mcaq.segmentation import Anatomy
from processing.mcaq.series import MYOCARDIUM, LabelArray, SegmentFlow, Series

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

#: Stress flow below it is marked; Kotecha 2019 (10.1016/j.jcmg.2018.12.028), one method and
#: field strength: context for the reader, no diagnosis.
ISCHAEMIA_CUT = 1.94
#: 90 % of a normal distribution; and what model and T1 add whatever the noise, relative.
_Z90, _SYSTEMATIC = 1.645, 0.12


@dataclass(frozen=True)
class Flow:
    """mbf: (r, c) ml/min/g, NaN outside the wall; segments by AHA number; aif (T,) mmol/l."""

    mbf: F32
    segments: dict[int, SegmentFlow]
    aif_mmol_l: F64


def compute(
    one: Series,
    corrected: F32,
    used: NDArray[np.bool_],
    anatomy: Anatomy,
    aha: LabelArray,
    calibrated: Calibrated,
    aif: InputFunction,
) -> Flow:
    """Fit a corrected film (T, r, c); only the frames that are ``used`` count."""
    how = sr.physics(one.acquisition)
    times = np.asarray(one.times_s, dtype=np.float64)
    arterial = np.maximum(np.nan_to_num(aif.at(times)), 0)
    wall = anatomy.labels == MYOCARDIUM
    curves = ndimage.gaussian_filter(corrected, (0, 0.6, 0.6))[:, wall]
    tissue = sr.muscle_concentration(curves, calibrated.by_pixel[wall], how)
    before = calibrated.blood.before
    tissue = (tissue - tissue[used][before].mean(axis=0)).T.astype(np.float32)
    dictionary = exchange.build(times, arterial, how.haematocrit, how.density)
    noise = tissue[:, used][:, before].std(axis=1).astype(np.float64) + 1e-4
    noise = np.maximum(noise, float(np.median(noise)))
    mbf = np.full(wall.shape, np.nan, dtype=np.float32)
    mbf[wall] = exchange.fit(dictionary, tissue, used, noise).mbf
    systematic = float(np.hypot(_SYSTEMATIC, aif.spread))
    flows = _of_segments(
        one, aha, wall, anatomy.blood, tissue, dictionary, used, noise, systematic
    )  # fmt: skip
    return Flow(mbf, flows, arterial)


def _of_segments(
    one: Series,
    aha: LabelArray,
    wall: NDArray[np.bool_],
    blood: F32,
    tissue: F32,
    dictionary: exchange.Dictionary,
    used: NDArray[np.bool_],
    noise: F64,
    systematic: float,
) -> dict[int, SegmentFlow]:
    """Flow of each segment from its mean curve, pixels with little blood preferred."""
    flows = {n: SegmentFlow(None, None, None, None) for n in segments.numbers_of(one.level)}
    curves, noises, present = [], [], []
    for number in flows:
        core = segments.core_of(aha, number, blood)[wall]
        if core.sum() < 3:
            continue
        present.append(number)
        curves.append(tissue[core].mean(axis=0))
        noises.append(float(noise[core].mean()) / np.sqrt(min(core.sum(), 9)))
    if not present:
        return flows
    fitted = exchange.fit(dictionary, np.array(curves, np.float32), used, np.array(noises))
    for number, value, deviation in zip(present, fitted.mbf, fitted.deviation, strict=True):
        half = _Z90 * float(np.hypot(deviation, systematic * value))
        flows[number] = SegmentFlow(
            mbf=float(value),
            low=max(0.0, float(value) - half),
            high=float(value) + half,
            ischaemic=bool(value < ISCHAEMIA_CUT) if one.state == "stress" else None,
        )
    return flows

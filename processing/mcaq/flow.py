"""Flow of one slice: its curves into concentration, the model fitted, pixels and segments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from processing.mcaq import segments
from processing.mcaq import signal as sr
from processing.mcaq.input_function import InputFunction
from processing.mcaq.inputs import Calibrated
from processing.mcaq.kinetics import exchange, names, posterior
from processing.mcaq.kinetics.curves import Curves
from processing.mcaq.kinetics.models import MODELS
from processing.mcaq.segmentation import Anatomy
from processing.mcaq.series import (
    LV_BLOOD,
    MYOCARDIUM,
    RV_BLOOD,
    LabelArray,
    ModelFlow,
    SegmentCurve,
    SegmentFlow,
    Series,
)

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

#: Stress flow below it is marked; Kotecha 2019 (10.1016/j.jcmg.2018.12.028), one method and
#: field strength: context for the reader, no diagnosis.
ISCHAEMIA_CUT = 1.94
#: Flow that is expected of people who are scanned, ml/min/g: between those of volunteers (2.8 and
#: 0.7, Xue 2019) and of patients (1.5 and 0.55); told by the data wherever they tell it.
_USUAL = {"stress": 2.2, "rest": 0.8, "unknown": exchange.USUAL_FLOW}
#: Pixels are expected about the flow of the segments near them, within this (of the logarithm).
_WITHIN_SEGMENT, _NEIGHBOURS_MM = 0.5, 10.0
#: Blood of the right ventricle, mmol/l, that tells how much of it shines into the wall.
_ENOUGH_RIGHT_BLOOD, _MOST_SHINE = 0.4, 0.5
#: A segment's curve is the mean of its pixels with less foreign signal than this, of so many at
#: least.
_PURE, _FEWEST_PIXELS, _CORE_SHARE = 0.015, 6, 0.2
#: All of a slice is fed by one input function: its delay hardly differs.
_SAME_DELAY_S = 0.6
#: How far the mean of a segment's pixels strays from its flow, relative.
_OF_PIXELS = 0.15
#: 90 % of a normal distribution; what model and T1 add whatever the noise, relative; and how much
#: of what gain and pixels may err is seen: set so that intervals hold the truth of phantoms.
_Z90, _SYSTEMATIC, _GAIN_SHARE, _PIXELS_SHARE = 1.645, 0.05, 0.5, 0.5


@dataclass(frozen=True)
class Flow:
    """mbf: (r, c) ml/min/g, NaN outside the wall; segments by AHA number; aif (T,) mmol/l.

    models, spread, curves: as in ``SeriesResult``.
    """

    mbf: F32
    segments: dict[int, SegmentFlow]
    aif_mmol_l: F64
    models: dict[str, ModelFlow] = field(default_factory=dict)
    spread: dict[int, float | None] = field(default_factory=dict)
    curves: dict[int, SegmentCurve] = field(default_factory=dict)


def compute(
    one: Series,
    corrected: F32,
    used: NDArray[np.bool_],
    anatomy: Anatomy,
    aha: LabelArray,
    calibrated: Calibrated,
    aif: InputFunction,
    *,
    model: str = names.DEFAULT,
    others: Sequence[str] = (),
) -> Flow:
    """Fit a corrected film (T, r, c); only the frames that are ``used`` count.

    model: what map and segments are made with; any but the exchange model knows no interval.
    others: further models for the segments, by name.
    """
    how = sr.physics(one.acquisition)
    times = np.asarray(one.times_s, dtype=np.float64)
    arterial = np.maximum(np.nan_to_num(aif.at(times)), 0)
    wall = anatomy.labels == MYOCARDIUM
    curves = ndimage.gaussian_filter(corrected, (0, 0.6, 0.6))[:, wall]
    in_muscle = sr.muscle_concentration(curves, calibrated.by_pixel[wall], how)
    right = _right_blood(corrected, used, anatomy.labels, calibrated, how)
    tissue, noise, shine = _above_baseline(in_muscle, used, calibrated.blood.before, right)
    share = _blurred(anatomy.labels == LV_BLOOD)[wall]
    outside = _blurred((anatomy.labels != MYOCARDIUM) & (anatomy.labels != LV_BLOOD))[wall]
    regions = _regions(one, aha[wall], share + shine + outside, tissue, noise, share)
    slice_curves = Curves(
        times, arterial, regions.curves, used, regions.noise, how.haematocrit, how.density,
        _spill(regions.share), one_delay=True,
    )  # fmt: skip
    mbf = np.full(wall.shape, np.nan, dtype=np.float32)
    flows = {n: SegmentFlow(None, None, None, None) for n in segments.numbers_of(one.level)}
    if model != names.DEFAULT:
        pixels = replace(slice_curves, tissue=tissue, noise=noise, spill=_spill(share))
        mbf[wall] = MODELS[model](pixels).value
        of_regions = MODELS[model](slice_curves).value
        for number, found in zip(regions.numbers, of_regions, strict=True):
            flows[number] = _segment(one, float(found), None)
        return _with_others(Flow(mbf, flows, arterial), slice_curves, regions, model, others)
    dictionary = exchange.build(times, arterial, how.haematocrit, how.density)
    fitted, delay_s = _fit_regions(dictionary, regions, used, _USUAL[one.state])
    mbf[wall] = exchange.fit(
        dictionary.near(delay_s, _SAME_DELAY_S), tissue, used, noise,
        usual_flow=_expected(aha, wall, regions, fitted.mbf, one.pixel_spacing_mm),
        usual_spread=_WITHIN_SEGMENT, delay_s=delay_s, spill=_spill(share),
    ).mbf  # fmt: skip
    value, spread = _joined(aha[wall], regions, fitted, mbf[wall])
    half = _Z90 * np.hypot(spread, np.hypot(_SYSTEMATIC, _GAIN_SHARE * aif.spread)) * value
    for n, number in enumerate(regions.numbers):
        flows[number] = _segment(one, float(value[n]), float(half[n]))
    whole = Flow(mbf, flows, arterial, curves=_explained(dictionary.model, regions, fitted, used))
    return _with_others(whole, slice_curves, regions, model, others)


def _explained(
    model: exchange.Model, regions: _Regions, fitted: exchange.Fit, used: NDArray[np.bool_]
) -> dict[int, SegmentCurve]:
    """Each segment's curve and the model's beside it; ``fitted`` of the regions."""
    if not regions.numbers:
        return {}
    made = model.curves(fitted.parameters)
    blood = model.blood
    left = (regions.curves - made)[:, used] @ blood[used]
    share = left / max(float(blood[used] @ blood[used]), 1e-9)
    made = made + np.clip(share, -exchange.NOT_LESS, exchange.MOST_SPILL)[:, None] * blood
    return {
        number: SegmentCurve(np.asarray(regions.curves[n], np.float64), made[n])
        for n, number in enumerate(regions.numbers)
    }


def _segment(one: Series, mbf: float, half: float | None) -> SegmentFlow:
    """A segment with its interval of that half-width; all is unknown where flow is no number."""
    if not np.isfinite(mbf):
        return SegmentFlow(None, None, None, None)
    if one.acquisition.linear:
        # A relative number has no interval in units of flow, and no cut.
        return SegmentFlow(mbf, None, None, None)
    return SegmentFlow(
        mbf=mbf,
        low=None if half is None else max(0.0, mbf - half),
        high=None if half is None else mbf + half,
        ischaemic=mbf < ISCHAEMIA_CUT if one.state == "stress" else None,
    )


def _with_others(
    found: Flow, curves: Curves, regions: _Regions, model: str, others: Sequence[str]
) -> Flow:
    """What other models say of the segments, and how far all that speak of flow lie apart."""
    if not others:
        return found
    said: dict[str, ModelFlow] = {}
    main = {number: flow.mbf for number, flow in found.segments.items()}
    flows = {number: [] if mbf is None else [mbf] for number, mbf in main.items()}
    for name in others:
        values: dict[int, float | None] = dict.fromkeys(found.segments)
        if name == model:
            values.update(main)
        else:
            for number, value in zip(regions.numbers, MODELS[name](curves).value, strict=True):
                values[number] = float(value) if np.isfinite(value) else None
                if names.is_flow(name) and np.isfinite(value):
                    flows[number].append(float(value))
        known = [value for value in values.values() if value is not None]
        mean = float(np.mean(known)) if known else None
        said[name] = ModelFlow(names.UNITS[name], values, mean)
    spread = {
        number: float(np.std(each, ddof=1)) if len(each) > 1 else None
        for number, each in flows.items()
    }
    return replace(found, models=said, spread=spread)


def _right_blood(
    corrected: F32,
    used: NDArray[np.bool_],
    labels: LabelArray,
    calibrated: Calibrated,
    how: sr.Physics,
) -> F64 | None:
    """Contrast (T,) in the right ventricle's blood, mmol/l; ``None`` where it is not in view."""
    pool = labels == RV_BLOOD
    inner = ndimage.binary_erosion(pool)
    pool = inner if inner.sum() >= 8 else pool
    if pool.sum() < 4:
        return None
    signal = np.median(corrected[:, pool], axis=1).astype(np.float64)
    found = sr.blood_concentration(signal, calibrated.gain.blood, how)
    return np.asarray(found - float(np.min(found[used])))


def _above_baseline(
    tissue: F64, used: NDArray[np.bool_], before: slice, right: F64 | None
) -> tuple[F32, F64, F64]:
    """Curves (P, T) above their baseline and without the right ventricle's blood in them.

    tissue: (T, P) mmol/l. Until contrast reaches the left heart only blood of the right one can
    shine in; what it does then it goes on doing. Returns curves, noise (P,) and the share of that
    blood (P,).
    """
    early = tissue[used][before]
    level = early.mean(axis=0)
    share = np.zeros(tissue.shape[1])
    if right is not None and len(early) >= 4:
        blood = right[used][before]
        rise = blood - blood.mean()
        power = float(rise @ rise)
        if np.ptp(blood) > _ENOUGH_RIGHT_BLOOD:
            share = np.clip((rise @ (early - level)) / power, 0, _MOST_SHINE)
            level = level - share * blood.mean()
            tissue = tissue - right[:, None] * share
    curves = (tissue - level).T
    noise = curves[:, used][:, before].std(axis=1) + 1e-4
    return curves.astype(np.float32), np.maximum(noise, float(np.median(noise))), share


@dataclass(frozen=True)
class _Regions:
    """Segments that hold enough muscle: numbers, mean curves (B, T) mmol/l, noise and the share
    of the cavity's blood expected in them (B,)."""

    numbers: tuple[int, ...]
    curves: F32
    noise: F64
    share: F64


def _blurred(mask: NDArray[np.bool_]) -> F64:
    """The share of what lies in ``mask`` in each pixel beside it.

    Measured on phantoms: 8 % in the first pixel, 2 % in the second, next to nothing beyond.
    """
    return np.asarray(0.3 * ndimage.gaussian_filter(mask.astype(np.float64), 0.9))


def _regions(
    one: Series, aha: LabelArray, foreign: F64, tissue: F32, noise: F64, share: F64
) -> _Regions:
    """Mean curve of each segment, from its pixels with the least foreign signal.

    aha, foreign, noise, share: (P,); tissue: (P, T). foreign: the share of all that is no muscle.
    """
    numbers, curves, noises, shares = [], [], [], []
    for number in segments.numbers_of(one.level):
        here = np.flatnonzero(aha == number)
        if len(here) < 3:
            continue
        ranked = here[np.argsort(foreign[here], kind="stable")]
        pure = int((foreign[ranked] < _PURE).sum())
        chosen = ranked[: max(pure, _FEWEST_PIXELS, round(_CORE_SHARE * len(here)))]
        numbers.append(number)
        curves.append(tissue[chosen].mean(axis=0))
        shares.append(float(share[chosen].mean()))
        # Neighbouring pixels share their noise.
        noises.append(float(noise[chosen].mean()) / np.sqrt(max(1.0, len(chosen) / 4)))
    return _Regions(
        tuple(numbers),
        np.array(curves, np.float32).reshape(-1, tissue.shape[1]),
        np.array(noises),
        np.array(shares),
    )


def _fit_regions(
    dictionary: exchange.Dictionary, regions: _Regions, used: NDArray[np.bool_], usual_flow: float
) -> tuple[exchange.Fit, float]:
    """Flow of the segments, and the delay of the input function that they agree on, s."""
    if not regions.numbers:
        return exchange.Fit(np.zeros(0), np.zeros(0), np.zeros((0, 8))), 0.5
    spill = _spill(regions.share)
    rough = exchange.fit(
        dictionary, regions.curves, used, regions.noise, usual_flow=usual_flow, spill=spill
    )
    delay_s = float(np.median(rough.parameters[:, exchange.DELAY]))
    fitted = posterior.refine(
        dictionary, regions.curves, used, regions.noise,
        delay_s=delay_s, usual_flow=usual_flow, spill=spill,
    )  # fmt: skip
    return fitted, delay_s


def _joined(aha: LabelArray, regions: _Regions, fitted: exchange.Fit, mbf: F32) -> tuple[F64, F64]:
    """Flow of the segments, ml/min/g, and its relative deviation, from curve and pixels.

    A segment's curve tells it best where the posterior is narrow; where it is wide, at high flow,
    its pixels' mean strays less.
    """
    pixels = np.array([float(np.mean(mbf[aha == number])) for number in regions.numbers])
    curve = np.maximum(fitted.mbf, 1e-3)
    unsure = fitted.deviation / curve
    weight = _OF_PIXELS**2 / (_OF_PIXELS**2 + unsure**2)
    value = np.exp(weight * np.log(curve) + (1 - weight) * np.log(np.maximum(pixels, 1e-3)))
    return value, np.sqrt(weight) * unsure + _PIXELS_SHARE * (1 - weight) * _OF_PIXELS


def _spill(share: F64) -> exchange.Spill:
    """What the point-spread function lets expect; the border is known to a part of a pixel."""
    return exchange.Spill(share, 0.01 + share)


def _expected(
    aha: LabelArray,
    wall: NDArray[np.bool_],
    regions: _Regions,
    mbf: F64,
    spacing_mm: tuple[float, float],
) -> F64 | float:
    """About which flow each pixel of the wall is expected: that of the segments round it."""
    if not regions.numbers:
        return exchange.USUAL_FLOW
    rows, cols = np.nonzero(wall)
    weights = np.zeros((len(rows), len(regions.numbers)))
    for n, number in enumerate(regions.numbers):
        at_rows, at_cols = np.nonzero(aha == number)
        down = (rows - at_rows.mean()) * spacing_mm[0]
        across = (cols - at_cols.mean()) * spacing_mm[1]
        weights[:, n] = np.exp(-(down**2 + across**2) / (2 * _NEIGHBOURS_MM**2)) + 1e-9
    weights /= weights.sum(axis=1, keepdims=True)
    return np.asarray(np.exp(weights @ np.log(np.maximum(mbf, 0.05))))

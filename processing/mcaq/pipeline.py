"""The engine's steps in order: heart, motion, anatomy, input function, flow, segments, quality."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from processing.mcaq import input_function, motion, quality, segmentation, segments
from processing.mcaq import signal as sr
from processing.mcaq.heart import Heart, bolus_image, crop, find_hearts
from processing.mcaq.kinetics import exchange
from processing.mcaq.series import (
    LV_BLOOD,
    MYOCARDIUM,
    Flag,
    SegmentFlow,
    Series,
    SeriesRefusal,
    SeriesResult,
    StudyResult,
)

ENGINE_NAME = "mcaq"
ENGINE_VERSION = "0.1.0"

Progress = Callable[[str, float], None]
F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

FEWEST_FRAMES = 12
#: A passage of contrast stands out of the film's noise by at least this.
_WEAKEST_PASSAGE = 6.0
#: Below this a frame does not look like its neighbours even after correction.
_WORST_MATCH = 0.4
#: Stress flow below it is marked; Kotecha 2019 (10.1016/j.jcmg.2018.12.028), one method and
#: field strength: context for the reader, no diagnosis.
ISCHAEMIA_CUT = 1.94
#: 90 % of a normal distribution; and what model, input function and T1 add, relative.
_Z90, _SYSTEMATIC = 1.645, 0.12


@dataclass
class _Work:
    """One series on its way through the pipeline."""

    series: Series
    dynamic: NDArray[np.bool_]
    started: float
    heart: Heart | None = None
    window: tuple[slice, slice] = (slice(0), slice(0))
    motion: motion.Motion | None = None
    used: NDArray[np.bool_] | None = None
    reasons: list[str | None] | None = None
    anatomy: segmentation.Anatomy | None = None
    aif: input_function.InputFunction | None = None
    seconds: float = 0.0


def analyse(
    series: Sequence[Series], parameters: Mapping[str, object], progress: Progress
) -> StudyResult:
    """Analyse the series of one study together.

    A series that cannot be analysed is refused with a sentence; the others go on. ``progress``
    is told the stage ("motion", "segmentation", "flow") and the fraction done, 0 to 1.
    """
    seconds = {"motion": 0.0, "segmentation": 0.0, "flow": 0.0}
    refused: list[SeriesRefusal] = []
    work: list[_Work] = []
    clock = time.perf_counter()
    for one in series:
        reason = _unfit(one)
        if reason is not None:
            refused.append(SeriesRefusal(one.uid, reason))
        else:
            work.append(_Work(one, _usable_frames(one), time.perf_counter()))
    films = [item.series.signal[item.dynamic] for item in work]
    for item, found in zip(work, find_hearts([w.series for w in work], films), strict=True):
        item.heart = found
    work = _refuse(work, refused, lambda item: item.heart is None, _NO_HEART)

    for number, item in enumerate(work):
        progress("motion", 0.6 * number / len(work))
        _hold_still(item)
    seconds["motion"], clock = time.perf_counter() - clock, time.perf_counter()

    for number, item in enumerate(list(work)):
        progress("segmentation", 0.6 + 0.15 * number / len(work))
        try:
            _draw(item)
        except segmentation.NotFound as error:
            refused.append(SeriesRefusal(item.series.uid, str(error)))
            work.remove(item)
    seconds["segmentation"], clock = time.perf_counter() - clock, time.perf_counter()

    results = []
    shared = _shared_inputs(work)
    for number, item in enumerate(work):
        progress("flow", 0.75 + 0.25 * number / len(work))
        results.append(_flow(item, shared[number]))
    seconds["flow"] = time.perf_counter() - clock
    progress("flow", 1.0)
    return StudyResult(
        series=tuple(results),
        refused=tuple(refused),
        reserve=_reserve(results, [item.series for item in work]),
        seconds=seconds,
        parameters={"model": "exchange", "ischaemia_cut_ml_per_min_per_g": ISCHAEMIA_CUT},
    )


_NO_HEART = (
    "No passage of contrast through the heart was found. Check that these are first-pass images "
    "and that the heart is in view."
)


def _refuse(
    work: list[_Work],
    refused: list[SeriesRefusal],
    when: Callable[[_Work], bool],
    reason: str,
) -> list[_Work]:
    refused.extend(SeriesRefusal(item.series.uid, reason) for item in work if when(item))
    return [item for item in work if not when(item)]


def _usable_frames(one: Series) -> NDArray[np.bool_]:
    """Dynamic frames with finite, varying pixels."""
    finite = np.isfinite(one.signal).all(axis=(1, 2))
    varied = np.ptp(np.where(np.isfinite(one.signal), one.signal, 0), axis=(1, 2)) > 0
    return np.asarray(sr.frames_of(one.roles, "dynamic") & finite & varied)


def _unfit(one: Series) -> str | None:
    """Why a series cannot be analysed, before any work is spent on it."""
    usable = _usable_frames(one)
    count = int(usable.sum())
    if count < FEWEST_FRAMES:
        return (
            f"It has {count} usable frames; at least {FEWEST_FRAMES} are needed to follow the "
            "contrast. Check that the whole film was exported."
        )
    times = np.asarray(one.times_s, dtype=np.float64)[usable]
    if np.any(np.diff(times) < 0) or times[-1] - times[0] < 5:
        return "Its frame times do not make sense. Check the export, or give the times."
    film = one.signal[usable]
    bolus, _ = bolus_image(film, times)
    noise = float(np.median(np.abs(np.diff(film, n=2, axis=0)))) + 1e-9
    if float(np.percentile(bolus, 99.7)) < _WEAKEST_PASSAGE * noise:
        return _NO_HEART
    return None


def _hold_still(item: _Work) -> None:
    """Motion correction, and which frames take part in the fit."""
    assert item.heart is not None  # noqa: S101  (refused before)
    one = item.series
    item.window = crop(one, item.heart)
    film = np.where(np.isfinite(one.signal), one.signal, 0).astype(np.float32)
    item.motion = motion.correct(
        film, item.window, (item.heart.row, item.heart.col), one.pixel_spacing_mm, item.dynamic
    )
    item.used = item.dynamic & (item.motion.matched >= _WORST_MATCH)
    item.reasons = [None] * len(film)
    for t in range(len(film)):
        if one.roles[t] == "pd":
            item.reasons[t] = "proton-density frame"
        elif not item.dynamic[t]:
            item.reasons[t] = "the frame is damaged or empty"
        elif not item.used[t]:
            item.reasons[t] = "the heart does not look as in the frames beside"
    item.seconds = time.perf_counter() - item.started


def _draw(item: _Work) -> None:
    started = time.perf_counter()
    assert item.heart is not None and item.motion is not None and item.used is not None  # noqa: S101, PT018
    start = (item.window[0].start, item.window[1].start)
    heart = item.heart
    item.anatomy = segmentation.segment(
        item.motion.corrected[item.used],
        np.asarray(item.series.times_s, dtype=np.float64)[item.used],
        (heart.row - start[0], heart.col - start[1]),
        (heart.rv_row - start[0], heart.rv_col - start[1]),
        item.series.pixel_spacing_mm,
        item.series.given_contours,
        start,
    )
    item.seconds += time.perf_counter() - started


def _gain(item: _Work, how: sr.Physics) -> F64 | None:
    assert item.motion is not None  # noqa: S101
    pd = sr.frames_of(item.series.roles, "pd")
    gain = sr.proton_density_gain(item.motion.corrected[pd], how) if pd.any() else None
    return None if gain is None else ndimage.gaussian_filter(gain, 1.5)


def _own_input(item: _Work) -> input_function.InputFunction:
    """The input function measured in this series, or in the low-resolution one that serves it."""
    assert item.anatomy is not None and item.motion is not None and item.used is not None  # noqa: S101, PT018
    one = item.series
    if one.given_aif is not None:
        return input_function.given(one.given_aif)
    if one.aif is not None:
        found = _low_resolution_input(item, one.aif)
        if found is not None:
            return found
    how = sr.physics(one.acquisition)
    return input_function.measure(
        item.motion.corrected[item.used],
        np.asarray(one.times_s, dtype=np.float64)[item.used],
        item.anatomy.labels,
        how,
        _gain(item, how),
        "this series",
    )


def _low_resolution_input(item: _Work, aif: Series) -> input_function.InputFunction | None:
    """From a dual-sequence scan's quick images; ``None`` if no blood is found in them."""
    dynamic = _usable_frames(aif)
    times = np.asarray(aif.times_s, dtype=np.float64)[dynamic]
    film = aif.signal[dynamic]
    bolus, peak_s = bolus_image(film, times)
    heart = find_hearts([aif], [film])[0]
    if heart is None:
        return None
    core = bolus > 0.6 * float(np.percentile(bolus, 99.7))
    labels, count = ndimage.label(core)
    if count == 0:
        return None
    rows, cols = np.mgrid[: bolus.shape[0], : bolus.shape[1]]
    distance = np.hypot(rows - heart.row, cols - heart.col)
    nearest = labels[np.unravel_index(np.where(core, distance, np.inf).argmin(), core.shape)]
    pool = (labels == nearest) & (np.abs(peak_s - np.median(peak_s[labels == nearest])) < 1.5)
    how = sr.physics(aif.acquisition)
    pd = sr.frames_of(aif.roles, "pd")
    gain = sr.proton_density_gain(aif.signal[pd], how) if pd.any() else None
    marked = np.where(pool, LV_BLOOD, 0).astype(np.uint8)
    return input_function.measure(film, times, marked, how, gain, "low-resolution series")


def _shared_inputs(work: Sequence[_Work]) -> dict[int, input_function.InputFunction]:
    """The input function each series is fitted with, by its place in ``work``.

    All slices of one state share that of the most basal one: its cavity is the largest, with the
    least papillary muscle. A given or low-resolution input function stays with its series.
    """
    own = {n: _own_input(item) for n, item in enumerate(work)}
    rank = {"basal": 0, "mid": 1, "mid2": 2, "apical": 3}
    chosen = {}
    for n, item in enumerate(work):
        if own[n].source != "this series":
            chosen[n] = own[n]
            continue
        peers = [
            m
            for m, other in enumerate(work)
            if other.series.state == item.series.state
            and item.series.state != "unknown"
            and own[m].source == "this series"
        ]
        best = min(peers, key=lambda m: (rank[work[m].series.level], m), default=n)
        chosen[n] = own[best]
    return chosen


def _flow(item: _Work, aif: input_function.InputFunction) -> SeriesResult:
    started = time.perf_counter()
    assert item.anatomy is not None and item.motion is not None and item.used is not None  # noqa: S101, PT018
    one, anatomy, used = item.series, item.anatomy, item.used
    how = sr.physics(one.acquisition)
    times = np.asarray(one.times_s, dtype=np.float64)
    arterial = np.maximum(aif.at(times), 0)

    wall = anatomy.labels == MYOCARDIUM
    film = item.motion.corrected
    curves = ndimage.gaussian_filter(film, (0, 0.6, 0.6))[:, wall]
    before = sr.baseline_frames(anatomy.lv_curve, times[used])
    baseline = curves[used][before].mean(axis=0)
    gain = _gain(item, how)
    tissue = sr.concentration(
        curves, baseline, how, how.t1_muscle_s, None if gain is None else gain[wall]
    ).concentration.T
    dictionary = exchange.build(times, arterial, how.haematocrit, how.density)
    noise = tissue[:, used][:, before].std(axis=1).astype(np.float64) + 1e-4
    fitted = exchange.fit(dictionary, tissue, used, noise)
    mbf = np.full(wall.shape, np.nan, dtype=np.float32)
    mbf[wall] = fitted.mbf

    aha, told = segments.aha_map(anatomy, one.level)
    flows = _segment_flows(one, aha, wall, anatomy.blood, tissue, dictionary, used, noise)
    flags: list[Flag] = [
        *quality.of_time(one),
        *quality.of_motion(one, item.motion, item.dynamic, item.dynamic & ~used),
        *quality.of_anatomy(one, anatomy, told, item.heart.confidence if item.heart else 0.0),
        *quality.of_input(aif),
        *how.assumed,
    ]
    start = (item.window[0].start, item.window[1].start)
    shift = np.asarray(start, dtype=np.float64)
    aif_column = np.where(sr.frames_of(one.roles, "dynamic"), arterial, np.nan)
    known = [flow.mbf for flow in flows.values() if flow.mbf is not None]
    return SeriesResult(
        uid=one.uid,
        offset=start,
        corrected=film,
        displacement=item.motion.displacement,
        segmentation=anatomy.labels,
        aha=aha,
        mbf=mbf,
        aif_mmol_l=aif_column,
        used=used,
        reasons=tuple(item.reasons or ()),
        mbf_global=float(np.mean(known)) if known else None,
        segments=flows,
        quality=tuple(flags),
        seconds=item.seconds + time.perf_counter() - started,
        endocardium=anatomy.endocardium + shift,
        epicardium=anatomy.epicardium + shift,
        parameters={
            "aif_source": aif.source,
            "aif_peak_mmol_l": aif.peak,
            "aif_saturation": aif.saturation,
            "motion_stages": list(item.motion.stages),
            "roughness_before": item.motion.roughness[0],
            "roughness_after": item.motion.roughness[1],
            "saturation_time_ms": how.saturation_time_s * 1000,
            "relaxivity_l_per_mmol_s": how.relaxivity,
            "t1_blood_ms": how.t1_blood_s * 1000,
            "t1_myocardium_ms": how.t1_muscle_s * 1000,
            "haematocrit": how.haematocrit,
            "pulses_to_centre": how.pulses_to_centre,
        },
    )


def _segment_flows(
    one: Series,
    aha: NDArray[np.uint8],
    wall: NDArray[np.bool_],
    blood: F32,
    tissue: F32,
    dictionary: exchange.Dictionary,
    used: NDArray[np.bool_],
    noise: F64,
) -> dict[int, SegmentFlow]:
    """Flow of each segment from its mean curve, pixels with little blood preferred."""
    numbers = segments.numbers_of(one.level)
    curves, noises, present = [], [], []
    for number in numbers:
        core = segments.core_of(aha, number, blood)[wall]
        if core.sum() < 3:
            continue
        present.append(number)
        curves.append(tissue[core].mean(axis=0))
        noises.append(float(noise[core].mean()) / np.sqrt(min(core.sum(), 9)))
    if not present:
        return {number: SegmentFlow(None, None, None, None) for number in numbers}
    fitted = exchange.fit(dictionary, np.array(curves, np.float32), used, np.array(noises))
    flows = {number: SegmentFlow(None, None, None, None) for number in numbers}
    for number, value, deviation in zip(present, fitted.mbf, fitted.deviation, strict=True):
        half = _Z90 * float(np.hypot(deviation, _SYSTEMATIC * value))
        flows[number] = SegmentFlow(
            mbf=float(value),
            low=max(0.0, float(value) - half),
            high=float(value) + half,
            ischaemic=bool(value < ISCHAEMIA_CUT) if one.state == "stress" else None,
        )
    return flows


def _reserve(results: Sequence[SeriesResult], series: Sequence[Series]) -> dict[int, float]:
    """Stress over rest by AHA number, where both are known; the first of repeats counts."""
    flows: dict[tuple[str, int], float] = {}
    for one, result in zip(series, results, strict=True):
        for number, flow in result.segments.items():
            if flow.mbf is not None:
                flows.setdefault((one.state, number), flow.mbf)
    return {
        number: flows["stress", number] / flows["rest", number]
        for number in range(1, 17)
        if ("stress", number) in flows and flows.get(("rest", number), 0) > 0
    }

"""The engine's steps in order: heart, motion, anatomy, input function, flow, segments, quality."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from processing.mcaq import (
    evidence,
    flow,
    input_function,
    inputs,
    layers,
    motion,
    quality,
    rim,
    segmentation,
    segments,
    spleen,
    summary,
)
from processing.mcaq import signal as sr
from processing.mcaq.heart import Heart, bolus_image, crop, find_hearts, usable_frames
from processing.mcaq.kinetics import names
from processing.mcaq.series import (
    LV_BLOOD,
    MYOCARDIUM,
    Flag,
    Series,
    SeriesRefusal,
    SeriesResult,
    StudyResult,
)

ENGINE_NAME = "mcaq"
ENGINE_VERSION = "0.1.0"
#: The unit of flow where signal was taken as proportional to contrast.
RELATIVE = "relative"

Progress = Callable[[str, float], None]
F32 = NDArray[np.float32]
#: How the heart is held still; arguments and result as in ``motion.correct``.
HoldStill = Callable[
    [F32, tuple[slice, slice], tuple[float, float], tuple[float, float], NDArray[np.bool_]],
    motion.Motion,
]
F64 = NDArray[np.float64]

FEWEST_FRAMES = 12
#: A passage of contrast stands out of the film's noise by at least this.
_WEAKEST_PASSAGE = 6.0


@dataclass
class _Work:
    """One series on its way through the pipeline."""

    series: Series
    dynamic: NDArray[np.bool_]
    heart: Heart | None = None
    window: tuple[slice, slice] = (slice(0), slice(0))
    motion: motion.Motion | None = None
    used: NDArray[np.bool_] | None = None
    reasons: list[str | None] | None = None
    anatomy: segmentation.Anatomy | None = None
    seconds: float = 0.0


def analyse(
    series: Sequence[Series],
    parameters: Mapping[str, object],
    progress: Progress,
    hold_still: HoldStill = motion.correct,
) -> StudyResult:
    """Analyse the series of one study together.

    A series that cannot be analysed is refused with a sentence; the others go on. ``progress``
    is told the stage ("motion", "segmentation", "flow") and the fraction done, 0 to 1.

    Parameters: ``model`` makes maps and segments ("exchange"); ``models`` are computed for the
    segments besides (none; see ``kinetics.names``); ``concentration`` is told from signal by the
    sequence's "model" (the usual way), or taken as "linear" with it: then all flow is relative,
    without interval and mark of ischaemia. Raises UnknownModel, UnknownConcentration.
    """
    linear = _is_linear(parameters.get("concentration"))
    if linear:
        series = [_taken_as_linear(one) for one in series]
    model, others = names.of_flow(parameters.get("model")), names.named(parameters.get("models"))
    seconds = {"motion": 0.0, "segmentation": 0.0, "flow": 0.0}
    refused: list[SeriesRefusal] = []
    work: list[_Work] = []
    clock = time.perf_counter()
    for one in series:
        reason = _unfit(one)
        if reason is not None:
            refused.append(SeriesRefusal(one.uid, reason))
        else:
            work.append(_Work(one, usable_frames(one)))
    films = [item.series.signal[item.dynamic] for item in work]
    for item, found in zip(work, find_hearts([w.series for w in work], films), strict=True):
        item.heart = found
    work = _refuse(work, refused, lambda item: item.heart is None, _NO_HEART)

    for number, item in enumerate(work):
        progress("motion", 0.6 * number / len(work))
        _hold_still(item, hold_still)
    seconds["motion"], clock = time.perf_counter() - clock, time.perf_counter()

    calibrated: list[inputs.Calibrated] = []
    for number, item in enumerate(list(work)):
        progress("segmentation", 0.6 + 0.15 * number / len(work))
        try:
            _draw(item)
            calibrated.append(_calibrated(item))
        except segmentation.NotFound as error:
            refused.append(SeriesRefusal(item.series.uid, str(error)))
            work.remove(item)
    seconds["segmentation"], clock = time.perf_counter() - clock, time.perf_counter()

    results = []
    chosen = inputs.choose(
        [item.series for item in work], calibrated, [_moved_mm(item) for item in work]
    )
    for number, item in enumerate(work):
        progress("flow", 0.75 + 0.25 * number / len(work))
        results.append(_result(item, calibrated[number], chosen[number], model, others))
    seconds["flow"] = time.perf_counter() - clock
    progress("flow", 1.0)
    ran = [item.series for item in work]
    told = summary.of_study(
        [(one.state, one.level, result.segments) for one, result in zip(ran, results, strict=True)],
        None if linear else flow.ISCHAEMIA_CUT,
    )
    told = summary.with_spleen(told, spleen.switch_off(_views(work, calibrated, chosen)))
    return StudyResult(
        series=tuple(summary.with_findings(results, ran, told)),
        refused=tuple(refused),
        reserve=_reserve([_flows(result) for result in results], ran),
        seconds=seconds,
        parameters={
            "model": model,
            "ischaemia_cut_ml_per_min_per_g": None if linear else flow.ISCHAEMIA_CUT,
            **({"concentration": "linear", "unit": RELATIVE} if linear else {}),
            **({"models": list(others)} if others else {}),
        },
        model_reserve={
            name: _reserve([result.models[name].segments for result in results], ran)
            for name in others
        },
        summary=told.content,
    )


class UnknownConcentration(ValueError):
    """Concentration is not told in that way; the text says in which ways it is."""


def _is_linear(asked: object) -> bool:
    if asked not in (None, "model", "linear"):
        raise UnknownConcentration(
            f"Concentration cannot be told by {asked!r}. Choose from model, linear."
        )
    return asked == "linear"


def _taken_as_linear(one: Series) -> Series:
    acquisition = replace(one.acquisition, linear=True)
    aif = None if one.aif is None else _taken_as_linear(one.aif)
    return replace(one, acquisition=acquisition, aif=aif)


def _views(
    work: Sequence[_Work],
    calibrated: Sequence[inputs.Calibrated],
    chosen: Sequence[input_function.InputFunction],
) -> list[spleen.View]:
    views = []
    for item, found, aif in zip(work, calibrated, chosen, strict=True):
        assert item.heart is not None and item.used is not None  # noqa: S101, PT018
        seen = spleen.view(
            item.series, item.used, found.blood.before, aif, found.gain.residue, item.heart
        )
        if seen is not None:
            views.append(seen)
    return views


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


def _unfit(one: Series) -> str | None:
    """Why a series cannot be analysed, before any work is spent on it."""
    usable = usable_frames(one)
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


def _hold_still(item: _Work, how: HoldStill) -> None:
    """Motion correction, and which frames take part in the fit."""
    started = time.perf_counter()
    assert item.heart is not None  # noqa: S101  (refused before)
    one = item.series
    item.window = crop(one, item.heart)
    film = np.where(np.isfinite(one.signal), one.signal, 0).astype(np.float32)
    item.motion = how(
        film, item.window, (item.heart.row, item.heart.col), one.pixel_spacing_mm, item.dynamic
    )
    unlike = evidence.unlike_neighbours(item.motion.matched, item.dynamic)
    middle = (item.heart.row - item.window[0].start, item.heart.col - item.window[1].start)
    strange = evidence.strange(
        item.motion.corrected, item.dynamic & ~unlike, middle, one.pixel_spacing_mm
    )
    item.used = item.dynamic & ~unlike & ~strange
    item.reasons = [None] * len(film)
    for t in range(len(film)):
        if one.roles[t] == "pd":
            item.reasons[t] = "proton-density frame"
        elif not item.dynamic[t]:
            item.reasons[t] = "the frame is damaged or empty"
        elif unlike[t]:
            item.reasons[t] = "the heart does not look as in the frames beside"
        elif strange[t]:
            item.reasons[t] = "the picture does not fit the rest of the film"
    item.seconds += time.perf_counter() - started


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
        item.series.level,
        mirrored=item.series.mirrored,
    )
    item.seconds += time.perf_counter() - started


def _moved_mm(item: _Work) -> NDArray[np.float64]:
    """How far each frame's heart was moved, (T, 2) mm, row then column."""
    assert item.motion is not None and item.anatomy is not None  # noqa: S101, PT018
    heart = np.isin(item.anatomy.labels, (MYOCARDIUM, LV_BLOOD))
    return evidence.displacement_of(item.motion.displacement, heart, item.series.pixel_spacing_mm)


def _calibrated(item: _Work) -> inputs.Calibrated:
    """What the slice's signal means. Raises NotFound if its blood saw no passage of contrast."""
    assert item.anatomy is not None and item.motion is not None and item.used is not None  # noqa: S101, PT018
    found = inputs.calibrate(
        item.series,
        item.motion.corrected,
        item.used,
        item.anatomy.labels,
        item.anatomy.blood,
        _region(item),
    )
    # Before motion was corrected, blood that moves to and fro could pass for contrast.
    if not found.blood.is_passage:
        raise segmentation.NotFound(_NO_HEART)
    return found


def _region(item: _Work) -> NDArray[np.bool_] | None:
    """Where on the crop a person wants the input function to be measured. Raises NotFound."""
    outline = item.series.given_aif_region
    if outline is None:
        return None
    assert item.anatomy is not None  # noqa: S101
    start = (item.window[0].start, item.window[1].start)
    drawn = np.asarray(outline, np.float64) - np.asarray(start, np.float64)
    inside = segmentation.filled(item.anatomy.labels.shape, drawn)
    if not inside.any():
        raise segmentation.NotFound(
            "The region given for the input function holds no pixel of the heart's surroundings. "
            "Draw it in the blood of the left ventricle."
        )
    return inside


def _result(
    item: _Work,
    calibrated: inputs.Calibrated,
    aif: input_function.InputFunction,
    model: str,
    others: Sequence[str],
) -> SeriesResult:
    started = time.perf_counter()
    assert item.anatomy is not None and item.motion is not None and item.used is not None  # noqa: S101, PT018
    one, anatomy, used = item.series, item.anatomy, item.used
    how = sr.physics(one.acquisition)
    aha, told = segments.aha_map(anatomy, one.level, mirrored=one.mirrored)
    found = flow.compute(
        one, item.motion.corrected, used, anatomy, aha, calibrated, aif, model=model, others=others
    )
    moved = evidence.gather(
        corrected=item.motion.corrected,
        displacement=item.motion.displacement,
        labels=anatomy.labels,
        spacing_mm=one.pixel_spacing_mm,
        dynamic=item.dynamic,
        used=used,
        roughness=item.motion.roughness,
        tried=item.motion.tried,
        stages=item.motion.stages,
    )
    edge = rim.find(
        item.motion.corrected, np.asarray(one.times_s, dtype=np.float64), found.aif_mmol_l,
        anatomy.labels, aha, used, segments.numbers_of(one.level),
    )  # fmt: skip
    edge_flag = rim.finding(edge)
    in_wall = evidence.blood_in_wall(item.motion.corrected, anatomy.labels, used)
    heart_pixels = int(np.isin(anatomy.labels, (MYOCARDIUM, LV_BLOOD)).sum())
    flags: list[Flag] = [
        *quality.of_time(one),
        *quality.of_motion(one, moved, item.dynamic, used, heart_pixels),
        *quality.of_wall(in_wall),
        *([] if edge_flag is None else [edge_flag]),
        *([quality.RELATIVE_FLOW] if how.linear else quality.of_flow(one.state, found.segments)),
        *quality.of_anatomy(one, anatomy, told, item.heart.confidence if item.heart else 0.0),
        *quality.of_input(one, aif, relative=how.linear),
        *quality.of_baseline(len(range(*calibrated.blood.before.indices(int(used.sum()))))),
        *how.assumed,
    ]
    start = (item.window[0].start, item.window[1].start)
    shift = np.asarray(start, dtype=np.float64)
    known = [segment.mbf for segment in found.segments.values() if segment.mbf is not None]
    return SeriesResult(
        uid=one.uid,
        offset=start,
        corrected=item.motion.corrected,
        displacement=item.motion.displacement,
        segmentation=anatomy.labels,
        aha=aha,
        mbf=found.mbf,
        aif_mmol_l=np.where(
            sr.frames_of(one.roles, "dynamic") & (not how.linear), found.aif_mmol_l, np.nan
        ),
        used=used,
        reasons=tuple(item.reasons or ()),
        mbf_global=float(np.mean(known)) if known else None,
        segments=found.segments,
        quality=tuple(flags),
        seconds=item.seconds + time.perf_counter() - started,
        endocardium=anatomy.endocardium + shift,
        epicardium=anatomy.epicardium + shift,
        insertions=_shifted(segments.insertions(anatomy, mirrored=one.mirrored), start),
        curves=found.curves,
        parameters={
            "aif_source": aif.source,
            "aif_peak_mmol_l": None if how.linear else aif.peak,
            "aif_saturation": None if how.linear else aif.saturation,
            "aif_t2_star_ms": None if aif.t2_star_s is None else aif.t2_star_s * 1000,
            "gain_source": calibrated.gain.source,
            "contrast_before_mmol_l": None if how.linear else calibrated.gain.residue,
            "motion_stages": list(item.motion.stages),
            "roughness_before": item.motion.roughness[0],
            "roughness_after": item.motion.roughness[1],
            "blood_in_wall": in_wall,
            "dark_inner_edge": list(edge.dark),
            "dark_rim": list(edge.artefact),
            "saturation_time_ms": how.saturation_time_s * 1000,
            "mbf_unit": RELATIVE if how.linear else "ml/min/g",
            "sequence": one.acquisition.sequence,
            "field_t": how.field_t,
            "agent": one.acquisition.agent,
            "relaxivity_l_per_mmol_s": how.relaxivity,
            "t1_blood_ms": how.t1_blood_s * 1000,
            "t1_myocardium_ms": how.t1_muscle_s * 1000,
            "haematocrit": how.haematocrit,
            "pulses_to_centre": how.pulses_to_centre,
        },
        motion=moved,
        models={
            name: replace(told, unit=RELATIVE) if how.linear else told
            for name, told in found.models.items()
        },
        spread=found.spread,
        endo_epi=layers.endo_epi(found.mbf, aha, anatomy.labels, found.segments),
    )


def _shifted(
    points: tuple[tuple[float, float], tuple[float, float]], by: tuple[int, int]
) -> tuple[tuple[float, float], tuple[float, float]]:
    (a, b), (c, d) = points
    return (a + by[0], b + by[1]), (c + by[0], d + by[1])


def _flows(result: SeriesResult) -> dict[int, float | None]:
    return {number: segment.mbf for number, segment in result.segments.items()}


def _reserve(
    values: Sequence[Mapping[int, float | None]], series: Sequence[Series]
) -> dict[int, float]:
    """Stress over rest by AHA number, where both are known; the first of repeats counts."""
    flows: dict[tuple[str, int], float] = {}
    for one, segment_values in zip(series, values, strict=True):
        for number, value in segment_values.items():
            if value is not None:
                flows.setdefault((one.state, number), value)
    return {
        number: flows["stress", number] / flows["rest", number]
        for number in range(1, 17)
        if ("stress", number) in flows and flows.get(("rest", number), 0) > 0
    }

"""The engine on digital phantoms that it was not tuned on: seeds from 101 upwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from processing.mcaq import pipeline
from processing.mcaq.phantom import PhantomStudy, SeriesTruth, make_study
from processing.mcaq.series import LV_BLOOD, MYOCARDIUM, RV_BLOOD, Series, SeriesResult
from scripts.bench.measures import auc, bias, dice, nrmse, slope
from scripts.bench.table import Figure

F64 = NDArray[np.float64]

TYPICAL: dict[str, dict[str, Any]] = {
    "single": {},
    "dual": {"dual_sequence": True, "pd_frames": 3},
    "pd": {"pd_frames": 3},
    "3 T": {"field_t": 3.0},
}
HARD: dict[str, dict[str, Any]] = {
    "gasp": {"noise": 10.0, "breathing": "gasp", "breathing_mm": 14.0},
    "hold then drift": {"breathing": "hold_then_drift", "breathing_mm": 14.0, "noise": 9.0},
    "coarse": {"rows": 128, "cols": 128, "pixel_mm": 2.6, "noise": 8.0, "breathing_mm": 12.0},
    "second injection": {"residual_mmol_l": 0.3, "noise": 8.0},
}
_FIRST_SEED = 101
#: A segment whose true stress flow lies below this is ischaemic.
_TRUE_CUT = 2.0
_FREE_OF_BLOOD = 0.01


@dataclass
class Found:
    """What was measured on the phantoms of one kind, a value for each series or segment."""

    drift: list[float] = field(default_factory=list)
    lv_over_time: list[float] = field(default_factory=list)
    lv_worst: list[float] = field(default_factory=list)
    overlap: list[tuple[float, float, float]] = field(default_factory=list)
    aif: dict[str, list[float]] = field(default_factory=dict)
    segments: list[tuple[str, float, float, float, float]] = field(default_factory=list)
    marked: list[tuple[bool, bool]] = field(default_factory=list)
    pixels: list[tuple[float, float]] = field(default_factory=list)
    reserve: list[tuple[float, float]] = field(default_factory=list)
    refused: int = 0


def measure(kinds: dict[str, dict[str, Any]], seeds: int, said: Callable[[str], None]) -> Found:
    """Run the engine on ``seeds`` phantoms of each kind."""
    found = Found()
    for number, (name, how) in enumerate(kinds.items()):
        for seed in range(_FIRST_SEED + 10 * number, _FIRST_SEED + 10 * number + seeds):
            said(f"{name}, seed {seed}")
            study = make_study(seed, **how)
            result = pipeline.analyse(study.series, {}, lambda stage, done: None)
            found.refused += len(result.refused)
            results = {one.uid: one for one in result.series}
            for series, truth in zip(study.series, study.truth, strict=True):
                if series.uid in results:
                    _of_series(found, series, truth, results[series.uid])
            _of_reserve(found, study, dict(result.reserve))
    return found


def _of_series(found: Found, series: Series, truth: SeriesTruth, one: SeriesResult) -> None:
    rows, cols = one.mbf.shape
    here = (
        slice(one.offset[0], one.offset[0] + rows),
        slice(one.offset[1], one.offset[1] + cols),
    )
    labels = truth.segmentation[here]
    found.overlap.append(
        tuple(  # type: ignore[arg-type]
            dice(one.segmentation == kind, labels == kind)
            for kind in (MYOCARDIUM, LV_BLOOD, RV_BLOOD)
        )
    )
    error = one.displacement[one.used] - truth.displacement[one.used][:, :, here[0], here[1]]
    heart = (labels == MYOCARDIUM) | (labels == LV_BLOOD)
    drift, over_time = drift_and_overlap(error[:, :, heart].mean(axis=2), labels == LV_BLOOD)
    found.drift.append(drift)
    found.lv_over_time.append(float(np.mean(over_time)))
    found.lv_worst.append(min(over_time))
    known = np.isfinite(one.aif_mmol_l)
    kind = "dual" if series.aif is not None else "single"
    rest = truth.aif_mmol_l[known] - truth.aif_mmol_l[known].min()
    found.aif.setdefault(kind, []).append(
        float(np.sqrt(np.mean((one.aif_mmol_l[known] - rest) ** 2)) / rest.max())
    )
    for number, flow in one.segments.items():
        if flow.mbf is None or number not in truth.segment_mbf:
            continue
        true = truth.segment_mbf[number]
        found.segments.append((series.state, true, flow.mbf, flow.low or 0.0, flow.high or 0.0))
        if series.state == "stress":
            found.marked.append((bool(flow.ischaemic), true < _TRUE_CUT))
    blood = ndimage.gaussian_filter(truth.blood, 0.9)[here]
    chosen = np.isfinite(one.mbf) & np.isfinite(truth.mbf[here]) & (blood < _FREE_OF_BLOOD)
    chosen &= truth.wall[here] > 0.95
    found.pixels.extend(zip(truth.mbf[here][chosen], one.mbf[chosen], strict=True))


def drift_and_overlap(error: F64, lv: NDArray[np.bool_]) -> tuple[float, list[float]]:
    """Root mean square of the heart's error (T, 2), px, and the LV's Dice with its place by it."""
    # A shift common to all frames only says which breath counts as rest.
    mean = error - np.median(error, axis=0)
    return float(np.sqrt((mean**2).sum(axis=1).mean())), [dice(_moved(lv, at), lv) for at in mean]


def _moved(mask: NDArray[np.bool_], by: F64) -> NDArray[np.bool_]:
    return np.asarray(ndimage.shift(mask.astype(np.float32), by, order=1) > 0.5)


def _of_reserve(found: Found, study: PhantomStudy, reserve: dict[int, float]) -> None:
    true: dict[tuple[str, int], float] = {}
    for truth in study.truth:
        true |= {(truth.state, number): mbf for number, mbf in truth.segment_mbf.items()}
    for number, value in reserve.items():
        if ("stress", number) in true and ("rest", number) in true:
            found.reserve.append((true["stress", number] / true["rest", number], value))


def figures(found: Found, where: str, *, hard: bool) -> Iterator[Figure]:
    """The figures of phantoms of one kind, with what they must reach."""
    pick = 1 if hard else 0
    yield Figure(
        "LV drift after correction, rms px", where, float(np.sqrt(np.mean(np.square(found.drift)))),
        (0.25, 0.5)[pick], (0.12, 0.25)[pick],
    )  # fmt: skip
    yield Figure(
        "LV Dice over time, mean", where, float(np.mean(found.lv_over_time)), 0.99, 0.995, True
    )
    yield Figure("LV Dice over time, worst frame", where, min(found.lv_worst), 0.95, 0.97, True)
    means = np.mean(found.overlap, axis=0)
    names = ("myocardium", "LV", "RV")
    for name, value, reach, aim in zip(
        names, means, (0.88, 0.96, 0.94), (0.92, 0.97, 0.95), strict=True
    ):
        yield Figure(f"segmentation Dice, {name}", where, float(value), reach, aim, True)
    for kind, values in sorted(found.aif.items()):
        bounds = (0.03, 0.015) if kind == "dual" else (0.05, 0.02)
        yield Figure(
            f"AIF, NRMSE of its peak, {kind} sequence", where, float(np.mean(values)), *bounds
        )
    state = np.array([row[0] for row in found.segments])
    true, mbf, low, high = np.array([row[1:] for row in found.segments]).T
    yield Figure(
        "MBF of AHA segments, NRMSE",
        where,
        nrmse(mbf, true),
        (0.18, 0.35)[pick],
        (0.10, 0.20)[pick],
    )
    for name in ("stress", "rest"):
        part = state == name
        yield Figure(f"  the same, {name}", where, nrmse(mbf[part], true[part]))
    yield Figure("MBF of AHA segments, bias (absolute)", where, abs(bias(mbf, true)), 0.10, 0.05)
    yield Figure("MBF of AHA segments, slope", where, slope(mbf, true), 0.85, 0.95, True)
    inside = (low <= true) & (true <= high)
    yield Figure(
        "90 % interval holds the truth, share", where, float(inside.mean()), 0.85, None, True
    )
    low_flow = (state == "stress") & (true < _TRUE_CUT)
    if low_flow.any():
        yield Figure(
            "  the same, segments with low stress flow", where, float(inside[low_flow].mean()),
            0.85, None, True,
        )  # fmt: skip
    yield Figure(
        "90 % interval, median half-width", where, float(np.median((high - low) / 2 / mbf)), 0.25
    )
    pixels = np.array(found.pixels, dtype=np.float64)
    yield Figure(
        "MBF of blood-free pixels, NRMSE", where, nrmse(pixels[:, 1], pixels[:, 0]),
        (0.30, 0.45)[pick], (0.20, 0.30)[pick],
    )  # fmt: skip
    reserve = np.array(found.reserve)
    yield Figure("MPR of segments, NRMSE", where, nrmse(reserve[:, 1], reserve[:, 0]), 0.20, 0.12)
    stress = state == "stress"
    ischaemic = true[stress] < _TRUE_CUT
    yield Figure("ischaemic segments, AUC", where, auc(-mbf[stress], ischaemic), 0.95, 0.98, True)
    marked, really = np.array(found.marked).T
    if really.any() and not really.all():
        sum_of_both = float(marked[really].mean() + (~marked[~really]).mean())
        yield Figure(
            "ischaemic segments, sensitivity + specificity", where, sum_of_both, 1.7, 1.9, True
        )
    yield Figure("series refused", where, float(found.refused), 0)

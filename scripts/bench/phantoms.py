"""The engine on digital phantoms that it was not tuned on: seeds from 101 upwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
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
#: Some kinds need no more than this to show what they are there for.
_STRESS: dict[str, Any] = {"states": ("stress",), "levels": ("basal", "mid")}
_ONE: dict[str, Any] = {"states": ("stress",), "levels": ("mid",)}
HARD: dict[str, dict[str, Any]] = {
    "gasp": {"noise": 10.0, "breathing": "gasp", "breathing_mm": 14.0},
    "hold then drift": {"breathing": "hold_then_drift", "breathing_mm": 14.0, "noise": 9.0},
    "coarse": {"rows": 128, "cols": 128, "pixel_mm": 2.6, "noise": 8.0, "breathing_mm": 12.0},
    "second injection": {"residual_mmol_l": 0.3, "noise": 8.0},
    "deep breaths": {"through_plane": 4, **_STRESS},
    "wrong triggers": {"mistriggered": 5, **_STRESS},
    "systolic": {"phase": "systolic", **_STRESS},
    "turned": {"orientation": "any", "off_centre_mm": (10.0, -20.0), **_STRESS},
    "mirrored": {"orientation": "mirrored", **_STRESS},
    "spoilt frames": {"corrupted": 5, **_STRESS},
    "wide variety": {"variety": "wide", "neighbours": "rich", "normalised": 0.2, **_STRESS},
    "two vessels": {"defect": "two", **_STRESS},
    "low flow": {"flow": "low", "splenic_switch_off": False, **_ONE},
    "dark rim": {"dark_rim": True, "defect": None, **_ONE},
}
FIRST_SEED = 101
#: A segment whose true stress flow lies below this is ischaemic.
_TRUE_CUT = 2.0
_FREE_OF_BLOOD = 0.01
#: A slice that cuts the heart this far from its own place shows another part of it.
_ELSEWHERE_MM = 4.0
_NEAR_MM = 20.0


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
    centres: list[bool] = field(default_factory=list)
    left_out: dict[str, list[bool]] = field(default_factory=dict)
    kinds: dict[str, Found] = field(default_factory=dict)

    def take(self, other: Found) -> None:
        """Add what was found on other phantoms."""
        for one in fields(self):
            mine, theirs = getattr(self, one.name), getattr(other, one.name)
            if isinstance(mine, list):
                mine.extend(theirs)
            elif isinstance(mine, int):
                setattr(self, one.name, mine + theirs)
            elif one.name != "kinds":
                for name, values in theirs.items():
                    mine.setdefault(name, []).extend(values)


def measure(kinds: dict[str, dict[str, Any]], seeds: int, said: Callable[[str], None]) -> Found:
    """Run the engine on ``seeds`` phantoms of each kind."""
    every = Found()
    for number, (name, how) in enumerate(kinds.items()):
        found = every.kinds[name] = Found()
        for seed in range(FIRST_SEED + 10 * number, FIRST_SEED + 10 * number + seeds):
            said(f"{name}, seed {seed}")
            study = make_study(seed, **how)
            result = pipeline.analyse(study.series, {}, lambda stage, done: None)
            found.refused += len(result.refused)
            results = {one.uid: one for one in result.series}
            for series, truth in zip(study.series, study.truth, strict=True):
                if series.uid in results:
                    _of_series(found, series, truth, results[series.uid])
                else:
                    found.centres.append(False)
            _of_reserve(found, study, dict(result.reserve))
        every.take(found)
    return every


def _of_series(found: Found, series: Series, truth: SeriesTruth, one: SeriesResult) -> None:
    rows, cols = one.mbf.shape
    here = (
        slice(one.offset[0], one.offset[0] + rows),
        slice(one.offset[1], one.offset[1] + cols),
    )
    _of_frames(found, truth, one)
    centre = np.argwhere(one.segmentation == LV_BLOOD).mean(axis=0) + one.offset
    away = (centre - truth.heart) * series.pixel_spacing_mm
    found.centres.append(bool(np.hypot(*away) <= _NEAR_MM))
    labels = truth.segmentation[here]
    error = one.displacement[one.used] - truth.displacement[one.used][:, :, here[0], here[1]]
    heart = (labels == MYOCARDIUM) | (labels == LV_BLOOD)
    mean = error[:, :, heart].mean(axis=2)
    # A shift common to all frames only says which breath counts as rest.
    common = np.median(mean, axis=0)
    found.overlap.append(
        tuple(  # type: ignore[arg-type]
            dice(one.segmentation == kind, _moved(labels == kind, -common))
            for kind in (MYOCARDIUM, LV_BLOOD, RV_BLOOD)
        )
    )
    drift, over_time = drift_and_overlap(mean, labels == LV_BLOOD)
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
    blood, wall = (
        ndimage.shift(share, -common, order=1)
        for share in (ndimage.gaussian_filter(truth.blood, 0.9)[here], truth.wall[here])
    )
    true = ndimage.shift(truth.mbf[here], -common, order=0, cval=np.nan)
    chosen = np.isfinite(one.mbf) & np.isfinite(true) & (blood < _FREE_OF_BLOOD) & (wall > 0.95)
    found.pixels.extend(zip(true[chosen], one.mbf[chosen], strict=True))


def _of_frames(found: Found, truth: SeriesTruth, one: SeriesResult) -> None:
    """Which frames that show something else, and which good ones, took no part in the fit."""
    dynamic = np.isfinite(one.aif_mmol_l)
    groups = {
        "of another part of the heart": np.abs(truth.through_plane) >= _ELSEWHERE_MM,
        "of another phase": truth.mistriggered,
        "spoilt": np.array([kind is not None for kind in truth.corrupted]),
        "good": truth.usual,
    }
    for name, group in groups.items():
        found.left_out.setdefault(name, []).extend((~one.used[group & dynamic]).tolist())


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
    yield Figure(
        "heart's centre within 20 mm, share", where, float(np.mean(found.centres)), 0.97, 1.0, True
    )
    for name, left_out in found.left_out.items():
        if name == "good":
            yield Figure("good frames left out, share", where, float(np.mean(left_out)), 0.05, 0.01)
        elif left_out:
            yield Figure(f"frames left out of those {name}", where, float(np.mean(left_out)))
    if hard:
        for kind, part in found.kinds.items():
            yield from _of_kind(part, kind)


def _of_kind(found: Found, kind: str) -> Iterator[Figure]:
    """The few figures that tell which kind is hard, and why; none has a mark of its own."""
    if not found.drift:
        return
    yield Figure("  LV drift, rms px", kind, float(np.sqrt(np.mean(np.square(found.drift)))))
    muscle, left, _ = np.mean(found.overlap, axis=0)
    yield Figure("  segmentation Dice, myocardium", kind, float(muscle))
    yield Figure("  segmentation Dice, LV", kind, float(left))
    true, mbf = np.array([row[1:3] for row in found.segments]).T
    yield Figure("  MBF of AHA segments, NRMSE", kind, nrmse(mbf, true))
    yield Figure("  MBF of AHA segments, bias", kind, bias(mbf, true))
    marked, really = np.array(found.marked).T
    if not really.all():
        yield Figure("  healthy segments called ischaemic", kind, float(marked[~really].mean()))

"""Motion alone: the engine of record beside the other ways to hold the heart still.

On phantoms of which none was used to choose how those ways work, and on some real patients. These
figures have no mark to reach: they tell how the engines compare, in one run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from processing.mcaq import classic, motion
from processing.mcaq.heart import crop, find_hearts, usable_frames
from processing.mcaq.phantom import SeriesTruth, make_study
from processing.mcaq.series import LV_BLOOD, MYOCARDIUM, Series
from scripts.bench import phantoms, real
from scripts.bench.table import Figure

WAYS = {
    "mcaq": motion.correct,
    "mcaq-classic": classic.correct,
    "mcaq-classic-rddr": classic.correct_by_ladder,
}
KINDS = {"free breathing": {}, "gasp": phantoms.HARD["gasp"]}
_FIRST_SEED = 301
_PATIENTS = 3


@dataclass
class Found:
    """Of one way: rms drift, px, mean and worst Dice over time, by kind of phantom; scatter of the
    LV, mm, and Dice of moved masks on patients; seconds a slice; frames folded."""

    drift: dict[str, list[float]] = field(default_factory=dict)
    over_time: list[float] = field(default_factory=list)
    worst: list[float] = field(default_factory=list)
    scatter_mm: list[float] = field(default_factory=list)
    lv: list[float] = field(default_factory=list)
    myocardium: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    folded: int = 0


def measure(seeds: int, root: Path | None, said: Callable[[str], None]) -> dict[str, Found]:
    """Each way on the middle slices of ``seeds`` phantoms of each kind, and on some patients."""
    found = {name: Found() for name in ("none", *WAYS)}
    for kind, how in KINDS.items():
        for seed in range(_FIRST_SEED, _FIRST_SEED + seeds):
            study = make_study(seed, levels=("mid",), **how)
            for one, truth in zip(study.series, study.truth, strict=True):
                said(f"{kind}, seed {seed}, {one.state}")
                _of_phantom(found, kind, one, truth)
    for case, labelled in islice(real.studies(root), _PATIENTS) if root is not None else ():
        said(case)
        hearts = _windows([one.series for one in labelled])
        for one, heart in zip(labelled, hearts, strict=True):
            if heart is not None:
                _of_patient(found, one, *heart)
    return found


_Place = tuple[tuple[slice, slice], tuple[float, float]]


def _windows(series: list[Series]) -> list[_Place | None]:
    """Where the engine looks for each heart, as in its pipeline."""
    films = [one.signal[usable_frames(one)] for one in series]
    return [
        None if heart is None else (crop(one, heart), (heart.row, heart.col))
        for one, heart in zip(series, find_hearts(series, films), strict=True)
    ]


def _corrected(
    found: dict[str, Found], one: Series, place: _Place
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Each way's name and field, that of no correction first."""
    window, centre = place
    film = one.signal.astype(np.float32)
    shape = (len(film), 2, window[0].stop - window[0].start, window[1].stop - window[1].start)
    yield "none", np.zeros(shape, dtype=np.float32)
    for name, way in WAYS.items():
        begun = time.perf_counter()
        moved = way(film, window, centre, one.pixel_spacing_mm, usable_frames(one))
        found[name].seconds.append(time.perf_counter() - begun)
        found[name].folded += sum(motion.jacobian(d).min() <= 0 for d in moved.displacement)
        yield name, moved.displacement


def _of_phantom(found: dict[str, Found], kind: str, one: Series, truth: SeriesTruth) -> None:
    (place,) = _windows([one])
    if place is None:
        return
    here = place[0]
    labels = truth.segmentation[here]
    heart = np.isin(labels, (MYOCARDIUM, LV_BLOOD))
    for name, moved in _corrected(found, one, place):
        error = (moved - truth.displacement[:, :, here[0], here[1]])[:, :, heart].mean(axis=2)
        drift, over_time = phantoms.drift_and_overlap(error, labels == LV_BLOOD)
        found[name].drift.setdefault(kind, []).append(drift)
        found[name].over_time.append(float(np.mean(over_time)))
        found[name].worst.append(min(over_time))


def _of_patient(
    found: dict[str, Found],
    one: real.Labelled,
    window: tuple[slice, slice],
    centre: tuple[float, float],
) -> None:
    for name, moved in _corrected(found, one.series, (window, centre)):
        held = real.held_still(one, (window[0].start, window[1].start), moved)
        found[name].scatter_mm.append(held.scatter_mm)
        found[name].lv.append(float(np.mean(held.lv)))
        found[name].myocardium.append(float(np.mean(held.myocardium)))


def figures(found: dict[str, Found]) -> Iterator[Figure]:
    for name, one in found.items():
        where = f"other engine: {name}" if "classic" in name else f"beside it: {name}"
        for kind, drift in one.drift.items():
            yield Figure(
                f"LV drift, rms px, {kind}", where, float(np.sqrt(np.mean(np.square(drift))))
            )
        yield Figure("LV Dice over time, mean", where, float(np.mean(one.over_time)))
        yield Figure("LV Dice over time, worst frame", where, min(one.worst))
        if one.scatter_mm:
            yield Figure(
                "patients: LV-centre scatter, mm, median", where, float(np.median(one.scatter_mm))
            )
            yield Figure("patients: LV-centre scatter, mm, worst", where, max(one.scatter_mm))
            yield Figure("patients: masks' Dice, LV, mean", where, float(np.mean(one.lv)))
            yield Figure(
                "patients: masks' Dice, myocardium, mean", where, float(np.mean(one.myocardium))
            )
        if one.seconds:
            yield Figure("seconds a slice, motion", where, float(np.mean(one.seconds)))
            yield Figure("frames folded", where, float(one.folded))

"""The engine beside public programs: motion on two slices, pixels' flow on the same curves.

All in one run, since only ratios of seconds mean something on a machine that others use too. The
peers may use all processors; the engine's motion correction uses one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import nan
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from processing.mcaq import motion
from processing.mcaq.heart import usable_frames
from processing.mcaq.kinetics import exchange
from processing.mcaq.kinetics.curves import Curves, ml_per_min_per_g
from processing.mcaq.phantom import make_study
from processing.mcaq.series import LV_BLOOD, MYOCARDIUM, Series
from scripts.bench import models, peer_ways, phantoms, real
from scripts.bench.classic import windows
from scripts.bench.measures import nrmse
from scripts.bench.peer_ways import Film, Held, Missing
from scripts.bench.table import Figure

F64 = NDArray[np.float64]
Window = tuple[slice, slice]
_Found = TypeVar("_Found")
#: Of a displacement on the window: drift or scatter (px, rms), LV Dice over time.
Judge = Callable[[NDArray[np.floating]], tuple[float, list[float]]]

ENGINE, NAIVE = "mcaq", "naive B-splines"
LIMIT_S = 180.0
_SEED = 401
#: Splines 16 px apart on three levels need a picture of this size at least.
_LEAST_PX = 96
#: A patient's film whose heart moves by less than this, rms, tells little.
_MOVES_MM = 2.0
_PIXELS, _TIMES = 1500, 3
#: As in a slice of the engine: delays of its curves lie this near to each other.
_SAME_DELAY_S = 0.6


@dataclass(frozen=True)
class Slice:
    """One film, where the engine looks, and how a displacement on that window is judged."""

    name: str
    series: Series
    window: Window
    centre: tuple[float, float]
    blood: F64
    judge: Judge


def figures(
    root: Path | None, python: str, limit_s: float, said: Callable[[str], None]
) -> Iterator[Figure]:
    for one in slices(root):
        yield from _of_motion(one, peer_ways.ways(python), limit_s, said)
    said("flow of pixels")
    yield from _of_flow(python, limit_s)


def slices(root: Path | None) -> Iterator[Slice]:
    """One of a phantom that the engine was not tuned on, and one of the first patient who moves."""
    study = make_study(_SEED, states=("stress",), levels=("mid",))
    (one,), (truth,) = study.series, study.truth
    (place,) = windows([one])
    if place is not None:
        window, centre = place
        labels = truth.segmentation[window]
        heart = np.isin(labels, (MYOCARDIUM, LV_BLOOD))
        moved = truth.displacement[:, :, window[0], window[1]]

        def by_truth(found: NDArray[np.floating]) -> tuple[float, list[float]]:
            error = (found - moved)[:, :, heart].mean(axis=2)
            return phantoms.drift_and_overlap(error, labels == LV_BLOOD)

        blood = one.signal[:, truth.segmentation == LV_BLOOD].mean(axis=1)
        yield Slice(f"phantom, seed {_SEED}", one, window, centre, blood, by_truth)
    if root is not None:
        yield from _patient(root)


def _patient(root: Path) -> Iterator[Slice]:
    for _, labelled in real.studies(root):
        places = windows([one.series for one in labelled])
        for one, place in zip(labelled, places, strict=True):
            if place is None or one.series.state != "stress":
                continue
            window, centre = place
            start = (window[0].start, window[1].start)
            none = np.zeros((len(one.masks), 2, *_shape(window)))
            before = real.held_still(one, start, none)
            if before.scatter_mm < _MOVES_MM:
                continue

            def by_masks(
                found: NDArray[np.floating],
                one: real.Labelled = one,
                start: tuple[int, int] = start,
            ) -> tuple[float, list[float]]:
                held = real.held_still(one, start, found)
                return held.scatter_mm / one.series.pixel_spacing_mm[0], held.lv

            lv = before.usual_lv
            blood = one.series.signal[:, window[0], window[1]][:, lv].mean(axis=1)
            yield Slice(f"patient, {one.series.level}", one.series, window, centre, blood, by_masks)
            return


def _shape(window: Window) -> tuple[int, int]:
    return window[0].stop - window[0].start, window[1].stop - window[1].start


def around(window: Window, shape: tuple[int, int], least: int) -> Window:
    """The window, widened to ``least`` pixels each way as far as the picture reaches."""
    wide = []
    for side, size in zip(window, shape, strict=True):
        want = min(size, max(least, side.stop - side.start))
        first = (side.start + side.stop - want) // 2
        first = min(max(0, first), size - want)
        wide.append(slice(first, first + want))
    return wide[0], wide[1]


def _of_motion(
    one: Slice,
    ways: dict[str, Callable[[Film, float], Held]],
    limit_s: float,
    said: Callable[[str], None],
) -> Iterator[Figure]:
    frames = np.asarray(one.series.signal, dtype=np.float32)
    none = np.zeros((len(frames), 2, *_shape(one.window)))
    yield from _judged(one, "no correction", none)
    said(f"{one.name}: {ENGINE}")
    held = _by_engine(one, frames)
    yield from _judged(one, ENGINE, held.displacement)
    yield Figure(f"{ENGINE}: seconds a slice", one.name, held.seconds, 0.5)
    box = around(one.window, frames.shape[1:], _LEAST_PX)
    rise = one.blood > one.blood[0] + 0.2 * (one.blood.max() - one.blood[0])
    film = Film(
        frames[:, box[0], box[1]], np.asarray(one.series.times_s, dtype=np.float64), one.blood,
        max(1, int(np.argmax(rise)) - 2),
    )  # fmt: skip
    inner = tuple(
        slice(side.start - out.start, side.stop - out.start)
        for side, out in zip(one.window, box, strict=True)
    )
    for name, way in ways.items():
        said(f"{one.name}: {name}")
        yield from of_peer(one, name, lambda way=way: way(film, limit_s), inner, held.seconds)


def of_peer(
    one: Slice, name: str, way: Callable[[], Held], inner: tuple[slice, ...], seconds: float
) -> Iterator[Figure]:
    """A peer's figures beside the engine's ``seconds``; one that is missing is named with why.

    inner: the window that is judged, within what the peer was given.
    """
    try:
        held = way()
    except Missing as why:
        yield Figure(f"{name}: LV drift, rms px", one.name, nan, note=str(why))
        return
    yield from _judged(one, name, held.displacement[:, :, inner[0], inner[1]])
    if held.given_up:
        yield Figure(f"{name}: frames given up", one.name, float(held.given_up))
    yield Figure(f"{name}: seconds a slice", one.name, held.seconds)
    yield Figure(
        f"{name}: times as long as {ENGINE}", one.name, held.seconds / seconds,
        80 if name == NAIVE else None, None, True,
    )  # fmt: skip


def _by_engine(one: Slice, frames: NDArray[np.float32]) -> Held:
    moved, seconds = _quickest(
        lambda: motion.correct(
            frames, one.window, one.centre, one.series.pixel_spacing_mm, usable_frames(one.series)
        )
    )
    return Held(moved.displacement.astype(np.float64), seconds)


def _quickest(work: Callable[[], _Found]) -> tuple[_Found, float]:
    """What is found, and the least seconds of a few runs: others' load adds to the rest."""
    found, least = work(), np.inf
    for _ in range(_TIMES):
        begun = time.perf_counter()
        found = work()
        least = min(least, time.perf_counter() - begun)
    return found, float(least)


def _judged(one: Slice, name: str, moved: NDArray[np.floating]) -> Iterator[Figure]:
    drift, lv = one.judge(moved)
    yield Figure(f"{name}: LV drift, rms px", one.name, drift)
    yield Figure(f"{name}: LV Dice over time, mean", one.name, float(np.mean(lv)))
    yield Figure(f"{name}: LV Dice over time, worst frame", one.name, min(lv))


def _of_flow(python: str, limit_s: float) -> Iterator[Figure]:
    """Pixels of simulated muscle, the same for all: few would not tell which errs less."""
    curves = models.simulated_pixels(_PIXELS)
    true = np.tile(models.FLOWS, _PIXELS // len(models.FLOWS))
    where = f"{_PIXELS} simulated pixels"
    ours, seconds = _quickest(lambda: default_fit(curves))
    ms, error = 1000 * seconds / _PIXELS, nrmse(ours, true)
    yield Figure("flow of pixels, exchange: NRMSE", where, error)
    yield Figure("flow of pixels, exchange: ms a pixel", where, ms)
    begun = time.perf_counter()
    singly = models.fermi_one_by_one(curves)
    singly_ms = 1000 * (time.perf_counter() - begun) / _PIXELS
    singly_error = nrmse(singly, true)
    yield Figure("flow of pixels, curve_fit Fermi: NRMSE", where, singly_error)
    yield Figure("flow of pixels, curve_fit Fermi: ms a pixel", where, singly_ms)
    yield Figure(
        "curve_fit Fermi: times as long as exchange", where, singly_ms / ms, 400, None, True
    )
    yield Figure("exchange: error as a share of curve_fit's", where, error / singly_error, 1.0)
    given = {"times_s": curves.times_s, "blood": curves.blood, "tissue": curves.tissue}
    try:
        made = peer_ways.by_program("dcmri", python, limit_s, given)
    except Missing as why:
        yield Figure("flow of pixels, dcmri: NRMSE", where, nan, note=str(why))
        return
    flow = ml_per_min_per_g(made["flow"], curves.density_g_per_ml)
    dcmri_ms = 1000 * float(made["seconds"]) / _PIXELS
    yield Figure("flow of pixels, dcmri: NRMSE", where, nrmse(flow, true))
    yield Figure("flow of pixels, dcmri: ms a pixel", where, dcmri_ms)
    yield Figure("dcmri: times as long as exchange", where, dcmri_ms / ms)


def default_fit(curves: Curves) -> F64:
    """MBF of pixels (P,) as the engine finds it where nothing is known of the segment around.

    What is done once a slice is part of it: the dictionary, and the delay by the mean curve.
    """
    dictionary = exchange.build(
        curves.times_s, curves.blood, curves.haematocrit, curves.density_g_per_ml
    )
    tissue = np.asarray(curves.tissue, dtype=np.float32)
    noise = curves.noise[:1] / np.sqrt(len(tissue))
    mean = exchange.fit(
        dictionary, tissue.mean(axis=0)[None], curves.used, noise, spill=exchange.no_spill(1)
    )
    delay_s = float(mean.parameters[0, exchange.DELAY])
    near = dictionary.near(delay_s, _SAME_DELAY_S)
    return exchange.fit(
        near, tissue, curves.used, curves.noise, delay_s=delay_s, spill=curves.expected
    ).mbf

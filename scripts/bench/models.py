"""The kinetic models side by side: simulated curves, segments of phantoms, and what they cost."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import curve_fit

from processing.mcaq import layers, pipeline
from processing.mcaq.kinetics import fermi
from processing.mcaq.kinetics.curves import Curves, Passage, ml_per_min_per_g
from processing.mcaq.kinetics.exchange import no_spill
from processing.mcaq.kinetics.models import MODELS
from processing.mcaq.kinetics.names import DEFAULT, UNITS, is_flow
from processing.mcaq.phantom import blood, make_study, tissue
from scripts.bench.curves import read
from scripts.bench.measures import bias, nrmse
from scripts.bench.phantoms import FIRST_SEED, TYPICAL
from scripts.bench.table import Figure

F64 = NDArray[np.float64]

_FLOWS = [name for name in UNITS if is_flow(name)]
_KINDS = ("single", "dual")
_PIXELS, _FEW_PIXELS, _TIMES = 1500, 36, 3
_FINE: dict[str, Any] = {"rows": 280, "cols": 240, "pixel_mm": 1.3}
_HAEMATOCRIT, _DENSITY = 0.42, 1.05
#: Flows of the simulated pixels, ml/min/g.
FLOWS: F64 = np.linspace(0.6, 3.5, 12)


def figures(root: Path | None, seeds: int, said: Callable[[str], None]) -> Iterator[Figure]:
    """All of them; without the simulator's curves where ``root`` is None."""
    if root is not None:
        yield from _of_simulator(root)
    yield from _of_segments(seeds, said)
    yield from _of_layers(seeds, said)
    said("what models cost")
    yield from _of_time()
    yield from _against_curve_fit()


def _of_simulator(root: Path) -> Iterator[Figure]:
    curves = list(read(root))
    for name in _FLOWS:
        found = []
        for _, true, times, inflow, held in curves:
            one = Curves(
                times, inflow, held[None], np.ones(len(times), dtype=bool),
                np.array([0.003 * held.max()]), 0.0, 1.0, no_spill(1),
            )  # fmt: skip
            found.append(float(MODELS[name](one).value[0]) / true)
        within = float(sum(abs(ratio - 1) <= 0.1 for ratio in found))
        yield Figure(
            f"{name}: within 10 % of the true flow, of {len(found)}", "exchange simulator", within
        )


def _of_segments(seeds: int, said: Callable[[str], None]) -> Iterator[Figure]:
    rows: dict[str, list[tuple[float, float]]] = {name: [] for name in UNITS}
    spreads, errors = [], []
    for number, kind in enumerate(TYPICAL):
        if kind not in _KINDS:
            continue
        for seed in range(FIRST_SEED + 10 * number, FIRST_SEED + 10 * number + seeds):
            said(f"models, {kind}, seed {seed}")
            study = make_study(seed, **TYPICAL[kind])
            result = pipeline.analyse(study.series, {"models": "all"}, lambda stage, done: None)
            found = {one.uid: one for one in result.series}
            for series, truth in zip(study.series, study.truth, strict=True):
                if series.uid not in found:
                    continue
                one = found[series.uid]
                for name, told in one.models.items():
                    rows[name] += [
                        (truth.segment_mbf[segment], value)
                        for segment, value in told.segments.items()
                        if value is not None and segment in truth.segment_mbf
                    ]
                for segment, spread in one.spread.items():
                    flow = one.segments[segment].mbf
                    if spread is not None and flow is not None and segment in truth.segment_mbf:
                        true = truth.segment_mbf[segment]
                        spreads.append(spread / flow)
                        errors.append(abs(flow / true - 1))
    where = "phantom segments"
    for name, pairs in rows.items():
        true, value = np.array(pairs).T
        if is_flow(name):
            yield Figure(f"{name}: MBF, NRMSE", where, nrmse(value, true))
            yield Figure(f"{name}: MBF, bias", where, bias(value, true))
        yield Figure(f"{name}: correlation with the truth", where, _correlation(value, true))
    yield Figure("spread between models, median share of MBF", where, float(np.median(spreads)))
    ranks = [np.argsort(np.argsort(one)).astype(float) for one in (spreads, errors)]
    yield Figure(
        "spread against the default's error, rank correlation", where, _correlation(*ranks)
    )


def _of_layers(seeds: int, said: Callable[[str], None]) -> Iterator[Figure]:
    """Inner over outer layer where pixels are small enough to tell, and where they are not."""
    for where, fine in (("pixels of 1.3 mm", _FINE), ("pixels of 2 mm", {})):
        pairs, segments = [], 0
        for seed in range(FIRST_SEED, FIRST_SEED + seeds):
            said(f"layers, {where}, seed {seed}")
            study = make_study(seed, levels=("basal", "mid"), pd_frames=3, **fine)
            result = pipeline.analyse(study.series, {}, lambda stage, done: None)
            truths = {one.uid: truth for one, truth in zip(study.series, study.truth, strict=True)}
            for one in result.series:
                here = tuple(
                    slice(start, start + size)
                    for start, size in zip(one.offset, one.mbf.shape, strict=True)
                )
                truth = truths[one.uid]
                true = layers.endo_epi(
                    truth.mbf[here].astype(np.float32),
                    one.aha,
                    truth.segmentation[here],
                    one.endo_epi,
                )
                segments += len(one.endo_epi)
                for number, found in one.endo_epi.items():
                    if found.ratio is not None and true[number].ratio is not None:
                        pairs.append((found.ratio, true[number].ratio))
        yield Figure("inner over outer layer: share of segments told", where, len(pairs) / segments)
        if pairs:
            away = np.abs(np.array(pairs) @ np.array([1.0, -1.0]))
            yield Figure("inner over outer layer: error, median", where, float(np.median(away)))
            yield Figure(
                "inner over outer layer: off by more than 0.3", where, float((away > 0.3).mean())
            )


def _correlation(one: F64, other: F64) -> float:
    return float(np.corrcoef(one, other)[0, 1])


def _of_time() -> Iterator[Figure]:
    """What each model costs on a slice's segments, as a share of the default's flow stage."""
    series = make_study(FIRST_SEED, states=("stress",), levels=("mid",)).series
    default = min(
        pipeline.analyse(series, {}, lambda stage, done: None).seconds["flow"]
        for _ in range(_TIMES)
    )
    yield Figure("flow stage, seconds a slice", "phantom, one slice", default)
    six = replace(simulated_pixels(12).some(np.arange(12) % 2 == 0), one_delay=True)
    total = 0.0
    for name in UNITS:
        if name != DEFAULT:
            spent = min(_seconds(name, six) for _ in range(2 * _TIMES))
            total += spent
            yield Figure(f"{name}: share of the flow stage", "six segments", spent / default)
    yield Figure("all models besides: share of the flow stage", "six segments", total / default)
    yield Figure("all models besides: seconds a slice", "six segments", total, 0.5)


def _seconds(name: str, curves: Curves) -> float:
    begun = time.perf_counter()
    MODELS[name](curves)
    return time.perf_counter() - begun


def simulated_pixels(count: int) -> Curves:
    """Curves of simulated muscle at stress under a pixel's noise; their flows repeat ``FLOWS``."""
    times = 0.7 * np.arange(50)
    way = blood.circulate(blood.BolusShape(5.0, 3.0, 4.6, 13.5, 3.5), float(times[-1]) + 3)
    rng = np.random.default_rng(1)
    simulated = tissue.simulate(FLOWS, way.times_s, way.left, _HAEMATOCRIT)
    held = np.array([np.interp(times - 0.5, simulated.times_s, one) for one in simulated.content.T])
    noisy = np.tile(held, (count // len(FLOWS), 1))
    noisy = noisy + 0.04 * rng.standard_normal(noisy.shape)
    arterial = np.interp(times, way.times_s, way.left)
    return Curves(
        times, arterial, noisy, np.ones(len(times), dtype=bool), np.full(len(noisy), 0.04),
        _HAEMATOCRIT, _DENSITY, no_spill(len(noisy)),
    )  # fmt: skip


def fermi_one_by_one(curves: Curves) -> F64:
    """MBF of each curve (P,), ml/min/g, by ``curve_fit`` of a Fermi response: the usual way."""
    frames = fermi.first_pass(curves)
    times = curves.times_s[frames]
    passage = Passage(curves.times_s, curves.blood, float(times[-1]) + 1)

    def curve(at: F64, flow: float, steepness: float, width: float, delay: float) -> F64:
        shape = fermi.response(passage.fine_s, np.array(steepness), np.array(width))
        fine = flow * passage.through(shape)
        return np.asarray(np.interp(at - delay - passage.start_s, passage.fine_s, fine, left=0.0))

    flows = [
        curve_fit(
            curve, times, one[frames], p0=(0.03, 0.3, 4.0, 0.5),
            bounds=([0, 0.03, 0, -0.75], [0.2, 4.0, 25.0, 3.5]),
        )[0][0]
        for one in curves.tissue
    ]  # fmt: skip
    return ml_per_min_per_g(np.array(flows), curves.density_g_per_ml)


def _against_curve_fit() -> Iterator[Figure]:
    """Fermi by the engine on all pixels at once, and pixel by pixel as it is usually done."""
    many, few = simulated_pixels(_PIXELS), simulated_pixels(_FEW_PIXELS)
    begun = time.perf_counter()
    fermi.fit(many)
    at_once = (time.perf_counter() - begun) / len(many.tissue)
    begun = time.perf_counter()
    fermi_one_by_one(few)
    singly = (time.perf_counter() - begun) / len(few.tissue)
    where = f"{_PIXELS} pixels at once"
    yield Figure("Fermi, ms a pixel, all at once", where, 1000 * at_once)
    yield Figure("Fermi, ms a pixel, curve_fit", f"{_FEW_PIXELS} pixels", 1000 * singly)
    yield Figure(
        "Fermi, curve_fit over all at once", "the same run", singly / at_once, 10, 100, True
    )

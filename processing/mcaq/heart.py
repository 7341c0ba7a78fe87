"""Find the heart on the full field of view: two pools of blood that fill one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from processing.mcaq.series import Series

#: Half the side of the box that is analysed, mm: room for the wall and for the heart's travel.
BOX_MM = 62.0
_SMALLEST_MM2, _LARGEST_MM2 = 120.0, 4500.0
_AGREE_MM = 14.0


@dataclass(frozen=True)
class Pool:
    """A candidate pair: left-ventricular blood beside a pool that filled before it."""

    score: float
    row: float
    col: float
    rv_row: float
    rv_col: float


@dataclass(frozen=True)
class Heart:
    """Centre of the LV on the source grid (row, column), that of the RV, and how sure that is."""

    row: float
    col: float
    rv_row: float
    rv_col: float
    confidence: float


def usable_frames(one: Series) -> NDArray[np.bool_]:
    """(T,) dynamic frames with finite, varying pixels."""
    dynamic = np.array([role == "dynamic" for role in one.roles])
    finite = np.isfinite(one.signal).all(axis=(1, 2))
    varied = np.ptp(np.where(np.isfinite(one.signal), one.signal, 0), axis=(1, 2)) > 0
    return np.asarray(dynamic & finite & varied)


def bolus_image(
    signal: NDArray[np.float32], times_s: NDArray[np.float64]
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """How much each pixel rises and falls again, and when it peaks.

    signal: (T, rows, cols). Returns (rows, cols) in signal units, and the time of the peak in s.
    Blood rises and falls; muscle rises and stays; what moves does neither in step.
    """
    smooth = ndimage.gaussian_filter(signal, (1.0, 0.8, 0.8))
    # The first frames are on the way to the steady state.
    start = min(2, len(smooth) // 8)
    body = smooth[start:]
    peak = body.argmax(axis=0)
    top = body.max(axis=0)
    before = np.minimum.accumulate(body, axis=0)
    after = np.minimum.accumulate(body[::-1], axis=0)[::-1]
    rise = top - np.take_along_axis(before, peak[None], axis=0)[0]
    fall = top - np.take_along_axis(after, peak[None], axis=0)[0]
    return np.minimum(rise, 1.5 * fall).astype(np.float32), times_s[start:][peak]


def find_hearts(
    series: Sequence[Series], films: Sequence[NDArray[np.float32]]
) -> list[Heart | None]:
    """The heart in each film; all series of a study must agree on its place.

    films: the dynamic frames of each series, (T, rows, cols). A single film can mistake a kidney
    or a vessel for the heart; the place that all films support is taken.
    """
    candidates = [
        _candidates(film, _dynamic_times(one), one.pixel_spacing_mm)
        for one, film in zip(series, films, strict=True)
    ]
    places = []
    for one, pools in zip(series, candidates, strict=True):
        places.append([_place_mm(one, pool) for pool in pools])
    hearts: list[Heart | None] = []
    best = _agreed(series, candidates, places)
    for n, pools in enumerate(candidates):
        if not pools or best is None:
            hearts.append(None)
            continue
        nearness = [_nearness(place, best.place) for place in places[n]]
        weights = [pool.score * near for pool, near in zip(pools, nearness, strict=True)]
        winner = int(np.argmax(weights))
        pool = pools[winner]
        confidence = float(weights[winner] / max(p.score for p in pools))
        if nearness[winner] < 0.3:
            # This film alone would look elsewhere; the others know better.
            hearts.append(best.on(series[n], confidence))
        else:
            hearts.append(Heart(pool.row, pool.col, pool.rv_row, pool.rv_col, confidence))
    return hearts


@dataclass(frozen=True)
class _Agreed:
    """The place all films support, mm from the centre of the field of view, and the RV from it."""

    place: tuple[float, float]
    rv_mm: tuple[float, float]

    def on(self, one: Series, confidence: float) -> Heart:
        rows, cols = one.signal.shape[1:]
        row = self.place[0] / one.pixel_spacing_mm[0] + rows / 2
        col = self.place[1] / one.pixel_spacing_mm[1] + cols / 2
        return Heart(
            row,
            col,
            row + self.rv_mm[0] / one.pixel_spacing_mm[0],
            col + self.rv_mm[1] / one.pixel_spacing_mm[1],
            confidence,
        )


def _dynamic_times(one: Series) -> NDArray[np.float64]:
    kept = [role == "dynamic" for role in one.roles]
    return np.asarray(one.times_s, dtype=np.float64)[kept]


def _place_mm(one: Series, pool: Pool) -> tuple[float, float]:
    """From the centre of the field of view, so that different matrices can be compared."""
    rows, cols = one.signal.shape[1:]
    return (
        (pool.row - rows / 2) * one.pixel_spacing_mm[0],
        (pool.col - cols / 2) * one.pixel_spacing_mm[1],
    )


def _nearness(a: tuple[float, float], b: tuple[float, float]) -> float:
    distance = np.hypot(a[0] - b[0], a[1] - b[1])
    return float(0.05 + 0.95 * np.exp(-0.5 * (distance / _AGREE_MM) ** 2))


def _agreed(
    series: Sequence[Series],
    candidates: Sequence[Sequence[Pool]],
    places: Sequence[Sequence[tuple[float, float]]],
) -> _Agreed | None:
    """The place that the films together support best."""
    best, most = None, 0.0
    for one, own, here in zip(series, candidates, places, strict=True):
        for own_pool, place in zip(own, here, strict=True):
            support = sum(
                max(
                    pool.score * _nearness(there, place)
                    for pool, there in zip(pools, theirs, strict=True)
                )
                for pools, theirs in zip(candidates, places, strict=True)
                if pools
            )
            if support > most:
                spacing = one.pixel_spacing_mm
                rv_mm = (
                    (own_pool.rv_row - own_pool.row) * spacing[0],
                    (own_pool.rv_col - own_pool.col) * spacing[1],
                )
                best, most = _Agreed(place, rv_mm), support
    return best


def _candidates(
    film: NDArray[np.float32],
    times_s: NDArray[np.float64],
    spacing_mm: tuple[float, float],
    most: int = 6,
) -> list[Pool]:
    """Pairs of pools, the later one as LV, scored by size, roundness, brightness and neighbours."""
    bolus, peak_s = bolus_image(film, times_s)
    area = spacing_mm[0] * spacing_mm[1]
    top = float(np.percentile(bolus, 99.7))
    if top <= 0:
        return []
    blobs: list[tuple[float, float, float, float, float, float]] = []
    rows, cols = bolus.shape
    for share in (0.3, 0.4, 0.5, 0.6, 0.7):
        mask = ndimage.binary_opening(bolus > share * top, iterations=1)
        labels, count = ndimage.label(mask)
        for number in range(1, count + 1):
            here = labels == number
            size = float(here.sum()) * area
            if not _SMALLEST_MM2 <= size <= _LARGEST_MM2:
                continue
            row, col = ndimage.center_of_mass(here)
            yy, xx = np.nonzero(here)
            spread = ((yy - row) * spacing_mm[0]) ** 2 + ((xx - col) * spacing_mm[1]) ** 2
            # 1 for a disc: its second moment is area²/2π.
            roundness = size / (2 * np.pi * float(spread.mean()) + 1e-6)
            strength = float(bolus[here].mean()) / top
            blobs.append((row, col, size, roundness, strength, float(np.median(peak_s[here]))))
    pools = []
    for row, col, size, roundness, strength, peak in blobs:
        central = 1 - 0.6 * max(abs(row / rows - 0.5), abs(col / cols - 0.5)) / 0.5
        fit = min(1.0, roundness) ** 2 * strength * central
        fit *= np.exp(-0.5 * (np.log(size / 900.0) / 0.9) ** 2)
        best, partner = 0.0, None
        for other in blobs:
            distance = np.hypot((other[0] - row) * spacing_mm[0], (other[1] - col) * spacing_mm[1])
            earlier = peak - other[5]
            if not 18 <= distance <= 85 or not 0.8 <= earlier <= 18:
                continue
            pair = other[4] * np.exp(-0.5 * ((distance - 42) / 18) ** 2)
            pair *= np.exp(-0.5 * ((earlier - 6) / 5) ** 2)
            if pair > best:
                best, partner = float(pair), other
        if partner is not None:
            pools.append(Pool(float(fit * best), row, col, partner[0], partner[1]))
    pools.sort(key=lambda pool: -pool.score)
    return pools[:most]


def crop(one: Series, heart: Heart) -> tuple[slice, slice]:
    """The box round the heart on the source grid, within the image."""
    rows, cols = one.signal.shape[1:]
    half_rows = round(BOX_MM / one.pixel_spacing_mm[0])
    half_cols = round(BOX_MM / one.pixel_spacing_mm[1])
    # Between the two ventricles, nearer to the left one, which is measured.
    row = heart.row + 0.2 * (heart.rv_row - heart.row)
    col = heart.col + 0.2 * (heart.rv_col - heart.col)
    return _window(round(row), half_rows, rows), _window(round(col), half_cols, cols)


def _window(centre: int, half: int, size: int) -> slice:
    start = max(0, min(centre - half, size - 2 * half))
    return slice(start, min(size, start + 2 * half))

"""Find the heart on the full field of view: two pools of blood that fill one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from processing.mcaq.series import Series

#: Half the side of the box that is analysed, mm: room for the wall and for the heart's travel.
BOX_MM = 62.0
_SMALLEST_MM2, _LARGEST_MM2 = 120.0, 4500.0
#: Pools are looked for on a coarse grid: less noise, and quick.
_COARSE_MM = 3.0
_SMOOTH_S = 0.7
#: Thresholds, as shares of the strongest passage of contrast.
_SHARES = (0.15, 0.22, 0.3, 0.4, 0.5, 0.6, 0.7)
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
    step = float(np.median(np.diff(times_s))) if len(times_s) > 1 else 1.0
    smooth = ndimage.gaussian_filter(signal, (min(1.0, _SMOOTH_S / max(step, 1e-3)), 0.8, 0.8))
    # The first frames are on the way to the steady state.
    start = min(2, len(smooth) // 8)
    body = smooth[start:]
    rise = body - np.minimum.accumulate(body, axis=0)
    fall = body - np.minimum.accumulate(body[::-1], axis=0)[::-1]
    # The first pass, not the brightest moment: blood whose peak is saturated may get brighter
    # again when contrast comes round.
    passage = np.minimum(rise, 1.5 * fall)
    peak = passage.argmax(axis=0)
    strength = np.take_along_axis(passage, peak[None], axis=0)[0]
    return strength.astype(np.float32), times_s[start:][peak]


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


@dataclass(frozen=True)
class _Blob:
    """A patch of pixels that rise, fall and peak together; sizes in mm² and mm of the coarse grid.

    clean: how much its mean curve is one rise and one fall, 0 to 1.
    """

    row: float
    col: float
    size_mm2: float
    roundness: float
    strength: float
    peak_s: float
    clean: float


def _candidates(
    film: NDArray[np.float32],
    times_s: NDArray[np.float64],
    spacing_mm: tuple[float, float],
    most: int = 6,
) -> list[Pool]:
    """Pairs of pools, the later one as LV, scored by size, roundness, brightness and neighbours."""
    factor = (
        max(1, round(_COARSE_MM / spacing_mm[0])),
        max(1, round(_COARSE_MM / spacing_mm[1])),
    )
    coarse = _coarser(film, factor)
    spacing = (spacing_mm[0] * factor[0], spacing_mm[1] * factor[1])
    blobs = _blobs(coarse, times_s, spacing)
    rows, cols = coarse.shape[1:]
    pools = []
    for blob in blobs:
        off_centre = max(abs(blob.row / rows - 0.5), abs(blob.col / cols - 0.5)) / 0.5
        fit = min(1.0, blob.roundness) ** 2 * blob.strength * blob.clean * (1 - 0.6 * off_centre)
        fit *= np.exp(-0.5 * (np.log(blob.size_mm2 / 900.0) / 0.9) ** 2)
        best, partner = 0.0, None
        for other in blobs:
            distance = np.hypot(
                (other.row - blob.row) * spacing[0], (other.col - blob.col) * spacing[1]
            )
            earlier = blob.peak_s - other.peak_s
            if not 18 <= distance <= 85 or not 0.8 <= earlier <= 18:
                continue
            pair = other.strength * other.clean * min(1.0, 1.6 * blob.strength / other.strength)
            pair *= np.exp(-0.5 * ((distance - 42) / 18) ** 2)
            pair *= np.exp(-0.5 * ((earlier - 6) / 5) ** 2)
            pair *= np.exp(-0.5 * (np.log(other.size_mm2 / 1000.0) / 1.0) ** 2)
            if pair > best:
                best, partner = float(pair), other
        if partner is not None:
            places = (
                (position + 0.5) * size - 0.5
                for position, size in zip(
                    (blob.row, blob.col, partner.row, partner.col), (*factor, *factor), strict=True
                )
            )
            pools.append(Pool(float(fit * best), *places))
    pools.sort(key=lambda pool: -pool.score)
    return pools[:most]


def _coarser(film: NDArray[np.float32], factor: tuple[int, int]) -> NDArray[np.float32]:
    """Means over blocks of pixels; what is left over at the far edges is cut off."""
    rows, cols = film.shape[1] // factor[0], film.shape[2] // factor[1]
    cut = film[:, : rows * factor[0], : cols * factor[1]]
    blocks = cut.reshape(len(film), rows, factor[0], cols, factor[1])
    return np.asarray(blocks.mean(axis=(2, 4)), dtype=np.float32)


def _blobs(
    film: NDArray[np.float32], times_s: NDArray[np.float64], spacing_mm: tuple[float, float]
) -> list[_Blob]:
    """Patches at several thresholds; chambers that touch are parted by the time of their peak."""
    bolus, peak_s = bolus_image(film, times_s)
    area = spacing_mm[0] * spacing_mm[1]
    top = float(np.percentile(bolus, 99.7))
    if top <= 0:
        return []
    strength = bolus / top
    found: dict[bytes, _Blob] = {}
    for share in _SHARES:
        labels, count = ndimage.label(ndimage.binary_opening(strength > share))
        for number in range(1, count + 1):
            whole = labels == number
            for here in (whole, *_parted(whole, peak_s)):
                size = float(here.sum()) * area
                if not _SMALLEST_MM2 <= size <= _LARGEST_MM2:
                    continue
                key = here.tobytes()
                if key not in found:
                    found[key] = _blob(here, film, strength, peak_s, spacing_mm)
    return list(found.values())


def _parted(whole: NDArray[np.bool_], peak_s: NDArray[np.float64]) -> Iterator[NDArray[np.bool_]]:
    """Chambers that touch, told apart by the time of their peak; nothing if it is one chamber."""
    moments = np.sort(peak_s[whole])
    if len(moments) < 8 or moments[int(0.9 * len(moments))] - moments[len(moments) // 10] < 2:
        return
    # The split that leaves the least spread on either side (Otsu 1979).
    count = np.arange(1, len(moments))
    total = np.cumsum(moments)[:-1]
    between = (total / count - (moments.sum() - total) / (len(moments) - count)) ** 2
    at = int((between * count * (len(moments) - count)).argmax())
    middle = 0.5 * (moments[at] + moments[at + 1])
    for part in (whole & (peak_s <= middle), whole & (peak_s > middle)):
        labels, number = ndimage.label(ndimage.binary_opening(part))
        if number:
            yield labels == np.bincount(labels.ravel())[1:].argmax() + 1


def _blob(
    here: NDArray[np.bool_],
    film: NDArray[np.float32],
    strength: NDArray[np.float32],
    peak_s: NDArray[np.float64],
    spacing_mm: tuple[float, float],
) -> _Blob:
    rows, cols = np.nonzero(here)
    row, col = float(rows.mean()), float(cols.mean())
    size = len(rows) * spacing_mm[0] * spacing_mm[1]
    spread = ((rows - row) * spacing_mm[0]) ** 2 + ((cols - col) * spacing_mm[1]) ** 2
    curve = film[:, here].mean(axis=1)
    change = np.abs(np.diff(curve[min(2, len(curve) // 8) :])).sum()
    return _Blob(
        row,
        col,
        size,
        # 1 for a disc: its second moment is area²/2π.
        roundness=size / (2 * np.pi * float(spread.mean()) + 1e-6),
        strength=float(min(1.0, strength[here].mean())),
        peak_s=float(np.median(peak_s[here])),
        clean=float(min(1.0, 2 * np.ptp(curve) / (change + 1e-6))),
    )


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

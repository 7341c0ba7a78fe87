"""Evidence of motion correction and drawing: what a reader may look at instead of believing.

Measured on the corrected film and its displacement field alone, so that it can be asked of any
way of correcting. The cuts stand beside what they were chosen on: 32 films of 8 patients, and the
same films with frames taken from another slice of the same patient, as if the heart had left the
plane; none of the 32 films loses more than one frame.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, ndimage

from processing.mcaq.motion import jacobian, squared_mm
from processing.mcaq.series import (
    LV_BLOOD,
    MYOCARDIUM,
    RV_BLOOD,
    FloatArray,
    LabelArray,
    MotionEvidence,
)

Mask = NDArray[np.bool_]
F64 = NDArray[np.float64]

#: Below this a frame does not look like its neighbours even after correction …
_WORST_MATCH = 0.4
#: … and neither does one that agrees this much less with them than they do with each other.
_WORST_SHARE = 0.6
#: A frame of which the others' components leave so many times more than usual is strange.
_STRANGE, _COMPONENTS, _HEART_MM = 3.1, 4, 25.0
#: Frames on either side that are a frame's neighbours.
_BESIDE = 5
#: Blood is told from muscle where it is brighter by this many standard deviations of noise.
_CLEAR = 8.0
_FEWEST_CLEAR = 5
#: The blood pool is looked for up to this far from where it was drawn.
_ABOUT_MM = 4.0
#: A blood pool this much larger or smaller than in the frames beside has changed.
_SIZE_CHANGE = 1.3


def unlike_neighbours(matched: FloatArray, dynamic: Mask) -> Mask:
    """Frames (T,) that do not look like those beside them, by edges (``Motion.matched``, (T,)).

    A film may agree with itself little throughout, for noise; so a frame is judged against its
    neighbours' agreement too. Frames that are not ``dynamic`` are never named.
    """
    matched = np.asarray(matched, dtype=np.float64)
    unlike = dynamic & (matched < _WORST_MATCH)
    for t in np.flatnonzero(dynamic):
        near = _beside(dynamic, int(t))
        if len(near):
            unlike[t] |= matched[t] < _WORST_SHARE * float(np.median(matched[near]))
    return unlike


def strange(
    corrected: FloatArray,
    dynamic: Mask,
    middle: tuple[float, float],
    spacing_mm: tuple[float, float],
) -> Mask:
    """Frames (T,) of a corrected film (T, r, c) that the course of the others cannot compose.

    Contrast comes and goes in a few patterns; a ghost, a burst of noise or a slice through
    another part of the heart is none of them. Each frame is told by the principal components of
    all others; what is left of it, against what is usually left, says how strange it is. On
    phantoms: good frames up to 2.1, in free breathing, with a gasp or noise; ghosts, bursts of
    noise and lost signal from 3.2; deep breaths up to 3.3. On the patients' films: up to 2.9.
    """
    numbers = np.flatnonzero(dynamic)
    named = np.zeros(len(dynamic), dtype=np.bool_)
    if len(numbers) < 2 * _COMPONENTS + 2:
        return named
    away_mm2 = squared_mm(corrected.shape[1:], middle, spacing_mm)
    weight = np.exp(-away_mm2 / (4 * _HEART_MM**2)).ravel()
    film = np.sqrt(np.maximum(corrected[numbers], 0)).reshape(len(numbers), -1) * weight
    alike = (film @ film.T).astype(np.float64)
    left = np.array([_left_over(alike, n) for n in range(len(numbers))])
    named[numbers] = left > _STRANGE**2 * max(float(np.median(left)), 1e-12)
    return named


def _left_over(alike: F64, n: int) -> float:
    """What of frame ``n`` the components of the others do not tell; alike: their products."""
    others = np.delete(np.arange(len(alike)), n)
    gram, with_it = alike[np.ix_(others, others)], alike[others, n]
    rows = gram.mean(axis=1)
    centred = gram - rows[:, None] - rows[None] + rows.mean()
    offset = with_it - with_it.mean() - rows + rows.mean()
    energy = alike[n, n] - 2 * with_it.mean() + rows.mean()
    largest = (len(others) - _COMPONENTS, len(others) - 1)
    values, vectors = linalg.eigh(centred, subset_by_index=largest)
    told = ((vectors.T @ offset) ** 2 / np.maximum(values, 1e-12 * values[-1] + 1e-30)).sum()
    return float(max(energy - told, 0.0))


def _beside(among: Mask, t: int) -> NDArray[np.intp]:
    """The frames of ``among`` (T,) that lie next to frame ``t``, without it."""
    numbers = np.flatnonzero(among)
    near = (np.abs(numbers - t) <= _BESIDE) & (numbers != t)
    return np.asarray(numbers[near])


def gather(
    *,
    corrected: FloatArray,
    displacement: FloatArray,
    labels: LabelArray,
    spacing_mm: tuple[float, float],
    dynamic: Mask,
    used: Mask,
    roughness: tuple[float, float],
    tried: Sequence[str],
    stages: Sequence[str],
) -> MotionEvidence:
    """The evidence of one series.

    corrected: (T, r, c). displacement: (T, 2, r, c) pixels. labels: (r, c), as drawn. dynamic,
    used: (T,). tried, stages: the names of what was tried and of what was used.
    """
    heart = (labels == MYOCARDIUM) | (labels == LV_BLOOD)
    overlap, size = blood_pools(corrected, labels, spacing_mm, used)
    names = [*tried, *(name for name in stages if name not in tried)]
    return MotionEvidence(
        displacement_mm=displacement_of(displacement, heart, spacing_mm),
        folds=folds(displacement[dynamic], heart),
        roughness=(float(roughness[0]), float(roughness[1])),
        overlap=overlap,
        stages=tuple((name, name in stages) for name in names),
        departing=size_changes(size, dynamic),
    )


def displacement_of(field: FloatArray, heart: Mask, spacing_mm: tuple[float, float]) -> F64:
    """Mean displacement (T, 2) in mm, row then column, of a field (T, 2, r, c) over ``heart``."""
    where = heart if heart.any() else np.ones_like(heart)
    mean = field[:, :, where].astype(np.float64).mean(axis=2)
    return np.asarray(mean * np.asarray(spacing_mm), dtype=np.float64)


def folds(field: FloatArray, heart: Mask) -> int:
    """Pixels of ``heart`` (r, c), over all frames of ``field`` (T, 2, r, c), where it folds.

    A map folds where the determinant of its derivative is not above zero: two places of the
    corrected picture then show the same tissue, which no heart can do.
    """
    return int((jacobian(field.astype(np.float32))[:, heart] <= 0).sum())


def blood_pools(
    corrected: FloatArray, labels: LabelArray, spacing_mm: tuple[float, float], used: Mask
) -> tuple[F64, F64]:
    """The left ventricle's blood, sought in each frame anew: its overlap and its size, (T,) each.

    In a frame of its own, blood is what is brighter than halfway between muscle and blood, near
    where it was drawn, in one piece. Overlap is its Dice index with where most used frames have
    it; size is in pixels. Both are NaN where blood is not clearly brighter than muscle, before
    contrast arrives and long after, and where less than half of the drawn pool is blood. A single
    frame says little: noise and papillary muscles change the pool of a still heart by some pixels.
    """
    count = len(corrected)
    unknown = np.full(count, np.nan)
    blood, muscle = labels == LV_BLOOD, labels == MYOCARDIUM
    if not blood.any() or not muscle.any() or used.sum() < 3:
        return unknown, unknown.copy()
    inner = ndimage.binary_erosion(blood)
    core = inner if inner.any() else blood
    reach = max(1, round(_ABOUT_MM / float(np.mean(spacing_mm))))
    about = ndimage.binary_dilation(blood, iterations=reach) & (blood | muscle)
    film = ndimage.gaussian_filter(np.asarray(corrected, dtype=np.float32), (0, 0.7, 0.7))
    bright, dark = np.median(film[:, core], axis=1), np.median(film[:, muscle], axis=1)
    # The second difference of noise has √6 times its standard deviation.
    bends = np.abs(np.diff(film[used], n=2, axis=0)[:, blood | muscle])
    noise = 1.4826 * float(np.median(bends)) / np.sqrt(6)
    clear = bright - dark > max(_CLEAR * noise, 1e-6)
    if (clear & used).sum() < _FEWEST_CLEAR:
        return unknown, unknown.copy()
    pools = (film > ((bright + dark) / 2)[:, None, None]) & about
    pools = np.stack([_one_piece(pool, core) for pool in pools])
    usual = pools[clear & used].mean(axis=0) >= 0.5
    size = pools.sum(axis=(1, 2)).astype(np.float64)
    overlap = 2.0 * (pools & usual).sum(axis=(1, 2)) / np.maximum(size + usual.sum(), 1)
    return np.where(clear, overlap, np.nan), np.where(clear, size, np.nan)


def _one_piece(pool: Mask, core: Mask) -> Mask:
    """The connected part of ``pool`` that holds most of ``core``."""
    parts, number = ndimage.label(pool)
    if number < 2:
        return pool
    held = np.bincount(parts[core], minlength=number + 1)
    held[0] = 0
    return np.asarray(parts == held.argmax())


def blood_in_wall(corrected: FloatArray, labels: LabelArray, used: Mask) -> float | None:
    """Share of the drawn muscle that is as bright as blood while contrast passes, 0 to 1.

    Pixels beside drawn blood are left out: they share their signal with it. The cut is halfway
    between the median of muscle and that of blood, on the mean of the frames in which they differ
    by at least half as much as they ever do. ``None`` where there is nothing to compare.
    """
    blood, muscle = labels == LV_BLOOD, labels == MYOCARDIUM
    if not blood.any() or not muscle.any() or not used.any():
        return None
    inner = ndimage.binary_erosion(blood)
    core = inner if inner.any() else blood
    film = np.asarray(corrected, dtype=np.float32)
    ahead = np.median(film[:, core], axis=1) - np.median(film[:, muscle], axis=1)
    most = float(ahead[used].max())
    away = muscle & ~ndimage.binary_dilation(blood | (labels == RV_BLOOD))
    if most <= 0 or not away.any():
        return None
    mean = ndimage.gaussian_filter(film[used & (ahead >= 0.5 * most)].mean(axis=0), 0.5)
    cut = 0.5 * (float(np.median(mean[core])) + float(np.median(mean[muscle])))
    return float((mean[away] > cut).mean())


def size_changes(size: FloatArray, dynamic: Mask) -> Mask:
    """Frames (T,) whose blood pool has a size (T,) that departs from those beside.

    The slice may have left its plane there, or the beat may have been caught at another time.
    """
    told = dynamic & np.isfinite(size)
    changed = np.zeros(len(size), dtype=bool)
    for t in np.flatnonzero(told):
        near = _beside(told, int(t))
        if len(near) >= _BESIDE - 1:
            ratio = max(float(size[t]), 1.0) / max(float(np.median(size[near])), 1.0)
            changed[t] = not 1 / _SIZE_CHANGE <= ratio <= _SIZE_CHANGE
    return changed

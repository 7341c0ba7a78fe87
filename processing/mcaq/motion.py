"""Hold the heart still: a graph of all pairs of frames, then a smooth non-rigid refinement.

A displacement d is in pixels, (row, column): corrected(x) = original(x + d(x)). The rigid part
has no reference frame: every frame is compared with every other by the direction-free strength
of its edges, which a change of contrast cannot fool, and one shift a frame is solved for that
agrees with all pairs, wild ones outvoted. The non-rigid part moves each frame towards what the
others say it should look like at its own time (robust PCA and PCA references), on a grid of
splines, all frames at once. A stage that does not improve the film is not used.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.interpolate import BSpline

from processing.mcaq.rpca import pca_references, robust_pca

F32 = NDArray[np.float32]
C64 = NDArray[np.complex64]

#: The farthest a frame's heart may lie from another's, mm.
_FARTHEST_MM = 40.0
#: What is tried, in this order.
_STAGES = ("translation", "non-rigid")
#: The heart's window in the graph is narrower than elsewhere (standard deviation, mm).
_GRAPH_WINDOW_MM = 25.0
_GRID_MM = 36.0
_REFINE_ROUNDS = 3
#: How much of the refinement's shift of the whole heart is taken back: a reference made from the
#: film itself takes part of a slow drift for contrast, the graph of all pairs does not.
_GRAPH_WINS, _HEART_MM = 0.6, 18.0


@dataclass(frozen=True)
class Motion:
    """What motion correction found for one film on its crop.

    corrected: (T, r, c). displacement: (T, 2, r, c) pixels. matched: (T,), how well each frame
    agrees with its neighbours in time after correction, 1 being perfectly. tried, stages: the
    names of what was tried, in that order, and of what was used. roughness: of the film before and
    after, lower is smoother.
    """

    corrected: F32
    displacement: F32
    matched: NDArray[np.float64]
    tried: tuple[str, ...]
    stages: tuple[str, ...]
    roughness: tuple[float, float]


def correct(
    film: F32,
    window: tuple[slice, slice],
    centre: tuple[float, float],
    spacing_mm: tuple[float, float],
    references: NDArray[np.bool_],
) -> Motion:
    """Correct ``film`` (T, rows, cols; the whole field of view) inside ``window``.

    centre: of the heart, on the full grid. references: (T,) frames that may serve as references
    (dynamic ones); the others are moved too, as their neighbours say.
    """
    rooted = np.sqrt(np.maximum(film, 0)).astype(np.float32)
    middle = (centre[0] - window[0].start, centre[1] - window[1].start)
    shape = (window[0].stop - window[0].start, window[1].stop - window[1].start)
    weight = heart_weight(shape, middle, spacing_mm)
    before = roughness(crop(rooted, window), weight, references)

    narrow = heart_weight(shape, middle, spacing_mm, _GRAPH_WINDOW_MM)
    shifts = _graph_shifts(rooted, window, narrow, spacing_mm, references)
    field = constant(shifts, shape)
    stages: list[str] = []
    moved = warp(rooted, field, window)
    now = roughness(moved, weight, references)
    if now < before:
        stages.append("translation")
    else:
        field = np.zeros_like(field)
        now = before
    refined = _refine(rooted, field, window, weight, spacing_mm, references)
    heart = heart_weight(shape, middle, spacing_mm, _HEART_MM)
    taken = ((refined - field) * (heart / heart.sum())).sum(axis=(2, 3), keepdims=True)
    refined -= np.float32(_GRAPH_WINS) * taken
    after = roughness(warp(rooted, refined, window), weight, references)
    if after < 0.995 * now:
        field, now = refined, after
        stages.append("non-rigid")
    field = recentre(field, references)
    corrected = warp(film, field, window)
    matched = agreement(corrected, weight, references)
    return Motion(corrected, field, matched, _STAGES, tuple(stages), (before, now))


def warp(film: F32, field: F32, window: tuple[slice, slice]) -> F32:
    """Sample each frame of ``film`` (T, rows, cols) at x + d(x) for x in ``window``, linearly."""
    rows, cols = np.mgrid[window[0], window[1]].astype(np.float32)
    out = np.empty((len(film), *rows.shape), dtype=np.float32)
    for t, frame in enumerate(film):
        ndimage.map_coordinates(
            frame, (rows + field[t, 0], cols + field[t, 1]), out[t], order=1, mode="nearest"
        )
    return out


def whole(film: NDArray[np.floating]) -> tuple[slice, slice]:
    """The window that is all of a film's (T, rows, cols) picture."""
    return slice(0, film.shape[1]), slice(0, film.shape[2])


def constant(shifts: NDArray[np.floating], shape: tuple[int, ...]) -> F32:
    """The field (T, 2, *shape) of frames that are shifted as wholes by (T, 2) pixels."""
    field = np.broadcast_to(shifts[:, :, None, None], (*shifts.shape, *shape))
    return np.ascontiguousarray(field, dtype=np.float32)


def crop(film: F32, window: tuple[slice, slice]) -> F32:
    return np.ascontiguousarray(film[:, window[0], window[1]])


def heart_weight(
    shape: tuple[int, int],
    middle: tuple[float, float],
    spacing_mm: tuple[float, float],
    width_mm: float = 30.0,
) -> F32:
    """A Gaussian window on the heart, so that chest wall and diaphragm have no say.

    width_mm: its standard deviation.
    """
    away_mm2 = squared_mm(shape, middle, spacing_mm)
    return np.asarray(np.exp(-away_mm2 / (2 * width_mm**2)), dtype=np.float32)


def squared_mm(
    shape: tuple[int, ...], middle: tuple[float, float], spacing_mm: tuple[float, float]
) -> NDArray[np.float64]:
    """Square of each pixel's distance from ``middle``, mm²."""
    rows, cols = np.mgrid[: shape[0], : shape[1]]
    row_mm, col_mm = (rows - middle[0]) * spacing_mm[0], (cols - middle[1]) * spacing_mm[1]
    return np.asarray(row_mm**2 + col_mm**2)


def roughness(film: F32, weight: F32, references: NDArray[np.bool_]) -> float:
    """What the second difference in time leaves of the film, relative to its contrast.

    Contrast comes and goes smoothly; motion does not.
    """
    body = film[references]
    second = body[2:] - 2 * body[1:-1] + body[:-2]
    contrast = float((weight * body.std(axis=0) ** 2).sum()) + 1e-12
    return float((weight * np.abs(second) ** 2).mean(axis=0).sum() / contrast)


# --- the graph of all pairs ---------------------------------------------------------------------
def _graph_shifts(
    rooted: F32,
    window: tuple[slice, slice],
    weight: F32,
    spacing_mm: tuple[float, float],
    references: NDArray[np.bool_],
) -> F32:
    """One shift (row, column) a frame, (T, 2), at half resolution and then at full."""
    total = np.zeros((len(rooted), 2), dtype=np.float32)
    for factor, reach in ((2, _FARTHEST_MM), (1, 6.0)):
        # At first nothing is moved: the film itself, without sampling it.
        still = not total.any()
        frames = (
            crop(rooted, window) if still else warp(rooted, constant(total, weight.shape), window)
        )
        features = edges(frames, factor)
        small = weight[::factor, ::factor][: features.shape[1], : features.shape[2]]
        most = round(reach / (factor * max(spacing_mm)))
        shift, score = _pair_shifts(features, small, most)
        found = _solve_graph(shift, score) * factor
        total += found.astype(np.float32)
        total -= np.median(total[references], axis=0)
    return total


def edges(frames: F32, factor: int) -> F32:
    """Strength of edges, saturating: |∇I| / √(|∇I|² + P50²); blind to the sign of contrast."""
    smooth = ndimage.gaussian_filter(frames, (0, 0.7, 0.7))
    if factor > 1:
        rows = smooth.shape[1] // factor * factor
        cols = smooth.shape[2] // factor * factor
        smooth = smooth[:, :rows, :cols]
        smooth = smooth.reshape(len(smooth), rows // factor, factor, cols // factor, factor).mean(
            axis=(2, 4)
        )
    slope = np.gradient(smooth, axis=1) ** 2 + np.gradient(smooth, axis=2) ** 2
    usual = np.percentile(slope, 50, axis=(1, 2), keepdims=True) + 1e-9
    return np.asarray(np.sqrt(slope / (slope + usual)), dtype=np.float32)


def _pair_shifts(
    features: F32, weight: F32, most: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """For each ordered pair (i, j) the shift of j against i, (T, T, 2), and its correlation.

    Normalised cross-correlation of frame i under the heart window with frame j, by FFT.
    """
    count, rows, cols = features.shape
    size = (_good_size(rows + most), _good_size(cols + most))
    w = weight / weight.sum()
    mean = (features * w).sum(axis=(1, 2), keepdims=True)
    windowed = (features - mean) * w
    energy = ((features - mean) ** 2 * w).sum(axis=(1, 2))
    window_f = np.conj(np.fft.rfft2(w, size))
    template = np.conj(np.fft.rfft2(windowed, size))
    target, squares = _columns_first(features, size), _columns_first(features**2, size)
    reach = np.r_[0 : most + 1, -most:0]
    back = _back_by_row(size[0], reach), _back_by_column(size[1], reach)
    local_mean, local_square = (
        _correlated(window_f, target, back),
        _correlated(window_f, squares, back),
    )
    spread = np.sqrt(np.maximum(local_square - local_mean**2, 1e-9))
    shift = np.zeros((count, count, 2))
    score = np.zeros((count, count))
    for i in range(count):
        correlation = _correlated(template[i], target, back) / (spread * np.sqrt(energy[i] + 1e-12))
        best = correlation.reshape(count, -1).argmax(axis=1)
        at_row, at_col = np.unravel_index(best, correlation.shape[1:])
        score[i] = correlation[np.arange(count), at_row, at_col]
        shift[i, :, 0] = reach[at_row] + _parabola(correlation, at_row, at_col, axis=0)
        shift[i, :, 1] = reach[at_col] + _parabola(correlation, at_row, at_col, axis=1)
    return shift, np.clip(score, 0, 1)


def _columns_first(film: F32, size: tuple[int, int]) -> C64:
    """Transforms of frames (T, r, c) on a grid of ``size``, as (columns, rows, T)."""
    return np.ascontiguousarray(np.fft.rfft2(film, size).transpose(2, 1, 0))


def _back_by_row(size: int, reach: NDArray[np.intp]) -> C64:
    """(reach, rows) by which a transform is carried back to the shifts in reach.

    These are few, so two small matrices cost less than an inverse FFT that tells all shifts.
    """
    turns = np.outer(reach, np.arange(size)) / size
    return np.asarray(np.exp(2j * np.pi * turns) / size, dtype=np.complex64)


def _back_by_column(size: int, reach: NDArray[np.intp]) -> F32:
    """(2 × columns, reach), for the real parts and for the imaginary ones of half a transform."""
    column = np.arange(size // 2 + 1)
    # Every column but the first and that of half the size stands for its mirror image too.
    twice = np.where((column == 0) | (2 * column == size), 1, 2) / size
    turns = 2 * np.pi * np.outer(column, reach) / size
    both = np.concatenate([np.cos(turns), -np.sin(turns)]) * np.tile(twice, 2)[:, None]
    return np.asarray(both, dtype=np.float32)


def _correlated(template: C64, target: C64, back: tuple[C64, F32]) -> F32:
    """Of one template's transform (rows, columns) with those of frames, (T, reach, reach)."""
    by_row = (back[0][None] * template.T[:, None]) @ target
    by_row = by_row.transpose(2, 1, 0)
    return np.concatenate([by_row.real, by_row.imag], axis=2) @ back[1]


def _good_size(n: int) -> int:
    """The next size that the FFT likes."""
    while True:
        rest = n
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return n
        n += 1


def _parabola(
    correlation: NDArray[np.float64],
    at_row: NDArray[np.intp],
    at_col: NDArray[np.intp],
    *,
    axis: int,
) -> NDArray[np.float64]:
    """Where between pixels the peak lies, by the parabola through it and its neighbours."""
    everyone = np.arange(len(correlation))
    length = correlation.shape[1 + axis]

    def near(step: int) -> NDArray[np.float64]:
        row = (at_row + step) % length if axis == 0 else at_row
        col = at_col if axis == 0 else (at_col + step) % length
        return np.asarray(correlation[everyone, row, col])

    before, here, after = near(-1), near(0), near(1)
    bend = before - 2 * here + after
    with np.errstate(divide="ignore", invalid="ignore"):
        offset = np.where(bend < -1e-9, 0.5 * (before - after) / bend, 0.0)
    return np.asarray(np.clip(offset, -0.5, 0.5))


def _solve_graph(shift: NDArray[np.float64], score: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shifts u (T, 2) with u_j − u_i ≈ shift_ij for all pairs, by reweighted least squares."""
    count = len(score)
    back = shift.transpose(1, 0, 2)
    disagreement = ((shift + back) ** 2).sum(axis=2)
    base = score**8 * score.T**8 / (1 + disagreement)
    np.fill_diagonal(base, 0)
    measured = 0.5 * (shift - back)
    weight = base.copy()
    u = np.zeros((count, 2))
    for scale in np.geomspace(3.0, 0.5, 20):
        laplacian = np.diag(weight.sum(axis=1)) - weight
        laplacian += 1e-9 * np.eye(count) * (weight.sum() / count + 1e-12) + 1e-12 * np.eye(count)
        right = (weight[:, :, None] * measured).sum(axis=0)
        u = np.linalg.solve(laplacian + np.ones((count, count)) / count, right)
        residual = ((u[None] - u[:, None] - measured) ** 2).sum(axis=2)
        weight = base / (1 + residual / scale**2) ** 2
    return u


# --- non-rigid refinement -----------------------------------------------------------------------
def _refine(
    rooted: F32,
    field: F32,
    window: tuple[slice, slice],
    weight: F32,
    spacing_mm: tuple[float, float],
    references: NDArray[np.bool_],
) -> F32:
    """Bend each frame towards its own motion-free reference, on a grid of cubic splines."""
    shape = weight.shape
    basis_rows = _spline_basis(shape[0], _GRID_MM / spacing_mm[0])
    basis_cols = _spline_basis(shape[1], _GRID_MM / spacing_mm[1])
    smooth = ndimage.gaussian_filter(rooted, (0, 0.7, 0.7))
    field = field.copy()
    for number in range(_REFINE_ROUNDS):
        moved = warp(smooth, field, window)
        target = _references(moved, references, first=number == 0)
        step = _gauss_newton(moved, target, weight, basis_rows, basis_cols)
        field += step
        field = without_folds(field)
    return field


def _spline_basis(length: int, spacing: float) -> F32:
    """Cubic B-splines on 0 … length−1, (length, splines), their sum being one."""
    pieces = max(2, round((length - 1) / spacing))
    step = (length - 1) / pieces
    knots = (np.arange(-3, pieces + 4)) * step
    basis = BSpline.design_matrix(np.arange(length) * (1 - 1e-9), knots, 3).toarray()
    return np.asarray(basis, dtype=np.float32)


def _references(moved: F32, references: NDArray[np.bool_], *, first: bool) -> F32:
    """What each frame should look like: PCA of the film, at first of its low-rank part.

    Robust PCA needs frames that are roughly aligned; of a raw film it keeps the motion.
    """
    flat = moved.reshape(len(moved), -1)
    body = flat[references]
    if first:
        low_rank, _ = robust_pca(
            body.T.astype(np.float64), weight=2 / np.sqrt(body.shape[1]), tolerance=1e-3
        )
        body = low_rank.T.astype(np.float32)
    told = pca_references(body, components=min(5, len(body) - 1))
    target = flat.copy()
    target[references] = told
    # Frames that are no references are asked to look like their nearest reference in structure.
    return target.reshape(moved.shape)


def _gauss_newton(moved: F32, target: F32, weight: F32, basis_rows: F32, basis_cols: F32) -> F32:
    """One damped step for all frames: the smooth field that best explains target − moved."""
    thin = 2 if min(moved.shape[1:]) >= 48 else 1
    slopes = [np.gradient(target, axis=axis)[:, ::thin, ::thin] for axis in (1, 2)]
    residual = (target - moved)[:, ::thin, ::thin]
    rows, cols = basis_rows[::thin], basis_cols[::thin]
    scale = 1.5 * np.median(np.abs(residual), axis=(1, 2), keepdims=True) + 1e-6
    robust = weight[::thin, ::thin] / (1 + (residual / scale) ** 2)
    count, splines = len(moved), rows.shape[1] * cols.shape[1]
    normal = np.empty((count, 2, splines, 2, splines), dtype=np.float32)
    right = np.empty((count, 2, splines), dtype=np.float32)
    for one in (0, 1):
        weighted = robust * slopes[one]
        right[:, one] = (rows.T @ (weighted * residual) @ cols).reshape(count, splines)
        for other in range(one, 2):
            products = _of_pairs(weighted * slopes[other], rows, cols)
            normal[:, one, :, other] = normal[:, other, :, one] = products
    normal = normal.reshape(count, 2 * splines, 2 * splines)
    usual = np.trace(normal, axis1=1, axis2=2)[:, None, None] / (2 * splines) + np.float32(1e-9)
    stiff = np.kron(np.eye(2, dtype=np.float32), _bending(rows.shape[1], cols.shape[1]))
    normal += (0.35 * stiff + 0.02 * np.eye(2 * splines, dtype=np.float32)) * usual
    solution = np.linalg.solve(normal, right.reshape(count, -1, 1))
    solution = solution.reshape(count, 2, rows.shape[1], cols.shape[1])
    return np.asarray(np.clip(basis_rows @ solution @ basis_cols.T, -4, 4), dtype=np.float32)


def _of_pairs(film: F32, rows: F32, cols: F32) -> F32:
    """Products of any two splines of the grid, weighted by each frame (T, r, c) and summed over
    its pixels: (T, splines, splines). First along the rows, then along the columns.
    """
    down = (rows[:, :, None] * rows[:, None]).reshape(len(rows), -1)
    across = (cols[:, :, None] * cols[:, None]).reshape(len(cols), -1)
    summed = down.T @ film @ across
    high, wide = rows.shape[1], cols.shape[1]
    pairs = summed.reshape(-1, high, high, wide, wide).transpose(0, 1, 3, 2, 4)
    return np.asarray(pairs.reshape(-1, high * wide, high * wide))


def _bending(rows: int, cols: int) -> F32:
    """Penalty on differences between neighbouring coefficients of the grid."""

    def along(n: int) -> NDArray[np.float64]:
        first = np.diff(np.eye(n), axis=0)
        return first.T @ first

    penalty = np.kron(along(rows), np.eye(cols)) + np.kron(np.eye(rows), along(cols))
    return np.asarray(penalty, dtype=np.float32)


def without_folds(field: F32, least: float = 0.3) -> F32:
    """Flatten the bending part of frames whose map would nearly fold."""
    mean = field.mean(axis=(2, 3), keepdims=True)
    near = np.arange(len(field))
    for _ in range(6):
        near = near[jacobian(field[near]).min(axis=(1, 2)) < least]
        if not len(near):
            break
        field[near] = mean[near] + 0.7 * (field[near] - mean[near])
    return field


def jacobian(field: F32) -> F32:
    """Determinant (…, r, c) of x ↦ x + d(x) for fields (…, 2, r, c); below zero the map folds."""
    row_row, row_col = np.gradient(field[..., 0, :, :], axis=(-2, -1))
    col_row, col_col = np.gradient(field[..., 1, :, :], axis=(-2, -1))
    return np.asarray((1 + row_row) * (1 + col_col) - row_col * col_row, dtype=np.float32)


def recentre(field: F32, references: NDArray[np.bool_]) -> F32:
    """Let the usual place be the rest place: no shift common to all frames."""
    middle = np.median(field[references].mean(axis=(2, 3)), axis=0)
    return np.asarray(field - middle[None, :, None, None], dtype=np.float32)


def agreement(corrected: F32, weight: F32, references: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Correlation of each frame's edges with those of its neighbours in time, 0 to 1."""
    features = edges(np.sqrt(np.maximum(corrected, 0)).astype(np.float32), 1)
    w = weight / weight.sum()
    centred = features - (features * w).sum(axis=(1, 2), keepdims=True)
    flat = (centred * np.sqrt(w)).reshape(len(features), -1)
    flat /= np.linalg.norm(flat, axis=1, keepdims=True) + 1e-9
    alike = flat @ flat.T
    matched = np.ones(len(features))
    numbers = np.flatnonzero(references)
    for t in range(len(features)):
        near = numbers[(np.abs(numbers - t) <= 4) & (numbers != t)]
        if len(near):
            matched[t] = np.sort(alike[t, near])[len(near) // 2 :].mean()
    return matched

"""Robust PCA: a film as low rank (contrast, slowly changing) plus sparse (motion, outliers)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def robust_pca(
    matrix: Array, *, weight: float | None = None, tolerance: float = 1e-4, most_rounds: int = 100
) -> tuple[Array, Array]:
    """Split ``matrix`` (pixels, frames) into low rank and sparse by inexact ALM.

    weight: of the sparse part, 1/√pixels when ``None`` (Candès 2011).
    Returns (low_rank, sparse), whose sum is ``matrix`` within ``tolerance`` (relative, Frobenius).

    Singular values are thresholded through the frames × frames Gram matrix: with some sixty
    frames that is one small symmetric eigenproblem instead of an SVD of the whole film.
    Source: Lin, Chen, Ma 2010 (inexact augmented Lagrange multipliers).
    """
    pixels = matrix.shape[0]
    weight = 1 / np.sqrt(pixels) if weight is None else weight
    norm_two = float(np.sqrt(np.linalg.eigvalsh(matrix.T @ matrix)[-1]))
    if norm_two == 0:
        return matrix.copy(), np.zeros_like(matrix)
    scale = max(norm_two, float(np.abs(matrix).max()) / weight)
    multiplier = matrix / scale
    mu, growth = 1.25 / norm_two, 1.5
    sparse = np.zeros_like(matrix)
    total = np.linalg.norm(matrix)
    for _ in range(most_rounds):
        told = matrix + multiplier / mu
        low_rank = _threshold_singular_values(told - sparse, 1 / mu)
        told -= low_rank
        # What lies within the threshold is rest, what lies beyond it sparse.
        rest = np.clip(told, -weight / mu, weight / mu)
        sparse = told - rest
        gap = rest - multiplier / mu
        multiplier = mu * rest
        mu *= growth
        if np.linalg.norm(gap) < tolerance * total:
            break
    return low_rank, sparse


def _threshold_singular_values(matrix: Array, threshold: float) -> Array:
    """Shrink the singular values of (pixels, frames) by ``threshold``."""
    values, vectors = np.linalg.eigh(matrix.T @ matrix)
    singular = np.sqrt(np.maximum(values, 0))
    kept = singular > threshold
    if not kept.any():
        return np.zeros_like(matrix)
    basis = vectors[:, kept]
    shrink = 1 - threshold / singular[kept]
    result: Array = (matrix @ basis) * shrink @ basis.T
    return result


def pca_references(film: NDArray[np.float32], components: int) -> NDArray[np.float32]:
    """Each frame of ``film`` (T, pixels) as its mean and first ``components`` of PCA tell it."""
    mean = film.mean(axis=0, keepdims=True)
    centred = film - mean
    _, vectors = np.linalg.eigh((centred @ centred.T).astype(np.float64))
    basis = vectors[:, -components:].astype(np.float32)
    return np.asarray(basis @ (basis.T @ centred) + mean, dtype=np.float32)

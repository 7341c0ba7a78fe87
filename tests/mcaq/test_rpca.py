"""Robust PCA: what is recovered exactly in theory, and the same algorithm by a full SVD."""

from __future__ import annotations

import numpy as np
import pytest

from processing.mcaq.rpca import pca_references, robust_pca


def _made(pixels: int, frames: int, rank: int, share: float, seed: int):
    """Low rank plus sparse as in Candès 2011, section 4.1: Gaussian factors, random signs."""
    rng = np.random.default_rng(seed)
    low_rank = (
        rng.standard_normal((pixels, rank)) @ rng.standard_normal((rank, frames)) / np.sqrt(pixels)
    )
    sparse = np.zeros(pixels * frames)
    where = rng.choice(sparse.size, round(share * sparse.size), replace=False)
    sparse[where] = rng.choice([-1.0, 1.0], where.size)
    return low_rank, sparse.reshape(pixels, frames)


def _by_full_svd(matrix, tolerance):
    """Inexact ALM (Lin, Chen, Ma 2010, algorithm 5) with the SVD that the engine does without."""
    weight = 1 / np.sqrt(max(matrix.shape))
    two = np.linalg.norm(matrix, 2)
    multiplier = matrix / max(two, np.abs(matrix).max() / weight)
    mu, sparse = 1.25 / two, np.zeros_like(matrix)
    for _ in range(500):
        u, values, v = np.linalg.svd(matrix - sparse + multiplier / mu, full_matrices=False)
        low_rank = (u * np.maximum(values - 1 / mu, 0)) @ v
        rest = matrix - low_rank + multiplier / mu
        sparse = np.sign(rest) * np.maximum(np.abs(rest) - weight / mu, 0)
        gap = matrix - low_rank - sparse
        multiplier = multiplier + mu * gap
        mu *= 1.5
        if np.linalg.norm(gap) < tolerance * np.linalg.norm(matrix):
            break
    return low_rank, sparse


@pytest.mark.parametrize(("rank", "share"), [(1, 0.05), (2, 0.05), (3, 0.05)])
def test_low_rank_and_sparse_are_recovered(rank, share):
    low_rank, sparse = _made(1600, 60, rank, share, seed=rank)
    found, outliers = robust_pca(low_rank + sparse, tolerance=1e-7)
    # Rank and share of his first table (5 % of each): exact in theory, 1e-5 or less in his trial.
    assert np.linalg.norm(found - low_rank) < 1e-4 * np.linalg.norm(low_rank)
    assert np.linalg.matrix_rank(found, tol=1e-4 * np.linalg.norm(found, 2)) == rank
    np.testing.assert_array_equal(np.abs(outliers) > 0.5, sparse != 0)


def test_agrees_with_the_full_svd():
    low_rank, sparse = _made(900, 40, 4, 0.1, seed=7)
    noise = 0.01 * np.random.default_rng(8).standard_normal(low_rank.shape)
    matrix = low_rank + sparse + noise
    for mine, theirs in zip(
        robust_pca(matrix, tolerance=1e-7), _by_full_svd(matrix, 1e-7), strict=True
    ):
        # The Gram matrix squares the condition: half of double precision's sixteen digits are left.
        np.testing.assert_allclose(mine, theirs, atol=1e-5 * np.linalg.norm(matrix, 2))


@pytest.mark.parametrize("tolerance", [1e-3, 1e-6])
def test_the_parts_sum_to_the_film(tolerance):
    film = np.random.default_rng(3).gamma(2.0, size=(500, 30))
    low_rank, sparse = robust_pca(film, tolerance=tolerance)
    assert np.linalg.norm(film - low_rank - sparse) < tolerance * np.linalg.norm(film)


def test_a_constant_film_is_low_rank_alone():
    film = np.full((400, 20), 7.0)
    low_rank, sparse = robust_pca(film, tolerance=1e-7)
    np.testing.assert_allclose(low_rank, film, rtol=1e-5)
    np.testing.assert_allclose(sparse, 0, atol=1e-4)


def test_an_empty_film_stays_empty():
    low_rank, sparse = robust_pca(np.zeros((400, 20)))
    assert not low_rank.any()
    assert not sparse.any()


def test_the_film_itself_is_left_alone():
    film = np.random.default_rng(4).random((200, 15))
    before = film.copy()
    robust_pca(film)
    np.testing.assert_array_equal(film, before)


def test_references_keep_what_components_can_tell():
    rng = np.random.default_rng(5)
    # Two curves in time about a mean picture: two components tell all of it.
    film = 5 + rng.standard_normal((30, 2)) @ rng.standard_normal((2, 700))
    film = film.astype(np.float32)
    np.testing.assert_allclose(pca_references(film, 2), film, atol=1e-4)


def test_references_are_the_best_of_their_rank():
    film = np.random.default_rng(6).standard_normal((25, 400)).astype(np.float32)
    found = pca_references(film, 3)
    mean = film.mean(axis=0)
    # Eckart–Young: no picture of rank 3 about the mean lies nearer than the truncated SVD.
    singular = np.linalg.svd(film - mean, compute_uv=False)
    assert np.linalg.norm(film - found) == pytest.approx(np.sqrt((singular[3:] ** 2).sum()), 1e-4)
    # The mean over time is kept, so that no frame's brightness drifts.
    np.testing.assert_allclose(found.mean(axis=0), mean, atol=1e-4)

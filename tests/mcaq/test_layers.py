"""The wall's inner half against its outer half, on drawn rings, and why the ratio is not told."""

from __future__ import annotations

import numpy as np
import pytest

from processing.mcaq.layers import THICKNESS_PIXELS, endo_epi


def ring(inner=10.0, outer=19.0, side=48):
    """Labels of a round heart, AHA numbers of its halves (7 left, 8 right), and radius."""
    rows, cols = np.mgrid[:side, :side] - (side - 1) / 2
    radius = np.hypot(rows, cols)
    labels = np.where(radius < inner, 2, np.where(radius < outer, 1, 0)).astype(np.uint8)
    aha = np.where(labels == 1, np.where(cols < 0, 7, 8), 0).astype(np.uint8)
    return labels, aha, radius


def test_layers_of_a_ring():
    labels, aha, radius = ring()
    flows = np.where(radius < 14.5, 1.2, 2.0)
    mbf = np.where(labels == 1, flows, np.nan).astype(np.float32)
    found = endo_epi(mbf, aha, labels, (7, 8, 9))
    # The border between the halves is a pixel wide on the grid.
    assert found[7].ratio == pytest.approx(0.6, rel=0.07)
    assert found[8].ratio == pytest.approx(0.6, rel=0.07)
    assert found[9].ratio is None
    assert "holds no heart muscle" in found[9].reason


def test_blood_at_the_borders_has_no_say():
    labels, aha, radius = ring()
    mbf = np.where(labels == 1, 2.0, np.nan).astype(np.float32)
    mbf[(labels == 1) & ((radius < 10.9) | (radius > 18.1))] = 8.0
    assert endo_epi(mbf, aha, labels, (7,))[7].ratio == pytest.approx(1.0, abs=1e-6)


def test_a_thin_wall_has_no_layers():
    labels, aha, _ = ring(inner=14.0, outer=18.0)
    mbf = np.where(labels == 1, 2.0, np.nan).astype(np.float32)
    found = endo_epi(mbf, aha, labels, (7,))[7]
    assert found.ratio is None
    assert f"{THICKNESS_PIXELS:.0f} or more are needed" in found.reason


def test_a_wall_that_is_open_has_no_layers():
    labels, aha, _ = ring()
    labels[:, 24:] = 0
    mbf = np.where(labels == 1, 2.0, np.nan).astype(np.float32)
    assert endo_epi(mbf, aha, labels, (7,))[7].reason.startswith("The heart muscle does not close")


def test_flow_that_is_not_known_leaves_the_ratio_unknown():
    labels, aha, _ = ring()
    found = endo_epi(np.full(labels.shape, np.nan, np.float32), aha, labels, (7,))[7]
    assert (found.ratio, found.reason) == (None, "The segment holds no heart muscle of known flow.")


def test_an_outer_layer_that_is_no_muscle_is_not_compared_with():
    labels, aha, radius = ring()
    mbf = np.where(labels == 1, np.where(radius < 14.5, 2.0, 0.5), np.nan).astype(np.float32)
    found = endo_epi(mbf, aha, labels, (7,))[7]
    assert found.ratio is None
    assert "takes in other tissue" in found.reason

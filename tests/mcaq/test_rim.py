"""The dark rim on a drawn ring: ringing that goes with the blood, against defects that last."""

from __future__ import annotations

import numpy as np
import pytest

from processing.mcaq import rim
from tests.mcaq.scene import blood_of
from tests.mcaq.test_layers import ring

TIMES = 0.7 * np.arange(50)
AIF = 4.0 * blood_of(TIMES, 8.0, 4.5)
BLOOD = 900 * (1 - np.exp(-0.35 * AIF))
NUMBERS = (7, 8)


def filled(flow):
    """Signal of tissue with that flow, 1/s: one well-mixed space of a fifth of the volume."""
    ages = TIMES - TIMES[0]
    kept = np.exp(-flow / 0.2 * ages)
    return 500 * flow * np.convolve(np.roll(AIF, 1), kept)[: len(TIMES)] * 0.7


def scene(inner_flow=0.02, thick=2.0, ringing=0.0, noise=1.0):
    """Segment 7, on the left, with another flow or ringing at its inner edge; 8 is healthy."""
    labels, aha, radius = ring(inner=10.0, outer=19.0)
    depth = radius - 10.0
    film = np.full((len(TIMES), *labels.shape), 30.0)
    wall = labels == 1
    film[:, wall] += filled(0.02)[:, None]
    film[:, labels == 2] += BLOOD[:, None]
    # Blood shines in everywhere a little, as its small vessels do.
    film[:, wall] += 0.05 * BLOOD[:, None]
    left = wall & (aha == 7)
    edge = left & (depth < thick)
    film[:, edge] += (filled(inner_flow) - filled(0.02))[:, None]
    film[:, left & (depth > 0.7) & (depth < 2.2)] -= ringing * BLOOD[:, None]
    film[:, left & (depth > 2.2) & (depth < 3.5)] += 0.4 * ringing * BLOOD[:, None]
    film += noise * np.random.default_rng(4).standard_normal(film.shape)
    return film.astype(np.float32), labels, aha


def found(**how):
    film, labels, aha = scene(**how)
    used = np.ones(len(TIMES), dtype=bool)
    return rim.find(film, TIMES, AIF, labels, aha, used, NUMBERS)


def test_a_healthy_wall_has_none():
    assert found() == rim.Rim((), ())
    assert rim.finding(found()) is None


@pytest.mark.parametrize("strength", [0.04, 0.08])
def test_ringing_is_seen_as_a_rim(strength):
    told = found(ringing=strength)
    assert told.artefact == (7,)
    flag = rim.finding(told)
    assert (flag.name, flag.severity) == ("dark_rim_possible", "info")
    assert "segment 7 " in flag.sentence
    assert "8" not in flag.sentence


@pytest.mark.parametrize("thick", [2.0, 4.5, 9.0])
def test_a_defect_that_lasts_is_no_rim(thick):
    assert found(inner_flow=0.006, thick=thick).artefact == ()


def test_ringing_over_a_defect_is_not_explained_away():
    assert found(inner_flow=0.006, thick=4.5, ringing=0.06).artefact == ()


def test_a_film_without_contrast_claims_nothing():
    film, labels, aha = scene()
    used = np.ones(len(TIMES), dtype=bool)
    nothing = rim.find(film, TIMES, np.zeros(len(TIMES)), labels, aha, used, NUMBERS)
    assert nothing == rim.Rim((), ())
    late = rim.find(film[12:], TIMES[12:], AIF[12:], labels, aha, used[12:], NUMBERS)
    assert late == rim.Rim((), ())


def test_a_wall_that_is_open_has_no_inner_edge():
    film, labels, aha = scene(ringing=0.06)
    # The muscle below is not drawn, so depth under the inner edge means nothing.
    lost = (labels == 1) & (np.indices(labels.shape)[0] > 30)
    labels[lost], aha[lost] = 0, 0
    used = np.ones(len(TIMES), dtype=bool)
    assert found(ringing=0.06).dark == (7,)
    assert rim.find(film, TIMES, AIF, labels, aha, used, NUMBERS) == rim.Rim((), ())

"""The pace of a film's frames: the usual interval, gaps, and what is missing in them."""

from __future__ import annotations

import itertools

import pytest

from studies.pace import Pace, pace


def test_a_steady_film_has_no_gaps():
    found = pace([0.8 * n for n in range(20)])
    assert (found.gaps, found.missed) == (0, 0)
    assert found.median_interval_s == pytest.approx(0.8)


def test_missed_beats_are_counted_by_the_usual_interval():
    """A heart at 0.8 to 0.95 s a beat; once one beat is missed, once three."""
    steps = [0.8, 0.9, 0.95, 1.75, 0.85, 0.9, 3.6, 0.9]
    found = pace([0.0, *itertools.accumulate(steps)])
    assert (found.gaps, found.missed) == (2, 1 + 3)
    assert found.median_interval_s == pytest.approx(0.9)
    assert found.longest_interval_s == pytest.approx(3.6)


def test_a_slow_beat_is_no_gap():
    assert pace([0.0, 0.8, 1.6, 2.75, 3.55]).gaps == 0


@pytest.mark.parametrize("times", [[], [0.0], [0.0, 0.0, 0.0]])
def test_no_film_has_no_pace(times):
    assert pace(times) is None


def test_two_frames_have_their_one_interval():
    assert pace([0.0, 1.5]) == Pace(1.5, 1.5, 0, 0)

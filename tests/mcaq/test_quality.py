"""Findings about quality: what must be said, and that nothing is said of a good film."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from processing.mcaq import pipeline, quality
from processing.mcaq.series import GivenInputFunction
from tests.mcaq.flow_scene import known
from tests.mcaq.scene import Scene

FLOWS = (0.9, 0.6, 1.1, 0.75, 0.5, 1.0)


def of_time(times):
    scene = Scene(rows=8, cols=8, frames=len(times))
    film = np.zeros((len(times), 8, 8), dtype=np.float32)
    return quality.of_time(scene.series(film, times_s=np.asarray(times, dtype=float)))


def found_in(one):
    (found,) = pipeline.analyse([one], {}, lambda *_: None).series
    return {flag.name: flag for flag in found.quality}


@pytest.mark.parametrize("step", [0.5, 0.66, 1.0, 2.0])
def test_an_even_pace_is_nothing_to_speak_of(step):
    assert of_time(step * np.arange(40)) == []


def test_one_missed_beat_is_a_usual_thing():
    times = np.arange(40.0)
    times[20:] += 1
    assert of_time(times) == []


@pytest.mark.parametrize(("places", "words"), [((20,), "is a gap"), ((10, 20, 30), "are 3 gaps")])
def test_gaps_are_counted(places, words):
    times = np.arange(40.0)
    for place in places:
        times[place:] += 3
    (flag,) = of_time(times)
    assert flag.name == "time_gaps"
    assert flag.severity == "info"
    assert words in flag.sentence


@pytest.mark.parametrize("step", [0.1, 4.0])
def test_a_pace_that_no_heart_has_is_a_warning(step):
    (flag,) = of_time(step * np.arange(40))
    assert (flag.name, flag.severity) == ("unusual_pace", "warning")
    assert f"{step:.1f} s" in flag.sentence


def test_one_frame_has_no_pace():
    assert of_time([0.0]) == []


@pytest.mark.parametrize(
    ("times_as_strong", "name"), [(0.1, "weak_bolus"), (1.0, None), (5.0, "strong_bolus")]
)
def test_a_bolus_that_people_do_not_get_is_a_warning(times_as_strong, name):
    one = known("rest", FLOWS).series
    given = replace(
        one.given_aif,
        concentration_mmol_l=times_as_strong * one.given_aif.concentration_mmol_l,
    )
    flags = found_in(replace(one, given_aif=given))
    assert {"weak_bolus", "strong_bolus"} & set(flags) == ({name} if name else set())
    if name:
        assert flags[name].severity == "warning"


def test_a_film_that_ends_soon_after_the_peak_is_a_warning():
    one = known("rest", FLOWS).series
    end = int(one.given_aif.concentration_mmol_l.argmax()) + 8
    cut = replace(
        one,
        signal=one.signal[:end],
        times_s=one.times_s[:end],
        roles=one.roles[:end],
        given_aif=GivenInputFunction(one.times_s[:end], one.given_aif.concentration_mmol_l[:end]),
    )
    assert "film_too_short" in found_in(cut)
    assert "film_too_short" not in found_in(one)


def test_large_motion_is_told_in_millimetres():
    drawn = known("rest", FLOWS)
    one = drawn.series
    # For ten frames of the film all of it stands 20 mm lower.
    film = one.signal.copy()
    film[20:30] = np.roll(film[20:30], 10, axis=1)
    flag = found_in(replace(one, signal=film))["large_motion"]
    told = int(flag.sentence.split(" mm")[0].split()[-1])
    assert told == pytest.approx(20, abs=3)

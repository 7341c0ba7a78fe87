"""What is missing is said, and numbers are given all the same where they can be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from processing.mcaq import pipeline, quality
from processing.mcaq.series import Acquisition
from tests.mcaq.flow_scene import known
from tests.mcaq.test_signal import FLASH

FLOWS = (2.4, 2.0, 2.6, 2.2, 1.8, 2.5)

#: What the header does not say: the finding about it.
GAPS = {
    "saturation time": (replace(FLASH, saturation_time_ms=None), "assumed_saturation_time"),
    "field strength": (replace(FLASH, field_t=None), "assumed_field"),
    "flip angle": (replace(FLASH, flip_angle_deg=None), "pulses_ignored"),
    "pulses": (replace(FLASH, pulses_to_centre=None), "pulses_unknown"),
    "agent": (replace(FLASH, relaxivity_l_per_mmol_s=None), "assumed_relaxivity_l_per_mmol_s"),
    "everything": (Acquisition(), "assumed_field"),
}


def analysed(series):
    return pipeline.analyse(series, {}, lambda *_: None)


@pytest.fixture(scope="module")
def film():
    return known("stress", FLOWS, given=False).series


@pytest.mark.parametrize("gap", GAPS)
def test_a_gap_in_the_header_is_said_beside_numbers(film, gap):
    acquisition, name = GAPS[gap]
    (one,) = analysed([replace(film, acquisition=acquisition)]).series
    assert name in {flag.name for flag in one.quality}
    assert sum(flow.mbf is not None for flow in one.segments.values()) == 6
    assert all(np.isfinite(flow.mbf) and flow.low < flow.high for flow in one.segments.values())


def test_a_film_that_begins_with_contrast_in_it_says_so(film):
    whole = {flag.name for flag in analysed([film]).series[0].quality}
    assert "no_baseline" not in whole
    blood = film.signal[:, film.signal.max(axis=0) > 0.9 * film.signal.max()].mean(axis=1)
    foot = int(np.flatnonzero(blood > blood[:4].mean() + 0.1 * np.ptp(blood))[0])
    cut = replace(
        film,
        signal=film.signal[foot:],
        times_s=film.times_s[foot:] - film.times_s[foot],
        roles=film.roles[foot:],
    )
    (one,) = analysed([cut]).series
    assert "no_baseline" in {flag.name for flag in one.quality}
    assert one.mbf_global is not None


@pytest.mark.parametrize(("frames", "said"), [(0, True), (2, True), (3, False), (9, False)])
def test_a_baseline_of_few_frames(frames, said):
    assert bool(quality.of_baseline(frames)) is said


@pytest.mark.parametrize("state", ["stress", "rest"])
def test_one_slice_in_one_state_has_flow_and_says_why_it_has_no_reserve(state):
    one = known(state, FLOWS, given=False).series
    result = analysed([replace(one, level_is_assumed=True)])
    assert result.reserve == {}
    assert result.series[0].mbf_global is not None
    told = result.summary
    missing = "rest" if state == "stress" else "stress"
    assert told[missing]["global"]["mbf"] is None
    assert missing in told[missing]["global"]["reason"]
    assert told["splenic_switch_off"]["ratio"] is None
    assert told["splenic_switch_off"]["reason"]
    assert "level_assumed" in {flag.name for flag in result.series[0].quality}

"""Signal taken as proportional to contrast: relative numbers, and nothing that claims more."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from processing.mcaq import pipeline
from processing.mcaq import signal as sr
from tests.mcaq.flow_scene import known
from tests.mcaq.test_signal import FLASH

FLOWS = (1.1, 0.9, 1.2, 1.0, 0.8, 1.1)


def test_signal_is_then_proportional_to_relaxation():
    how = sr.physics(replace(FLASH, linear=True))
    amount = np.linspace(0, 8, 9)
    signal = 500.0 * how.recovery(how.r1_blood(amount), amount)
    np.testing.assert_allclose(np.diff(signal, n=2), 0, atol=1e-9)
    np.testing.assert_allclose(sr.blood_concentration(signal, 500.0, how), amount, atol=1e-9)


@pytest.fixture(scope="module")
def both():
    one = known("stress", FLOWS, given=False).series
    return [
        pipeline.analyse([one], {"concentration": way, "models": "fermi"}, lambda *_: None)
        for way in ("model", "linear")
    ]


def test_numbers_are_labelled_and_claim_nothing_else(both):
    usual, linear = both
    (one,) = linear.series
    assert one.parameters["mbf_unit"] == linear.parameters["unit"] == "relative"
    assert linear.parameters["ischaemia_cut_ml_per_min_per_g"] is None
    assert np.isnan(one.aif_mmol_l).all()
    assert one.models["fermi"].unit == "relative"
    for flow in one.segments.values():
        assert flow.mbf is not None
        assert (flow.low, flow.high, flow.ischaemic) == (None, None, None)
    flags = {flag.name: flag for flag in one.quality}
    assert flags["relative_flow"].severity == "warning"
    assert "relative" in flags["relative_flow"].sentence
    told = linear.summary
    assert told["ischaemic_burden"]["percent"] is None
    assert "relative" in told["ischaemic_burden"]["reason"]
    assert told["uniformly_low"]["value"] is None
    assert usual.series[0].parameters["mbf_unit"] == "ml/min/g"
    assert "relative_flow" not in {flag.name for flag in usual.series[0].quality}


def test_a_bent_curve_taken_as_straight_reads_flow_higher(both):
    """Blood's peak is bent down more than muscle, so that flow is too high (Miller 2014)."""
    usual, linear = (result.series[0].mbf_global for result in both)
    assert linear > 1.1 * usual


def test_another_way_is_refused():
    with pytest.raises(pipeline.UnknownConcentration, match="Choose from model, linear"):
        pipeline.analyse([], {"concentration": "guess"}, lambda *_: None)

"""Other models in a whole study: beside the default they change nothing; in its place they show."""

from __future__ import annotations

import numpy as np
import pytest

from processing.mcaq import pipeline
from processing.mcaq.kinetics.names import UNITS, UnknownModel
from tests.mcaq.flow_scene import known

FLOWS = {
    "stress": (2.8, 1.2, 2.0, 2.4, 1.6, 1.0),
    "rest": (0.9, 0.6, 1.1, 0.75, 0.5, 1.0),
}


def analyse(series, **parameters):
    return pipeline.analyse(series, parameters, lambda *_: None)


@pytest.fixture(scope="module")
def drawn():
    return [known(state, flows, noise=3.0) for state, flows in FLOWS.items()]


@pytest.fixture(scope="module")
def plain(drawn):
    return analyse([one.series for one in drawn])


@pytest.fixture(scope="module")
def asked(drawn):
    return analyse([one.series for one in drawn], models="all")


def test_what_is_computed_besides_changes_nothing(plain, asked):
    for one, other in zip(plain.series, asked.series, strict=True):
        np.testing.assert_array_equal(one.mbf, other.mbf)
        assert one.segments == other.segments
        assert one.mbf_global == other.mbf_global
    assert plain.reserve == asked.reserve
    assert all(not one.models and not one.spread for one in plain.series)
    assert not plain.model_reserve
    assert "models" not in plain.parameters
    assert asked.parameters["models"] == list(UNITS)


def test_each_model_says_something_of_each_segment(asked):
    for one in asked.series:
        assert list(one.models) == list(UNITS)
        for name, told in one.models.items():
            assert told.unit == UNITS[name]
            assert set(told.segments) == set(one.segments)
            assert told.mean == pytest.approx(np.mean(list(told.segments.values())))
        default = {number: flow.mbf for number, flow in one.segments.items()}
        assert one.models["exchange"].segments == default


@pytest.mark.parametrize("name", UNITS)
def test_models_follow_the_flow_that_was_drawn(asked, drawn, name):
    for one, truth in zip(asked.series, drawn, strict=True):
        true = np.array(list(truth.flows.values()))
        told = np.array([one.models[name].segments[number] for number in truth.flows])
        assert np.corrcoef(told, true)[0, 1] > 0.9


def test_the_spread_is_that_of_the_models_of_flow(asked):
    for one in asked.series:
        for number, spread in one.spread.items():
            flows = [
                told.segments[number] for name, told in one.models.items() if name != "upslope"
            ]
            middle = sum(flows) / 4
            squares = sum((flow - middle) ** 2 for flow in flows)
            assert spread == pytest.approx((squares / 3) ** 0.5)


def test_one_model_besides_is_compared_with_the_default(drawn):
    found = analyse([drawn[0].series], models=["fermi"])
    (one,) = found.series
    assert list(one.models) == ["fermi"]
    for number, spread in one.spread.items():
        apart = one.models["fermi"].segments[number] - one.segments[number].mbf
        assert spread == pytest.approx(abs(apart) / np.sqrt(2))
    alone = analyse([drawn[0].series], models=["upslope"]).series[0]
    assert set(alone.spread.values()) == {None}, "one flow has no spread"


def test_reserve_by_each_model(asked):
    stress, rest = asked.series
    for name, reserve in asked.model_reserve.items():
        assert set(reserve) == set(stress.segments)
        for number, value in reserve.items():
            above, below = (one.models[name].segments[number] for one in (stress, rest))
            assert value == pytest.approx(above / below)
    # Upslope compresses high flow; its reserve is smaller than that of flow.
    mean = {name: np.mean(list(found.values())) for name, found in asked.model_reserve.items()}
    assert 1 < mean["upslope"] < mean["exchange"]


@pytest.mark.parametrize("name", ["fermi", "tikhonov", "two_compartment"])
def test_another_model_may_make_the_map(drawn, name):
    (one,) = analyse([drawn[0].series], model=name).series
    true = np.array(list(drawn[0].flows.values()))
    told = np.array([one.segments[number].mbf for number in drawn[0].flows])
    of_pixels = np.array([np.nanmedian(one.mbf[one.aha == number]) for number in drawn[0].flows])
    for found in (told, of_pixels):
        assert np.corrcoef(found, true)[0, 1] > 0.9
    np.testing.assert_array_equal(np.isfinite(one.mbf), one.segmentation == 1)
    # Only the exchange model knows how sure it is.
    assert all(flow.low is flow.high is None for flow in one.segments.values())
    assert all(flow.ischaemic is not None for flow in one.segments.values())


@pytest.mark.parametrize("wrong", [{"model": "upslope"}, {"model": "x"}, {"models": "x"}])
def test_a_model_that_is_not_there_is_refused_before_any_work(wrong):
    with pytest.raises(UnknownModel):
        analyse([], **wrong)


# --- the numbers of the study --------------------------------------------------------------------
def test_the_summary_is_of_the_segments_that_were_found(plain):
    stress, rest = plain.series
    above = np.array([flow.mbf for flow in stress.segments.values()])
    below = np.array([flow.mbf for flow in rest.segments.values()])
    told = plain.summary
    assert told["stress"]["levels"]["mid"]["mbf"] == pytest.approx(above.mean())
    assert told["reserve"]["global"]["mpr"] == pytest.approx(above.mean() / below.mean())
    assert told["ischaemic_burden"]["segments"] == (above < 1.94).sum()
    assert told["stress"]["levels"]["apical"]["reason"]
    assert set(stress.endo_epi) == set(stress.segments)
    assert all((one.ratio is None) == bool(one.reason) for one in stress.endo_epi.values())


def test_flow_that_is_low_everywhere_is_told_with_the_stress_series():
    low = [known(state, (0.9, 1.0, 0.95, 0.9, 1.0, 0.95), noise=3.0) for state in FLOWS]
    stress, rest = analyse([one.series for one in low]).series
    assert "uniformly_low_stress_flow" in {flag.name for flag in stress.quality}
    assert "uniformly_low_stress_flow" not in {flag.name for flag in rest.quality}

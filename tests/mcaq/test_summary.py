"""The numbers of a study against sums by hand, and why a number is not there."""

from __future__ import annotations

import pytest

from processing.mcaq import flow, summary
from processing.mcaq.segments import TERRITORIES
from processing.mcaq.series import SegmentFlow

CUT = flow.ISCHAEMIA_CUT
LEVELS = {"basal": range(1, 7), "mid": range(7, 13), "apical": range(13, 17)}


def series(state, level, flows):
    """One slice; flows: one for all segments, or by AHA number."""
    numbers = LEVELS[level]
    by_number = flows if isinstance(flows, dict) else dict.fromkeys(numbers, flows)
    return state, level, {n: SegmentFlow(by_number.get(n), None, None, None) for n in numbers}


def whole(state, value):
    """Three slices; value: of a segment's number."""
    return [
        series(state, level, {n: value(n) for n in numbers}) for level, numbers in LEVELS.items()
    ]


def content(*parts):
    return summary.of_study([one for part in parts for one in part], CUT).content


# --- means ---------------------------------------------------------------------------------------
def test_territories_are_those_of_the_heart_association():
    """Cerqueira 2002, figure 3."""
    assert TERRITORIES == {
        "LAD": (1, 2, 7, 8, 13, 14), "RCA": (3, 4, 9, 10, 15), "LCx": (5, 6, 11, 12, 16),
    }  # fmt: skip


def test_means_are_over_segments():
    told = content(whole("stress", lambda n: 2 + n / 10), whole("rest", lambda n: 1.0))
    stress = told["stress"]
    # 1 to 16 sum to 136; 1, 2, 7, 8, 13, 14 to 45; 3, 4, 9, 10, 15 to 41; the rest to 50.
    assert stress["global"]["mbf"] == pytest.approx(2 + 13.6 / 16)
    assert stress["territories"]["LAD"]["mbf"] == pytest.approx(2 + 4.5 / 6)
    assert stress["territories"]["RCA"]["mbf"] == pytest.approx(2 + 4.1 / 5)
    assert stress["territories"]["LCx"]["mbf"] == pytest.approx(2 + 5.0 / 5)
    assert stress["levels"]["basal"]["mbf"] == pytest.approx(2.35)
    assert stress["levels"]["mid"]["mbf"] == pytest.approx(2.95)
    assert stress["levels"]["apical"]["mbf"] == pytest.approx(3.45)
    # Rest flow is one: the reserve is stress flow.
    for part in ("territories", "levels"):
        for name, one in told["reserve"][part].items():
            assert one["mpr"] == pytest.approx(stress[part][name]["mbf"])
    assert told["reserve"]["global"]["segments"] == told["reserve"]["global"]["of"] == 16


def test_the_reserve_rests_on_segments_known_in_both_states():
    stress = [series("stress", "mid", {7: 3.0, 8: 2.0, 9: 9.0})]
    rest = [series("rest", "mid", {7: 1.0, 8: 1.0, 10: 5.0})]
    mpr = content(stress, rest)["reserve"]["global"]
    assert mpr == {"mpr": pytest.approx(2.5), "segments": 2, "of": 16, "reason": None}


def test_of_repeats_the_first_counts():
    told = content([series("stress", "mid", 3.0), series("stress", "mid", 1.0)])
    assert told["stress"]["levels"]["mid"]["mbf"] == pytest.approx(3.0)


# --- what is not known ---------------------------------------------------------------------------
@pytest.mark.parametrize(("there", "missing"), [("stress", "rest"), ("rest", "stress")])
def test_one_state_alone_gives_no_reserve_and_no_zero(there, missing):
    told = content(whole(there, lambda n: 1.5))
    why = f"There is no {missing} series."
    assert told[there]["global"]["mbf"] == pytest.approx(1.5)
    assert told[missing]["global"] == {"mbf": None, "segments": 0, "of": 16, "reason": why}
    for part in ("territories", "levels"):
        for one in (*told["reserve"][part].values(), *told[missing][part].values()):
            assert (one.get("mpr"), one.get("mbf"), one["reason"]) == (None, None, why)
    assert told["reserve"]["global"]["mpr"] is None


def test_burden_and_uniform_flow_are_of_stress_alone():
    told = content(whole("rest", lambda n: 0.8))
    for key in ("ischaemic_burden", "uniformly_low"):
        assert told[key]["reason"] == "There is no stress series."
    assert told["ischaemic_burden"]["percent"] is None
    assert told["ischaemic_burden"]["segments"] is None
    assert told["uniformly_low"]["value"] is None


def test_a_level_or_territory_without_segments_says_so():
    told = content([series("stress", "mid", {7: 2.0, 8: 2.0})])["stress"]
    assert told["levels"]["apical"]["mbf"] is None
    assert told["levels"]["apical"]["reason"] == "No segment of it is known."
    assert told["territories"]["RCA"]["mbf"] is None
    assert told["territories"]["LAD"] == {
        "mbf": pytest.approx(2.0), "segments": 2, "of": 6, "reason": None,
    }  # fmt: skip


def test_a_series_without_known_segments_is_not_a_series_that_is_not_there():
    told = content([series("stress", "mid", {})])
    assert told["ischaemic_burden"]["reason"] == "No segment is known in the stress series."
    assert told["stress"]["global"]["mbf"] is None


def test_a_state_that_is_not_known_has_numbers_but_no_reserve():
    told = content(whole("unknown", lambda n: 1.2))
    assert told["unknown"]["global"]["mbf"] == pytest.approx(1.2)
    assert told["reserve"]["global"]["mpr"] is None
    assert "unknown" not in content(whole("rest", lambda n: 1.0))


# --- how much is ischaemic -----------------------------------------------------------------------
def test_the_burden_counts_segments_below_the_cut():
    low = {3, 4, 9, 10}
    told = content(whole("stress", lambda n: CUT - 0.01 if n in low else CUT))["ischaemic_burden"]
    assert (told["segments"], told["of"], told["percent"]) == (4, 16, 25.0)
    assert told["cut_ml_per_min_per_g"] == CUT
    assert "Kotecha 2019" in told["source"]
    assert told["reason"] is None


def test_the_burden_is_a_share_of_what_is_known():
    told = content([series("stress", "mid", {7: 1.0, 8: 3.0})])["ischaemic_burden"]
    assert (told["segments"], told["of"], told["percent"]) == (1, 2, 50.0)


def uniform(value):
    found = summary.of_study(whole("stress", value), CUT)
    return found.content["uniformly_low"]["value"], found.findings


def test_flow_that_is_low_everywhere_alike_is_a_finding():
    low, findings = uniform(lambda n: 1.3 + 0.01 * n)
    assert low is True
    assert [one.name for one in findings] == ["uniformly_low_stress_flow"]
    assert "LAD 1.4, RCA 1.4, LCx 1.4 ml/min/g" in findings[0].sentence
    assert findings[0].severity == "warning"


@pytest.mark.parametrize(
    "value",
    [
        lambda n: 2.5,
        # One vessel's territory: the map shows it.
        lambda n: 1.0 if n in TERRITORIES["LAD"] else 2.6,
        lambda n: 1.0 if n in TERRITORIES["LAD"] else 1.8,
    ],
    ids=["normal", "one vessel", "one vessel worse than the others"],
)
def test_other_patterns_are_not(value):
    assert uniform(value) == (False, ())


def test_uniform_flow_needs_all_territories():
    found = summary.of_study([series("stress", "mid", {7: 1.0, 9: 1.0})], CUT)
    assert found.content["uniformly_low"]["value"] is None
    assert "LCx" in found.content["uniformly_low"]["reason"]
    assert found.findings == ()

"""A site's protocol: keys and values are checked, and override what DICOM says."""

from __future__ import annotations

import pytest

from processing.mcaq.series import Acquisition
from processing.mcaq.signal import physics
from processing.protocol import BadProtocol, check, load

HEADER = Acquisition(field_t=1.5, saturation_time_ms=100, flip_angle_deg=12, echo_time_ms=1.1)
INPUT_HEADER = Acquisition(field_t=1.5, saturation_time_ms=24, flip_angle_deg=8)


def test_a_protocol_overrides_the_header_and_leaves_the_rest():
    found = check({"field_t": 3, "haematocrit": 0.4}).acquisition(HEADER)
    assert (found.field_t, found.haematocrit) == (3, 0.4)
    assert (found.saturation_time_ms, found.echo_time_ms) == (100, 1.1)
    assert found.t1_blood_ms is None


def test_the_input_series_inherits_what_its_own_part_does_not_say():
    protocol = check(
        {"field_t": 3, "saturation_time_ms": 110, "aif": {"saturation_time_ms": 20}, "pd_frames": 3}
    )
    found = protocol.aif_acquisition(INPUT_HEADER)
    assert (found.field_t, found.saturation_time_ms, found.flip_angle_deg) == (3, 20, 8)
    inherited = check({"flip_angle_deg": 15, "aif": {"saturation_time_ms": 20}})
    assert inherited.aif_acquisition(INPUT_HEADER).flip_angle_deg == 15
    assert protocol.pd_frames == protocol.aif_pd_frames == 3
    assert check({"pd_frames": 3, "aif": {"pd_frames": 0}}).aif_pd_frames == 0


def test_without_its_own_part_the_input_series_keeps_its_sequence():
    """The time after saturation of the muscle's images says nothing of the quick ones."""
    found = check({"saturation_time_ms": 110, "t1_blood_ms": 1900, "echo_time_ms": 0.9})
    found = found.aif_acquisition(INPUT_HEADER)
    assert (found.saturation_time_ms, found.t1_blood_ms) == (24, 1900)
    assert found.echo_time_ms == 0.9  # its header does not say


def test_agent_and_sequence_are_words():
    found = check({"agent": "gadobenate", "sequence": "bssfp"})
    assert found.acquisition(HEADER).agent == "gadobenate"
    assert found.acquisition(HEADER).sequence == "bssfp"
    # The quick images of an input series are another sequence; the agent is the same.
    flash = found.aif_acquisition(Acquisition(sequence="flash"))
    assert (flash.agent, flash.sequence) == ("gadobenate", "flash")


def test_an_agents_relaxivity_is_taken_from_the_list_at_the_field_strength():
    """Shen 2015, whole blood: gadobenate 6.2 at 1.5 T and 5.4 at 3 T."""
    agent = check({"agent": "gadobenate"})
    assert physics(agent.acquisition(HEADER)).relaxivity == 6.2
    assert physics(agent.acquisition(Acquisition(field_t=2.9))).relaxivity == 5.4
    assert physics(agent.aif_acquisition(INPUT_HEADER)).relaxivity == 6.2
    told = check({"agent": "gadobenate", "field_t": 3, "relaxivity_l_per_mmol_s": 5.0})
    assert physics(told.acquisition(HEADER)).relaxivity == 5.0


def test_dose_and_stressor_are_kept_and_change_nothing():
    given = check({"dose_mmol_per_kg": 0.05, "stressor": "adenosine"})
    assert given.acquisition(HEADER) == HEADER
    assert given.values == {"dose_mmol_per_kg": 0.05, "stressor": "adenosine"}


BAD = {
    "an unknown agent": ({"agent": "gold"}, "agent must be one of gadobutrol, "),
    "an unknown stressor": ({"stressor": 3}, "stressor must be one of adenosine, "),
    "a number for a word": ({"sequence": 3}, "sequence must be one of flash, bssfp"),
    "unknown key": ({"saturation_time": 100}, "unknown key saturation_time"),
    "unknown key of the input": ({"aif": {"dose": 1}}, r"unknown key aif\.dose"),
    "a word": ({"field_t": "3T"}, "field_t must be a number"),
    "a truth": ({"field_t": True}, "field_t must be a number"),
    "no number": ({"echo_time_ms": float("nan")}, "echo_time_ms must be"),
    "seconds for milliseconds": ({"saturation_time_ms": 0.1}, "from 1 to 2000"),
    "percent": ({"haematocrit": 42}, "from 0 to 0.8"),
    "half a frame": ({"pd_frames": 1.5}, "pd_frames must be a whole number"),
    "negative": ({"aif": {"flip_angle_deg": -5}}, r"aif\.flip_angle_deg must be"),
    "no object": ({"aif": 5}, '"aif" must be an object'),
    "nested twice": ({"aif": {"aif": {}}}, "unknown key aif.aif"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_value_is_named_with_what_it_may_be(kind):
    given, expected = BAD[kind]
    with pytest.raises(BadProtocol, match=expected):
        check(given)


def test_null_means_not_known():
    assert check({"field_t": None}).acquisition(HEADER) == HEADER
    assert check(None).acquisition(HEADER) == HEADER


@pytest.mark.parametrize("text", ["", "{", "[1, 2]", '"x"', "[" * 100000])
def test_a_file_that_is_no_json_object_is_refused(tmp_path, text):
    path = tmp_path / "site.json"
    path.write_text(text)
    with pytest.raises(BadProtocol, match=r"site\.json") as refused:
        load(path)
    assert str(tmp_path) not in str(refused.value)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(BadProtocol, match="could not be opened"):
        load(tmp_path / "none.json")

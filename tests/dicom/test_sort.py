"""Sorting: which films there are, their state, level, role and input series, and the reasons."""

from __future__ import annotations

import random

import pytest
from pydicom.dataset import Dataset

from studies.dicom.deidentify import deidentify
from studies.dicom.frames import frames_of
from studies.dicom.labels import controlled, controlled_sequence, state_of
from studies.dicom.sort import sort_frames
from tests.dicom.make import clock, enhanced, film, image

LEVELS = {
    1: ["mid"],
    2: ["basal", "mid"],
    3: ["basal", "mid", "apical"],
    4: ["basal", "mid", "mid2", "apical"],
}


def _sorted(*films, seed=5):
    files = [(str(n), ds) for n, ds in enumerate(ds for one in films for ds in one)]
    random.Random(seed).shuffle(files)
    return sort_frames(frame for name, ds in files for frame in frames_of(ds, name))


def _folders(found):
    return [one.folder for one in found.series]


def _stack(slices, first="a", start=36900.0, **changes):
    """Slices in one breath-hold, from apex to base in order of their numbers."""
    return [
        film(
            series=f"{ord(first)}{n}",
            along_mm=12.0 * (slices - 1 - n),
            start=start + 0.1 * n,
            SeriesNumber=10 + n,
            **changes,
        )
        for n in range(slices)
    ]


@pytest.mark.parametrize("slices", [1, 2, 3, 4])
def test_levels_are_told_by_the_place_of_the_slices(slices):
    found = _sorted(*_stack(slices))
    assert [one.level for one in found.series] == LEVELS[slices]
    assert _folders(found) == [f"stress_{level}" for level in LEVELS[slices]]
    # The most basal slice has the lowest place on the way to the apex, so the last number.
    assert [one.frames[0].series_number for one in found.series] == list(range(9 + slices, 9, -1))
    assert all(one.level_is_assumed == (slices == 1) for one in found.series)
    assert found.unused == ()


@pytest.mark.parametrize("flip", [False, True])
def test_the_direction_of_the_normal_does_not_matter(flip):
    orientation = [-0.7, -0.7, 0.1414, -0.2, 0.0, -0.98] if flip else None
    changes = {"ImageOrientationPatient": orientation} if flip else {}
    found = _sorted(*_stack(3, **changes))
    assert [one.frames[0].series_number for one in found.series] == [12, 11, 10]


def test_names_tell_levels_where_each_slice_has_its_own():
    films = [
        film(series="1", SeriesDescription="Rest perf apical"),
        film(series="2", along_mm=10, SeriesDescription="Rest perf mid"),
        film(series="3", along_mm=20, SeriesDescription="Rest perf basal"),
    ]
    found = _sorted(*films)
    by_uid = {one.uid[-1]: one.level for one in found.series}
    assert by_uid == {"1": "apical", "2": "mid", "3": "basal"}
    assert "although their place says otherwise" in " ".join(found.series[0].reasons)


def test_some_names_turn_the_stack_round():
    films = [
        film(series="1", SeriesDescription="Rest perf apex"),
        film(series="2", along_mm=10, SeriesDescription="Rest perf"),
        film(series="3", along_mm=20, SeriesDescription="Rest perf base"),
    ]
    found = _sorted(*films)
    assert {one.uid[-1]: one.level for one in found.series} == {
        "1": "apical",
        "2": "mid",
        "3": "basal",
    }


def test_stress_and_rest_and_a_repeat_each_get_their_folder():
    found = _sorted(
        *_stack(2, "a", 36900.0),
        *_stack(2, "b", 37500.0, SeriesDescription="perf_ruhe"),
        *_stack(2, "c", 37200.0),
    )
    assert _folders(found) == [
        "stress_basal",
        "stress_basal_2",
        "stress_mid",
        "stress_mid_2",
        "rest_basal",
        "rest_mid",
    ]
    start = {one.folder: one.clock.start_s for one in found.series}
    assert start["stress_mid"] < start["stress_mid_2"]


@pytest.mark.parametrize("blind", ["", "corte1", "First Pass New", "SAX_DYN 3sl"])
def test_a_state_that_is_not_said_is_unknown(blind):
    found = _sorted(*_stack(1, SeriesDescription=blind))
    assert _folders(found) == ["unknown_mid"]
    assert "stress or rest" in " ".join(found.series[0].reasons)


STATES = {
    "Stress perf": "stress",
    "ADENO_perf": "stress",
    "perf regadenoson": "stress",
    "Belastung": "stress",
    "perfusion dobuta 40": "stress",
    "Rest perf": "rest",
    "perf_REST_3sl": "rest",
    "Ruhe": "rest",
    "Perfusion repos": "rest",
    "arrested": "unknown",
    "high resolution": "unknown",
    "stress and rest": "unknown",
}


@pytest.mark.parametrize("text", STATES)
def test_words_for_states(text):
    assert state_of(text) == STATES[text]


def test_our_own_words_say_the_same_once_more():
    """What de-identification writes is understood as what it was made from."""
    for text in [*STATES, "stress perf dynamic_sr_b", "AIF low res rest", "MOCO Stress apex"]:
        once = controlled(text, "")
        assert controlled(once, once) == once
    for name in ["*tfl2d1_51", "*tfiperf2d1", "B-TFE", "T1TFE", "fgret", "*fl2d1", "ep2d", ""]:
        assert controlled_sequence(controlled_sequence(name)) == controlled_sequence(name)


def test_slices_of_one_series_are_told_apart():
    """GE writes all slices of all beats into one series."""
    films = [
        film(
            15,
            series=f"7{n}",
            along_mm=10.0 * n,
            SeriesInstanceUID="1.2.3.9",
            Manufacturer="GE MEDICAL SYSTEMS",
            AcquisitionTime="094353",
            TriggerTime=lambda beat, n=n: 769 + 700 * beat + 150 * n,
            InstanceNumber=lambda beat, n=n: 1 + 3 * beat + n,
        )
        for n in range(3)
    ]
    found = _sorted(*films)
    assert _folders(found) == ["stress_basal", "stress_mid", "stress_apical"]
    assert {one.uid for one in found.series} == {"1.2.3.9"}
    for n, one in enumerate(found.series):
        assert len(one.frames) == 15
        assert [frame.sop_instance_uid for frame in one.frames] == [
            f"1.2.3.4.7{n}.{beat + 1}" for beat in range(15)
        ]


def test_an_enhanced_object_holds_all_slices():
    found = _sorted([enhanced(along_mm=(10.0, 0.0))])
    assert _folders(found) == ["rest_basal", "rest_mid"]
    basal = found.series[0]
    assert {frame.file_id for frame in basal.frames} == {"0"}
    # Written from last beat to first, apical slice first: the second frame of the last pair.
    assert [frame.frame_number for frame in basal.frames] == list(range(30, 0, -2))
    assert basal.frames[0].scale_slope == pytest.approx(4.75)
    assert basal.frames[0].inversion_time_ms == pytest.approx(110)


def test_what_is_no_first_pass_is_kept_out_with_its_reason():
    cine = film(
        25, series="c", AcquisitionTime="101500", TriggerTime=lambda n: 32.0 * n,
        SeriesDescription="CINESAX",
    )  # fmt: skip
    localiser = film(3, series="l", SeriesDescription="localizer")
    mapping = film(
        11, series="m", InversionTime=lambda n: 100 + 330 * n, SeriesDescription="MOLLI"
    )  # fmt: skip
    quick = film(30, series="q", beat=0.22, SeriesDescription="realtime")
    phase = film(20, series="p", ImageType=["ORIGINAL", "PRIMARY", "P", "ND"])
    found = _sorted(cine, localiser, mapping, quick, phase, *_stack(1))
    assert _folders(found) == ["stress_mid"]
    reasons = dict(found.unused)
    assert len(reasons) == 25 + 3 + 11 + 30 + 20
    assert "one heart beat" in reasons["0"]
    assert "3 images" in reasons["25"]
    assert "waiting times" in reasons["28"]
    assert "6.4 s" in reasons["39"]
    assert "phase image" in reasons["69"]


def test_the_same_image_twice_counts_once():
    one = film(20)
    found = _sorted(one, [one[4], one[11]])
    assert len(found.series) == 1
    assert len(found.series[0].frames) == 20
    assert [reason for _, reason in found.unused] == ["It is the same image as another file."] * 2


def test_a_quick_coarse_twin_is_the_input_series_of_all_slices():
    aif = film(
        20, series="x", along_mm=12.0, start=36899.95, SeriesDescription="Stress perf",
        PixelSpacing=[6, 6], Rows=18, Columns=17, InversionTime=20,
        PixelData=image().PixelData[: 18 * 17 * 2], SeriesNumber=9,
    )  # fmt: skip
    found = _sorted(*_stack(3), aif)
    assert _folders(found) == ["stress_basal", "stress_mid", "stress_apical"]
    ((one, served),) = found.aif
    assert (one.role, one.uid, served) == ("aif", "1.2.3.5.120", (0, 1, 2))
    assert "coarser pixels" in " ".join(one.reasons)


def test_an_input_series_by_name_serves_its_own_state():
    aif = film(20, series="x", start=37500.0, SeriesDescription="Perfusion_AIF_rest")
    found = _sorted(*_stack(2), *_stack(2, "b", 37500.1, SeriesDescription="rest perf"), aif)
    ((_, served),) = found.aif
    assert [found.series[n].folder for n in served] == ["rest_basal", "rest_mid"]


def test_two_echoes_are_two_films_and_a_few_other_frames_are_not():
    first = film(15, series="e", EchoTime=1.0, SeriesDescription="AIF stress")
    second = film(
        15, series="f", EchoTime=2.6, SeriesDescription="AIF stress",
        SeriesInstanceUID="1.2.3.5.101",
    )  # fmt: skip
    found = _sorted(first, second, *_stack(1, EchoTime=lambda n: 1.0 if n < 2 else 1.2))
    assert [len(one.frames) for one, _ in found.aif] == [15, 15]
    assert [len(one.frames) for one in found.series] == [20]


def test_frames_of_a_small_flip_angle_at_the_start_are_proton_density():
    found = _sorted(*_stack(1, FlipAngle=lambda n: 5 if n < 3 else 14))
    assert found.series[0].pd == (True,) * 3 + (False,) * 17
    assert len(found.series[0].frames) == 20


def test_the_scanners_corrected_copy_gives_way_to_what_was_acquired():
    copy = film(20, series="m", SeriesDescription="Stress perfusion_MOCO")
    found = _sorted(*_stack(1), copy)
    assert _folders(found) == ["stress_mid"]
    assert found.series[0].uid == "1.2.3.5.970"
    assert "corrected copy" in found.unused[0][1]
    alone = _sorted(copy)
    assert _folders(alone) == ["stress_mid"]
    assert "moved these frames already" in " ".join(alone.series[0].reasons)


def test_films_of_two_examinations_are_not_one_stack():
    first = film(series="1", along_mm=0)
    second = film(series="2", along_mm=12, StudyInstanceUID="1.2.3.22")
    assert _folders(_sorted(first, second)) == ["stress_mid", "stress_mid_2"]


def test_the_order_of_the_files_changes_nothing():
    films = [*_stack(3), *_stack(3, "b", 37500.0, SeriesDescription="rest")]
    pictures = set()
    for seed in range(4):
        found = _sorted(*films, seed=seed)
        pictures.add(tuple((one.folder, one.uid, one.times_s, one.reasons) for one in found.series))
    assert len(pictures) == 1


def test_each_decision_has_its_reason():
    found = _sorted(*_stack(2))
    text = " ".join(found.series[0].reasons)
    assert "AcquisitionTime" in text
    assert "Taken as stress" in text
    assert "Slice 1 of 2" in text


def test_times_of_a_film_over_midnight_join_its_neighbours():
    films = _stack(2, start=86400 - 3.0)
    assert _folders(_sorted(*films)) == ["stress_basal", "stress_mid"]
    assert films[0][0].AcquisitionTime == clock(0, 86400 - 3.0)


def test_slices_on_both_sides_of_midnight_are_one_stack():
    films = [
        film(series="1", start=86399.95),
        film(series="2", along_mm=12, start=86400.05),
    ]
    assert films[1][0].AcquisitionTime.startswith("0000")
    assert _folders(_sorted(*films)) == ["stress_basal", "stress_mid"]


def test_fewer_slices_take_the_levels_of_the_other_states_stack():
    stress = _stack(3)
    # Of the stack's order, apical first, the slices 0 and 1: apical and mid.
    rest = _stack(3, "b", 37500.0, SeriesDescription="rest perf")
    assert _folders(_sorted(*stress, *rest[:2])) == [
        "stress_basal", "stress_mid", "stress_apical", "rest_mid", "rest_apical",
    ]  # fmt: skip
    found = _sorted(*stress, rest[0])
    assert _folders(found)[-1] == "rest_apical"
    assert not found.series[-1].level_is_assumed
    assert "in the place of this level's slice" in " ".join(found.series[-1].reasons)
    # One slice in each state tells neither of the other's level.
    alone = _sorted(film(series="1"), film(series="2", start=37500.0, SeriesDescription="rest"))
    assert [one.level_is_assumed for one in alone.series] == [True, True]


def test_two_named_slices_have_the_levels_of_their_names():
    mid = film(series="1", SeriesDescription="Stress perf mid")
    apical = film(series="2", along_mm=12, SeriesDescription="Stress perf apical")
    assert _folders(_sorted(mid, apical)) == ["stress_mid", "stress_apical"]
    assert _folders(_sorted(film(series="1", SeriesDescription="Rest basal"))) == ["rest_basal"]


def test_names_in_an_order_that_no_stack_has_are_not_believed():
    films = [
        film(series=str(n), along_mm=12.0 * n, SeriesDescription=f"Stress perf {word}")
        for n, word in enumerate(("mid", "apical", "basal"))
    ]
    found = _sorted(*films)
    assert {one.uid[-1]: one.level for one in found.series} == {
        "0": "basal", "1": "mid", "2": "apical",
    }  # fmt: skip
    assert "although their names say otherwise" in " ".join(found.series[0].reasons)


def test_a_protocol_that_names_the_whole_examination_tells_no_state():
    said = {"SeriesDescription": "SAX_DYN", "ProtocolName": "stress perfusion"}
    one = _sorted(*_stack(2, **said))
    assert {film_.state for film_ in one.series} == {"stress"}
    both = _sorted(*_stack(2, **said), *_stack(2, "b", 37500.0, **said))
    assert {film_.state for film_ in both.series} == {"unknown"}
    assert "does not tell stress from rest" in " ".join(both.series[0].reasons)
    # Where a series says it itself, the protocol is not asked.
    told = _sorted(*_stack(2, **said), *_stack(2, "b", 37500.0, **{
        **said, "SeriesDescription": "Rest"}))  # fmt: skip
    assert {film_.state for film_ in told.series} == {"stress", "rest"}


def test_slices_of_the_same_beats_share_the_state_that_one_of_them_says():
    films = _stack(3, SeriesDescription="perf")
    for ds in films[1]:
        ds.SeriesDescription = "perf rest"
    found = _sorted(*films)
    assert _folders(found) == ["rest_basal", "rest_mid", "rest_apical"]
    assert "the other slices taken in the same beats" in " ".join(found.series[0].reasons)


def test_frames_quicker_than_a_heart_beat_are_a_cine_whatever_their_number():
    quick = film(60, series="q", beat=0.045, SeriesDescription="perfusion realtime")
    found = _sorted(quick)
    assert found.series == ()
    assert {why for _, why in found.unused} == {"It belongs to a cine film of one heart beat."}


def test_images_of_many_echo_times_are_a_map():
    echoes = film(12, series="t", beat=1.0, EchoTime=lambda n: 2.0 + 2.3 * n)
    assert "T1 or T2 map" in dict(_sorted(echoes).unused)["0"]


def test_a_slice_that_follows_the_heart_is_one_slice():
    place = [0.68, -0.71, -0.14]
    breathing = film(
        20, series="f",
        ImagePositionPatient=lambda n: [round(1.5 * (n % 4) * part, 4) for part in place],
    )  # fmt: skip
    (one,) = _sorted(breathing).series
    assert len(one.frames) == 20


def test_a_twin_of_the_same_pixels_after_a_far_shorter_wait_is_the_input_series():
    aif = film(20, series="x", start=36899.95, InversionTime=24, SeriesNumber=9)
    found = _sorted(*_stack(1), aif)
    assert _folders(found) == ["stress_mid"]
    ((one, _),) = found.aif
    assert "a far shorter wait" in " ".join(one.reasons)


def test_proton_density_images_in_a_series_of_their_own_are_told():
    apart = film(3, series="p", start=36895.0, FlipAngle=5, InversionTime=None)
    found = _sorted(*_stack(1), apart)
    assert _folders(found) == ["stress_mid"]
    assert {why for _, why in found.unused} == {
        "It is one of 3 images without saturation (proton density) in a series of their own. "
        "Only those at the start of a film's own series are used."
    }


FLOW_MAP = {
    "ImageType": ["DERIVED", "PRIMARY", "PERFUSION", "NONE"], "SeriesNumber": 200,
    "SeriesDescription": "STRESS_Perf_Flow_Map_SLC0", "InversionTime": None,
}  # fmt: skip


def test_the_scanners_flow_maps_go_with_the_film_of_their_place_and_state():
    films = [*_stack(2), *_stack(2, "b", 37500.0, SeriesDescription="rest")]
    basal, apical = (
        film(1, series=f"9{n}", along_mm=12.0 * n, start=37000.0, **FLOW_MAP) for n in range(2)
    )
    elsewhere = film(1, series="97", along_mm=60.0, start=37000.0, **FLOW_MAP)
    rest = film(1, series="98", start=37600.0, **{**FLOW_MAP, "SeriesDescription": "Flow_Map"})
    other = film(1, series="99", **{**FLOW_MAP, "SeriesDescription": "PS_Map_SLC0"})
    found = _sorted(*films, basal, apical, elsewhere, rest, other)
    assert _folders(found) == ["stress_basal", "stress_mid", "rest_basal", "rest_mid"]
    told = {one.frame.series_uid: one.of for one in found.maps}
    assert told == {
        "1.2.3.5.90": 0, "1.2.3.5.91": 1, "1.2.3.5.97": None, "1.2.3.5.98": 2,
    }  # fmt: skip
    ((_, why),) = found.unused
    assert "a map that the scanner computed" in why


def test_a_film_with_a_maps_name_is_still_a_film():
    named = film(20, series="1", SeriesDescription="Stress MBF flow map raw")
    assert _folders(_sorted(named)) == ["stress_mid"]
    copied = film(1, series="2", **{**FLOW_MAP, "ImageType": ["ORIGINAL", "PRIMARY", "M"]})
    assert _sorted(copied).maps == ()


@pytest.mark.parametrize(
    ("code", "meaning", "agent"),
    [
        ("407976008", "Gadobutrol", "gadobutrol"), ("712714000", "", "gadoterate"),
        ("C-1234", "Gadovist", "gadobutrol"), ("1", "Iohexol", None),
    ],
)  # fmt: skip
def test_the_agent_of_an_enhanced_object_is_told_by_code_or_name(code, meaning, agent):
    ds = enhanced()
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code, "SCT", meaning
    ds.ContrastBolusAgentSequence = [item]
    assert frames_of(ds, "1")[0].agent == agent
    clean = deidentify(ds, key=b"k")
    assert frames_of(clean, "1")[0].agent == agent

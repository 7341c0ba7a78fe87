"""Whole studies, small ones: what comes out, what is refused and why, and what must not matter."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace

import numpy as np
import pytest

from processing.mcaq import inputs, pipeline
from processing.mcaq.phantom import make_study
from processing.mcaq.series import (
    LV_BLOOD,
    MYOCARDIUM,
    GivenContours,
    GivenInputFunction,
    SegmentFlow,
    Series,
)
from tests.mcaq.flow_scene import known
from tests.mcaq.scene import Scene

FRAMES = 36


def phantom(state="stress", seed=3, **changes):
    """One mid slice of one state with its truth: the smallest that is still a whole heart."""
    options = {"levels": ("mid",), "rows": 96, "cols": 80, "frames": FRAMES} | changes
    study = make_study(seed, states=(state,), **options)
    return study.series[0], study.truth[0]


def analyse(*series):
    return pipeline.analyse(series, {}, lambda *_: None)


def names(result):
    return {flag.name for flag in result.quality}


@pytest.fixture(scope="module")
def stress():
    return phantom("stress")


@pytest.fixture(scope="module")
def rest():
    """Another matrix than at stress."""
    return phantom("rest", rows=112, cols=96)


@pytest.fixture(scope="module")
def alone(stress):
    """The stress film analysed by itself."""
    (found,) = analyse(stress[0]).series
    return found


def test_a_low_resolution_film_is_moved_as_the_film_it_serves():
    """The same breaths in both, on grids and at times that differ."""
    times = np.arange(30) * 0.9
    breath_mm = np.stack([8 * np.sin(times), 3 * np.cos(times)], axis=1)
    rows, cols = np.mgrid[:40, :36]

    def at(centre):
        away = (rows - centre[0]) ** 2 + (cols - centre[1]) ** 2
        return np.exp(-away / 18)

    bolus = 20 + 200 * np.exp(-(((times - 12) / 4) ** 2))
    centres = np.array([19.0, 17.0]) + breath_mm / 4
    film = np.array([b * at(c) for b, c in zip(bolus, centres, strict=True)], dtype=np.float32)
    aif = Series("aif", film, times + 0.1, ("dynamic",) * 30, "rest", "mid", (4.0, 4.0))

    def wander(pictures):
        places = [np.unravel_index(p.argmax(), p.shape) for p in pictures]
        return np.ptp(places, axis=0).max()

    assert wander(film) >= 3
    moved = inputs.carried(aif, times, breath_mm)
    assert wander(moved.signal) <= 1
    # Motion of another film would make it worse, and is not used.
    assert inputs.carried(aif, times, -breath_mm) is aif


def short(one):
    return replace(
        one, uid="short", signal=one.signal[:11], times_s=one.times_s[:11], roles=one.roles[:11]
    )


def constant(one):
    return replace(one, uid="constant", signal=np.full_like(one.signal, 7.0))


def broken(one):
    return replace(one, uid="broken", signal=np.full_like(one.signal, np.nan))


def grey(one):
    """Noise about one level: no contrast passes."""
    noise = np.random.default_rng(1).normal(100, 5, one.signal.shape)
    return replace(one, uid="grey", signal=noise.astype(np.float32))


def back_in_time(one):
    return replace(one, uid="back", times_s=one.times_s[::-1].copy())


@pytest.fixture(scope="module")
def both(stress, rest):
    """A study of two good films and five that cannot be analysed."""
    bad = [spoil(stress[0]) for spoil in (short, constant, broken, grey, back_in_time)]
    return analyse(bad[0], stress[0], *bad[1:3], rest[0], *bad[3:])


# --- what comes out -----------------------------------------------------------------------------
def test_arrays_are_of_one_shape_and_kind(stress, alone):
    one, _ = stress
    frames, (rows, cols) = len(one.signal), alone.mbf.shape
    assert alone.corrected.shape == (frames, rows, cols)
    assert alone.displacement.shape == (frames, 2, rows, cols)
    assert alone.segmentation.shape == alone.aha.shape == (rows, cols)
    assert len(alone.used) == len(alone.reasons) == len(alone.aif_mmol_l) == frames
    for name, kind in (
        ("corrected", np.float32), ("displacement", np.float32), ("mbf", np.float32),
        ("segmentation", np.uint8), ("aha", np.uint8), ("used", np.bool_),
    ):  # fmt: skip
        assert getattr(alone, name).dtype == kind, name
    row, col = alone.offset
    assert row >= 0
    assert col >= 0
    assert row + rows <= one.signal.shape[1]
    assert col + cols <= one.signal.shape[2]


def test_flow_is_known_in_the_muscle_and_nowhere_else(alone):
    muscle = alone.segmentation == MYOCARDIUM
    np.testing.assert_array_equal(np.isfinite(alone.mbf), muscle)
    np.testing.assert_array_equal(alone.aha > 0, muscle)
    assert (alone.mbf[muscle] > 0).all()
    assert set(alone.segments) == set(range(7, 13))
    for segment in alone.segments.values():
        assert 0 <= segment.low <= segment.mbf <= segment.high
        # The cut of Kotecha 2019, which marks and diagnoses nothing.
        assert segment.ischaemic == (segment.mbf < 1.94)
    known_flow = [segment.mbf for segment in alone.segments.values()]
    assert alone.mbf_global == pytest.approx(np.mean(known_flow))


def test_the_phantoms_flow_is_found(stress, alone):
    _, truth = stress
    true = np.array([truth.segment_mbf[n] for n in alone.segments])
    found = np.array([segment.mbf for segment in alone.segments.values()])
    # One segment measured once, through the whole chain and half as many pixels as usual: twice
    # the repeatability of a whole heart, 11–13 % (Brown 2018).
    assert np.sqrt(np.mean((found - true) ** 2)) / true.mean() < 0.3
    inside = [segment.low <= flow <= segment.high for segment, flow in zip(
        alone.segments.values(), true, strict=True
    )]  # fmt: skip
    assert sum(inside) >= 4
    # The segment of the defect is the one with the least flow, or its neighbour.
    worst, told = (int(np.argmin(flows)) for flows in (found, true))
    assert min((worst - told) % 6, (told - worst) % 6) <= 1


def test_the_input_function_is_the_phantoms(stress, alone):
    _, truth = stress
    known_part = np.isfinite(alone.aif_mmol_l)
    assert known_part.all()
    assert np.corrcoef(alone.aif_mmol_l, truth.aif_mmol_l)[0, 1] > 0.98
    assert alone.aif_mmol_l.max() == pytest.approx(truth.aif_mmol_l.max(), rel=0.25)
    # From the frames before contrast on there is nothing.
    assert alone.aif_mmol_l[:4].max() < 0.1 * alone.aif_mmol_l.max()


def test_corrected_is_the_original_at_the_displaced_place(stress, alone):
    one, _ = stress
    shape = alone.mbf.shape
    rows, cols = np.mgrid[: shape[0], : shape[1]] + np.array(alone.offset)[:, None, None]
    for t in range(0, FRAMES, 5):
        down, right = rows + alone.displacement[t, 0], cols + alone.displacement[t, 1]
        whole = np.rint([down, right]).astype(int)
        # Where a place lies on a pixel of the original, it is that pixel.
        exact = np.abs(whole - [down, right]).max(axis=0) < 0.02
        exact &= (whole[0] >= 0) & (whole[0] < 96) & (whole[1] >= 0) & (whole[1] < 80)
        told = one.signal[t][whole[0][exact], whole[1][exact]]
        steepest = np.abs(np.diff(one.signal[t], axis=0)).max()
        np.testing.assert_allclose(alone.corrected[t][exact], told, atol=0.05 * steepest)


def test_contours_lie_on_the_source_grid(stress, alone):
    _, truth = stress
    places = np.argwhere(truth.segmentation == LV_BLOOD)
    middle = places.mean(axis=0)
    for contour in (alone.endocardium, alone.epicardium):
        np.testing.assert_allclose(contour.mean(axis=0), middle, atol=3)
    inner, outer = (
        np.hypot(*(contour - middle).T).mean() for contour in (alone.endocardium, alone.epicardium)
    )
    assert inner < outer


def test_the_same_film_gives_the_same_numbers(stress, alone):
    (again,) = analyse(stress[0]).series
    assert_same(alone, again)


def assert_same(found, again):
    for field in fields(found):
        one, other = getattr(found, field.name), getattr(again, field.name)
        if isinstance(one, np.ndarray):
            np.testing.assert_array_equal(one, other, err_msg=field.name)
        elif is_dataclass(one):
            assert_same(one, other)
        elif field.name == "curves":
            assert one.keys() == other.keys()
            for number in one:
                assert_same(one[number], other[number])
        elif field.name != "seconds":
            assert one == other, field.name


def test_the_film_itself_is_left_alone(stress, both):
    again, _ = phantom("stress")
    np.testing.assert_array_equal(stress[0].signal, again.signal)


def test_progress_grows_to_the_end(rest):
    told = []
    found = pipeline.analyse([rest[0]], {}, lambda stage, done: told.append((stage, done)))
    stages = [stage for stage, _ in told]
    assert list(dict.fromkeys(stages)) == ["motion", "segmentation", "flow"]
    shares = [done for _, done in told]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert set(found.seconds) == {"motion", "segmentation", "flow"}
    # Rest alone: no reserve, and low flow at rest is no sign of ischaemia.
    assert found.reserve == {}
    assert {segment.ischaemic for segment in found.series[0].segments.values()} == {None}


# --- stress and rest, good and bad --------------------------------------------------------------
def test_bad_films_do_not_stop_the_good_ones(stress, rest, both):
    assert [one.uid for one in both.series] == [stress[0].uid, rest[0].uid]
    reasons = {one.uid: one.reason for one in both.refused}
    assert set(reasons) == {"short", "constant", "broken", "grey", "back"}
    # Each is told what is the matter, in a sentence, with what to do.
    assert "11 usable frames" in reasons["short"]
    assert "0 usable frames" in reasons["constant"]
    assert "0 usable frames" in reasons["broken"]
    assert "contrast" in reasons["grey"]
    assert "times" in reasons["back"]
    assert all(reason[0].isupper() and reason.endswith(".") for reason in reasons.values())


def test_reserve_is_stress_over_rest(stress, rest, both):
    at_stress, at_rest = both.series
    assert at_stress.mbf.shape != at_rest.mbf.shape or at_stress.offset != at_rest.offset
    assert set(both.reserve) == set(range(7, 13))
    for number, ratio in both.reserve.items():
        assert ratio == pytest.approx(at_stress.segments[number].mbf / at_rest.segments[number].mbf)
    true = np.mean([stress[1].segment_mbf[n] / rest[1].segment_mbf[n] for n in range(7, 13)])
    assert np.mean(list(both.reserve.values())) == pytest.approx(true, rel=0.35)
    assert {segment.ischaemic for segment in at_rest.segments.values()} == {None}


def test_a_study_of_bad_films_alone_is_no_error(stress):
    found = analyse(short(stress[0]), constant(stress[0]))
    assert found.series == ()
    assert len(found.refused) == 2
    assert found.reserve == {}


def test_no_series_at_all_is_no_error():
    found = analyse()
    assert found.series == found.refused == ()


def test_an_unknown_state_gives_no_reserve(stress, rest):
    unknown = replace(stress[0], state="unknown")
    found = analyse(unknown, rest[0])
    assert len(found.series) == 2
    assert found.reserve == {}
    one = found.series[0]
    assert "state_unknown" in names(one)
    assert {segment.ischaemic for segment in one.segments.values()} == {None}
    assert one.mbf_global > 0


# --- frames that take no part -------------------------------------------------------------------
def test_damaged_frames_stay_in_the_film_and_out_of_the_fit(stress, alone):
    film = stress[0].signal.copy()
    film[5, 40, 40] = np.nan
    film[20] = 33.0
    film[28] = np.inf
    (found,) = analyse(replace(stress[0], signal=film)).series
    assert len(found.corrected) == FRAMES
    assert not found.used[[5, 20, 28]].any()
    assert all("damaged" in found.reasons[t] for t in (5, 20, 28))
    assert found.used.sum() >= FRAMES - 3 - 2
    assert np.isfinite(found.corrected).all()
    assert np.isfinite(found.displacement).all()
    # Three frames of thirty-six carry no flow away.
    assert found.mbf_global == pytest.approx(alone.mbf_global, rel=0.2)


def test_a_wild_frame_is_named(stress):
    film = stress[0].signal.copy()
    film[25] = np.random.default_rng(2).gamma(2, 100, film[25].shape)
    (found,) = analyse(replace(stress[0], signal=film)).series
    assert not found.used[25]
    assert found.reasons[25]
    (flag,) = [flag for flag in found.quality if flag.name == "frames_left_out"]
    assert "1 frame was" in flag.sentence


def test_every_frame_has_a_reason_or_is_used(alone):
    for used, reason in zip(alone.used, alone.reasons, strict=True):
        assert used == (reason is None)


def test_proton_density_frames_count_but_are_not_fitted():
    one, truth = phantom("stress", pd_frames=3)
    (found,) = analyse(one).series
    assert len(found.corrected) == len(found.used) == FRAMES + 3
    assert not found.used[:3].any()
    assert found.reasons[:3] == ("proton-density frame",) * 3
    assert np.isnan(found.aif_mmol_l[:3]).all()
    assert np.isfinite(found.aif_mmol_l[3:]).all()
    assert found.parameters["gain_source"] == "proton density"
    # They measure what full signal is: nothing about its level rests on what is usual.
    assert "usual_peak_assumed" not in names(found)
    assert np.nanmax(found.aif_mmol_l) == pytest.approx(truth.aif_mmol_l.max(), rel=0.15)


def test_a_dual_sequence_brings_the_input_function():
    one, truth = phantom("rest", dual_sequence=True, pd_frames=2)
    (found,) = analyse(one).series
    assert found.parameters["aif_source"] == "low-resolution series"
    told = found.aif_mmol_l[2:]
    assert np.corrcoef(told, truth.aif_mmol_l[2:])[0, 1] > 0.98
    assert told.max() == pytest.approx(truth.aif_mmol_l.max(), rel=0.2)
    assert "aif_saturated" not in names(found)


# --- several slices -----------------------------------------------------------------------------
def test_four_slices_of_one_state():
    levels = ("basal", "mid", "mid2", "apical")
    study = make_study(3, states=("rest",), levels=levels, rows=96, cols=80, frames=30)
    found = analyse(*study.series)
    assert [one.uid for one in found.series] == [one.uid for one in study.series]
    numbers = [tuple(one.segments) for one in found.series]
    assert numbers == [tuple(range(1, 7)), *[tuple(range(7, 13))] * 2, tuple(range(13, 17))]
    assert found.reserve == {}
    # All take the most basal slice's input function, where the cavity is widest.
    assert found.series[0].parameters["aif_source"] == "this series"
    for one in found.series[1:]:
        assert one.parameters["aif_source"] in ("basal slice", "this series")
    assert "basal slice" in {one.parameters["aif_source"] for one in found.series}
    # Each slice's blood has its own clock: a beat holds all slices, so they differ by less.
    peaks = [one.aif_mmol_l.argmax() for one in found.series]
    assert max(peaks) - min(peaks) <= 1


# --- known flow, from contours and an input function that are given -----------------------------
KNOWN = {
    "stress": (2.8, 1.2, 2.0, 3.3, 2.4, 1.6),
    "rest": (0.9, 0.6, 1.1, 0.75, 0.5, 1.0),
}


@pytest.mark.parametrize("state", KNOWN)
@pytest.mark.parametrize("given", [True, False])
def test_flow_of_a_drawn_heart(state, given):
    drawn = known(state, KNOWN[state], noise=4.0, given=given)
    (found,) = analyse(drawn.series).series
    true = np.array(list(drawn.flows.values()))
    told = np.array([found.segments[number].mbf for number in drawn.flows])
    # As well as a whole heart's flow can be measured twice: 11–13 % (Brown 2018), and one in ten
    # may lie outside of an interval of 90 %.
    assert np.sqrt(np.mean((told - true) ** 2)) / true.mean() < 0.18
    inside = [
        found.segments[number].low <= flow <= found.segments[number].high
        for number, flow in drawn.flows.items()
    ]
    assert sum(inside) >= 5
    # The map tells the same as the segments, pixel by pixel.
    of_pixels = np.array([np.nanmedian(found.mbf[found.aha == n]) for n in drawn.flows])
    assert np.corrcoef(of_pixels, true)[0, 1] > 0.9
    if given:
        np.testing.assert_allclose(found.aif_mmol_l, drawn.aif, atol=1e-9)
        assert found.parameters["aif_source"] == "given"
        assert "aif_given" in names(found)
        contours = drawn.series.given_contours
        np.testing.assert_allclose(found.endocardium, contours.endocardium)
        np.testing.assert_allclose(found.epicardium, contours.epicardium)


def test_a_given_input_function_may_have_its_own_times(stress, alone):
    _, truth = stress
    given = GivenInputFunction(
        np.array([-5.0, 0.0, *truth.times_s[::2], 200.0]),
        np.array([0.0, 0.0, *truth.aif_mmol_l[::2], 0.0]),
    )
    (found,) = analyse(replace(stress[0], given_aif=given)).series
    told = np.interp(truth.times_s, given.times_s, given.concentration_mmol_l)
    np.testing.assert_allclose(found.aif_mmol_l, told, atol=1e-9)
    # Twice the contrast in blood for the same in muscle is half the flow, and a little less.
    double = replace(given, concentration_mmol_l=2 * given.concentration_mmol_l)
    (half,) = analyse(replace(stress[0], given_aif=double)).series
    assert half.mbf_global < 0.7 * found.mbf_global


def test_given_contours_are_drawn_in_whatever_the_engine_thinks(stress):
    middle = np.argwhere(stress[1].segmentation == LV_BLOOD).mean(axis=0)
    turn = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    around = np.stack([-np.sin(turn), np.cos(turn)], axis=1)
    given = GivenContours(middle + 7 * around, middle + 11 * around, (30.0, 22.0), (55.0, 22.0))
    (found,) = analyse(replace(stress[0], given_contours=given)).series
    rows, cols = np.mgrid[: found.mbf.shape[0], : found.mbf.shape[1]]
    radius = np.hypot(rows + found.offset[0] - middle[0], cols + found.offset[1] - middle[1])
    # A polygon of sixty corners runs within a hundredth of a pixel of its circle.
    assert (found.segmentation[radius < 6.95] == LV_BLOOD).all()
    ring = (radius > 7.05) & (radius < 10.9)
    assert (found.segmentation[ring] == MYOCARDIUM).all()
    assert not np.isin(found.segmentation[radius > 11.05], (LV_BLOOD, MYOCARDIUM)).any()


# --- what is not known --------------------------------------------------------------------------
def test_a_segment_that_is_not_there_has_no_flow(stress):
    """A wall drawn on one side only: the other segments are unknown, not zero."""
    middle = np.argwhere(stress[1].segmentation == LV_BLOOD).mean(axis=0)
    turn = np.linspace(0, 2 * np.pi, 90, endpoint=False)
    around = np.stack([-np.sin(turn), np.cos(turn)], axis=1)
    outer = np.where(np.abs(turn - np.pi / 6) < np.pi / 5, 13.0, 8.0)
    given = GivenContours(
        middle + 8 * around, middle + outer[:, None] * around,
        tuple(middle + 12 * np.array([-0.87, -0.5])), tuple(middle + 12 * np.array([0.87, -0.5])),
    )  # fmt: skip
    (found,) = analyse(replace(stress[0], given_contours=given)).series
    unknown = [number for number in found.segments if not (found.aha == number).any()]
    assert unknown
    assert all(found.segments[number] == SegmentFlow(None, None, None, None) for number in unknown)
    assert found.mbf_global > 0


def test_what_the_sequence_does_not_tell_is_flagged(stress):
    bare = replace(stress[0], acquisition=replace(stress[0].acquisition, saturation_time_ms=None))
    (found,) = analyse(bare).series
    assert "assumed_saturation_time" in names(found)
    assert found.parameters["saturation_time_ms"] > 0


def test_one_slice_whose_level_was_assumed_says_so(stress):
    (found,) = analyse(replace(stress[0], level_is_assumed=True)).series
    assert "level_assumed" in names(found)


def test_gaps_in_time_are_told(stress):
    one = stress[0]
    kept = np.r_[0:20, 24:FRAMES]
    gapped = replace(
        one, signal=one.signal[kept], times_s=one.times_s[kept], roles=("dynamic",) * len(kept)
    )
    (found,) = analyse(gapped).series
    assert "time_gaps" in names(found)
    assert all(flag.sentence.endswith(".") for flag in found.quality)
    assert all(flag.severity in ("info", "warning", "error") for flag in found.quality)


def test_contours_without_insertions_are_numbered_by_the_picture():
    scene = Scene(frames=40)
    result = analyse(
        scene.series(scene.film(noise=4), given_contours=scene.contours(insertions=False))
    )
    (one,) = result.series
    assert sorted(n for n, flow in one.segments.items() if flow.mbf is not None) == list(
        range(7, 13)
    )
    assert "insertions_assumed" not in names(one)


@pytest.mark.parametrize(("seed", "breathing"), [(3, "free"), (2, "free"), (2, "gasp")])
def test_breathing_without_contrast_is_no_passage(seed, breathing):
    """Films of almost no dose: what goes up and down in them is breath, and no flow comes of it."""
    study = make_study(
        seed, states=("rest",), levels=("mid",), rows=96, cols=80, frames=40, dose=1e-6,
        breathing=breathing,
    )  # fmt: skip
    result = analyse(*study.series)
    assert not result.series
    (refusal,) = result.refused
    assert "contrast" in refusal.reason or "Draw the contours" in refusal.reason


def test_contours_and_insertions_given_back_make_the_same_segments(stress, alone):
    """What a person did not touch in the workspace stays as it was."""
    anterior, inferior = alone.insertions
    given = GivenContours(alone.endocardium, alone.epicardium, anterior, inferior)
    (again,) = analyse(replace(stress[0], given_contours=given)).series
    wall = (alone.aha > 0) & (again.aha > 0)
    assert wall.sum() >= 0.98 * (alone.aha > 0).sum()
    assert (alone.aha == again.aha)[wall].mean() > 0.97
    np.testing.assert_allclose(again.insertions, alone.insertions, atol=0.6)


def test_the_model_curve_runs_through_the_curve_of_each_segment(alone):
    assert set(alone.curves) == {n for n, flow in alone.segments.items() if flow.mbf is not None}
    for number, curve in alone.curves.items():
        measured = curve.tissue_mmol_l[alone.used]
        left = measured - curve.fitted_mmol_l[alone.used]
        assert np.sqrt(np.mean(left**2)) < 0.08 * np.ptp(measured), number


def test_the_input_function_is_measured_where_a_person_says(stress, alone):
    """In the blood it hardly changes; in the wall it is another curve, and so another flow."""
    series, _truth = stress
    middle = alone.endocardium.mean(axis=0)
    angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    small = middle + 2.5 * np.column_stack([np.sin(angle), np.cos(angle)])
    (found,) = analyse(replace(series, given_aif_region=small)).series
    assert found.parameters["aif_source"] == "a region that a person drew"
    assert found.mbf_global == pytest.approx(alone.mbf_global, rel=0.15)
    far = np.array([[-9.0, -9.0], [-9.0, -7.0], [-7.0, -7.0]])
    result = analyse(replace(series, given_aif_region=far))
    assert not result.series
    assert "Draw it in the blood" in result.refused[0].reason

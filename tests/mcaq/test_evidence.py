"""Evidence of motion correction against fields, circles and frames that are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from processing.mcaq import evidence, pipeline, quality
from processing.mcaq.series import LV_BLOOD, MYOCARDIUM, Flag, MotionEvidence, SegmentFlow
from tests.mcaq.flow_scene import known
from tests.mcaq.scene import Scene

FLOWS = (0.9, 0.6, 1.1, 0.75, 0.5, 1.0)
SCENE = Scene(frames=36)
ALL = np.ones(SCENE.frames, bool)


def labels_of(scene=SCENE):
    left, _, wall, *_ = scene.parts()
    return np.where(left >= 0.5, LV_BLOOD, np.where(wall > 0.5, MYOCARDIUM, 0)).astype(np.uint8)


# --- displacement and folds ----------------------------------------------------------------------
def test_displacement_is_the_mean_over_the_heart_in_millimetres():
    heart = np.zeros((12, 12), bool)
    heart[4:8, 4:8] = True
    field = np.zeros((3, 2, 12, 12), np.float32)
    field[1, 0], field[1, 1] = 2.0, -1.0
    field[2, 0, 6:, :] = 4.0
    field[:, :, ~heart] += 50
    found = evidence.displacement_of(field, heart, (1.5, 3.0))
    np.testing.assert_allclose(found, [[0, 0], [3.0, -3.0], [3.0, 0]])


def test_folds_are_counted_where_the_map_turns_back_on_itself():
    heart = np.zeros((20, 20), bool)
    heart[5:15, 5:15] = True
    cols = np.arange(20, dtype=np.float32)
    field = np.zeros((4, 2, 20, 20), np.float32)
    field[1, 1] = 7.0  # a shift folds nowhere
    field[2, 1] = -0.9 * cols  # nor does a shrinking, however strong
    field[3, 1] = -1.5 * np.maximum(cols - 9, 0)  # from column 10 on, right comes to lie left
    assert evidence.folds(field[:3], heart) == 0
    assert evidence.folds(field, heart) == 10 * len(range(10, 15))


# --- frames that do not look like those beside ---------------------------------------------------
@pytest.mark.parametrize(
    ("usual", "one", "named"),
    [(0.9, 0.5, True), (0.9, 0.6, False), (0.55, 0.5, False), (0.6, 0.39, True)],
)
def test_a_frame_is_judged_against_those_beside(usual, one, named):
    matched = np.full(30, usual)
    matched[12] = one
    found = evidence.unlike_neighbours(matched, np.ones(30, bool))
    assert list(np.flatnonzero(found)) == ([12] if named else [])


def test_only_dynamic_frames_are_judged_and_only_against_their_like():
    matched = np.full(20, 0.9)
    matched[:3] = 0.1
    dynamic = np.arange(20) >= 3
    assert not evidence.unlike_neighbours(matched, dynamic).any()


def test_a_picture_that_is_no_part_of_the_film_is_strange():
    film = SCENE.film(noise=4.0)
    dynamic = np.ones(len(film), bool)
    dynamic[:2] = False
    film[0] = 0
    assert not evidence.strange(film, dynamic, SCENE.centre, SCENE.spacing_mm).any()
    film[20] += 0.5 * np.roll(film[20], film.shape[1] // 2, axis=0)  # a ghost
    film[30] += np.random.default_rng(1).normal(0, 40, film[30].shape)
    found = evidence.strange(film, dynamic, SCENE.centre, SCENE.spacing_mm)
    assert list(np.flatnonzero(found)) == [20, 30]


def test_a_film_too_short_for_components_has_no_strange_frame():
    film = SCENE.film(noise=4.0)[:9]
    film[5] *= 3
    assert not evidence.strange(film, np.ones(9, bool), SCENE.centre, SCENE.spacing_mm).any()


def test_a_blood_pool_that_is_larger_for_a_moment_is_named():
    size = np.linspace(100, 160, 40)  # it may grow slowly
    size[20] *= 1.5
    size[30] /= 1.5
    size[:5] = np.nan
    found = evidence.size_changes(size, np.ones(40, bool))
    assert list(np.flatnonzero(found)) == [20, 30]


# --- the blood pool over time --------------------------------------------------------------------
def test_blood_that_stands_still_stays_on_its_place_and_is_not_seen_before_it_comes():
    film = SCENE.film(noise=4.0)
    overlap, size = evidence.blood_pools(film, labels_of(), SCENE.spacing_mm, ALL)
    contrast_s = 8.0
    assert np.isnan(overlap[SCENE.times_s < contrast_s]).all()
    told = np.isfinite(overlap)
    assert told[(SCENE.times_s > contrast_s + 3) & (SCENE.times_s < contrast_s + 8)].all()
    assert overlap[told].min() > 0.97
    area = np.pi * (SCENE.endo_mm / SCENE.pixel_mm) ** 2
    np.testing.assert_allclose(size[told], area, rtol=0.06)


def test_the_overlap_is_that_of_two_circles():
    shifts = np.zeros((SCENE.frames, 2))
    shifts[20] = (2.0, 0.0)
    overlap, _ = evidence.blood_pools(
        SCENE.film(shifts, noise=2.0), labels_of(), SCENE.spacing_mm, ALL
    )
    # Two circles of radius R at distance s share 2/π (acos x − x √(1 − x²)) of each, x = s / 2R.
    x = 2.0 * SCENE.pixel_mm / (2 * SCENE.endo_mm)
    expected = 2 / np.pi * (np.arccos(x) - x * np.sqrt(1 - x**2))
    assert overlap[20] == pytest.approx(expected, abs=0.02)
    assert overlap[19] > 0.97


def test_without_contrast_nothing_is_said_of_the_blood():
    scene = Scene(frames=20, enhancing=False)
    film = scene.film(noise=4.0)
    overlap, size = evidence.blood_pools(
        film, labels_of(scene), scene.spacing_mm, np.ones(20, bool)
    )
    assert np.isnan(overlap).all()
    assert np.isnan(size).all()


def test_blood_in_muscle_is_found_where_the_cavity_was_drawn_too_small():
    film = SCENE.film(noise=2.0)
    assert evidence.blood_in_wall(film, labels_of(), ALL) == pytest.approx(0, abs=0.005)
    labels = labels_of()
    _, radius = SCENE.angle_and_radius()
    drawn_mm = 12.0
    labels[(labels == LV_BLOOD) & (radius > drawn_mm)] = MYOCARDIUM
    # The pixel beside drawn blood is not asked.
    start = (drawn_mm + SCENE.pixel_mm) ** 2
    expected = (SCENE.endo_mm**2 - start) / (SCENE.epi_mm**2 - start)
    assert evidence.blood_in_wall(film, labels, ALL) == pytest.approx(expected, abs=0.04)


def test_without_blood_or_muscle_nothing_is_said_of_the_wall():
    film = SCENE.film(noise=2.0)
    for missing in (LV_BLOOD, MYOCARDIUM):
        labels = labels_of()
        labels[labels == missing] = 0
        assert evidence.blood_in_wall(film, labels, ALL) is None


# --- what the reader is told ---------------------------------------------------------------------
STILL = MotionEvidence(
    displacement_mm=np.zeros((36, 2)),
    folds=0,
    roughness=(1.0, 0.3),
    overlap=np.full(36, 0.96),
    stages=(("translation", True), ("non-rigid", True)),
    departing=np.zeros(36, bool),
)


def told(used=ALL, **changes):
    series = SCENE.series(np.zeros((36, 4, 4), np.float32))
    flags = quality.of_motion(series, replace(STILL, **changes), ALL, used, heart_pixels=500)
    return {flag.name: flag for flag in flags}


def test_a_film_that_is_held_still_needs_no_word():
    assert told() == {}


@pytest.mark.parametrize(
    ("number", "severity"), [(1, "info"), (3, "info"), (5, "warning"), (13, "error")]
)
def test_the_more_frames_are_left_out_the_worse(number, severity):
    used = np.arange(36) >= number
    flag = told(used)["frames_left_out"]
    assert flag.severity == severity
    assert flag.sentence.startswith(f"{number} frame")
    assert ("no. 1, at 0 s" if number == 1 else "no. 1") in flag.sentence


@pytest.mark.parametrize(("folds", "severity"), [(1, "warning"), (400, "error")])
def test_folds_are_told_with_their_number(folds, severity):
    flag = told(folds=folds)["folds"]
    assert flag.severity == severity
    assert f"in {folds} pixel" in flag.sentence


def test_a_film_that_became_rougher_is_not_to_be_relied_on():
    flag = told(roughness=(0.3, 0.4))["film_rougher"]
    assert flag.severity == "error"
    assert "0.40 against 0.30" in flag.sentence


@pytest.mark.parametrize(("overlap", "severity"), [(0.92, None), (0.85, "warning"), (0.7, "error")])
def test_blood_that_wanders_over_its_place_is_told(overlap, severity):
    course = np.full(36, overlap)
    course[:10] = np.nan
    found = told(overlap=course).get("heart_not_still")
    assert (found.severity if found else None) == severity
    if found:
        assert f"to {100 * overlap:.0f} %" in found.sentence


def test_what_was_tried_and_did_not_help_is_said():
    flag = told(stages=(("translation", True), ("non-rigid", False)))["motion_stage_left_out"]
    assert flag.severity == "info"
    assert "shifting each frame made the film steadier and was used" in flag.sentence.lower()
    assert "bending each frame (non-rigid) did not make it steadier and was left out" in (
        flag.sentence
    )


@pytest.mark.parametrize(("least", "severity"), [(0.96, "info"), (0.9, "warning")])
def test_where_nothing_helped_it_matters_whether_the_heart_stands_still(least, severity):
    overlap = np.full(36, 0.98)
    overlap[10:14] = least
    found = told(stages=(("translation", False), ("non-rigid", False)), overlap=overlap)
    assert set(found) == {"motion_not_corrected"}
    assert found["motion_not_corrected"].severity == severity


@pytest.mark.parametrize(
    ("share", "severity"), [(None, None), (0.01, None), (0.05, "warning"), (0.2, "error")]
)
def test_blood_in_the_drawn_muscle_is_told(share, severity):
    flags = quality.of_wall(share)
    assert [flag.severity for flag in flags] == ([severity] if severity else [])
    if severity:
        assert flags[0].sentence.startswith(f"{100 * share:.0f} % of the drawn heart muscle")


@pytest.mark.parametrize(
    ("state", "high", "severity"),
    [
        ("stress", {7: 5.5, 8: 4.9}, None),
        ("rest", {7: 5.5}, "warning"),
        ("stress", {12: 7.1}, "warning"),
        ("stress", {7: 9.0, 12: 7.1}, "error"),
        ("unknown", {7: 9.0, 8: 8.0, 12: 7.1}, "error"),
    ],
)
def test_more_flow_than_muscle_has_is_told_with_its_segments(state, high, severity):
    flows = {n: SegmentFlow(high.get(n, 1.0), None, None, None) for n in range(7, 13)}
    flows[9] = SegmentFlow(None, None, None, None)
    flags = quality.of_flow(state, flows)
    assert [flag.severity for flag in flags] == ([severity] if severity else [])
    if severity:
        numbers = [str(n) for n in high]
        assert f"Flow of {max(high.values()):.1f} ml/min/g in segment" in flags[0].sentence
        assert all(number in flags[0].sentence for number in numbers)


@pytest.mark.parametrize(
    ("severities", "colour", "sentence"),
    [
        ((), "green", None),
        (("info", "info"), "green", None),
        (("info", "warning", "warning"), "amber", "1"),
        (("warning", "info", "error", "error"), "red", "2"),
    ],
)
def test_the_worst_finding_decides_the_light(severities, colour, sentence):
    found = quality.light([Flag("x", one, str(n)) for n, one in enumerate(severities)])
    assert found.colour == colour
    assert found.sentence == (sentence or "No finding speaks against this result.")


def test_the_worst_series_decides_the_light_of_a_study():
    green, amber, red = (quality.Light(c, f"It is {c}.") for c in ("green", "amber", "red"))
    assert quality.study_light([("Rest, mid", green)], 0).colour == "green"
    found = quality.study_light([("Rest, mid", amber), ("Stress, mid", red)], 1)
    assert (found.colour, found.sentence) == ("red", "Stress, mid: It is red.")
    missing = quality.study_light([("Rest, mid", green)], 2)
    assert missing.colour == "amber"
    assert missing.sentence.startswith("2 series could not be analysed")


# --- whole films ---------------------------------------------------------------------------------
def analysed(one):
    (found,) = pipeline.analyse([one], {}, lambda *_: None).series
    return found, {flag.name: flag for flag in found.quality}


@pytest.fixture(scope="module")
def drawn():
    return known("rest", FLOWS)


def test_a_good_film_that_stands_still_is_green(drawn):
    found, flags = analysed(drawn.series)
    assert quality.light(found.quality).colour == "green", flags
    assert np.abs(found.motion.displacement_mm).max() < 1
    assert found.motion.folds == 0
    assert np.nanmedian(found.motion.overlap) > 0.97
    assert found.used.all()


def test_a_frame_that_is_no_heart_and_one_of_another_slice_are_named_and_left_out(drawn):
    film = drawn.series.signal.copy()
    rng = np.random.default_rng(5)
    film[18] = rng.uniform(0, film[18].max(), film[18].shape)
    # As when the slice lies nearer the apex in one beat: the same tissue on smaller circles.
    apex = replace(drawn.scene, endo_mm=14.5, wall_mm=8.0)
    inside, _, wall, *_ = apex.parts()
    blood = float(np.median(film[26][labels_of(drawn.scene) == LV_BLOOD]))
    muscle = float(np.median(film[26][labels_of(drawn.scene) == MYOCARDIUM]))
    film[26] = blood * inside + muscle * wall + 25 * np.clip(1 - inside - wall, 0, 1)
    found, flags = analysed(replace(drawn.series, signal=film))
    assert list(np.flatnonzero(~found.used)) == [18, 26]
    assert "2 frames were left out (no. 19 and 27)" in flags["frames_left_out"].sentence
    assert "27" in flags["slice_may_have_moved"].sentence
    assert found.reasons[18] == found.reasons[26]
    assert found.reasons[26]


def test_a_deep_breath_is_followed_and_not_thrown_away(drawn):
    film = drawn.series.signal.copy()
    for frame, shift in zip(range(20, 25), (3, 8, 12, 8, 3), strict=True):
        film[frame] = np.roll(film[frame], shift, axis=0)
    found, flags = analysed(replace(drawn.series, signal=film))
    assert found.used.all()
    down = found.motion.displacement_mm[:, 0]
    assert int(np.argmax(down)) == 22
    assert down[22] - np.median(down) == pytest.approx(12 * drawn.scene.pixel_mm, abs=2)
    assert flags["large_motion"].severity == "info"

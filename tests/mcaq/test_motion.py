"""Motion correction against shifts that are known: of a drawn heart, and of the phantom's."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from processing.mcaq import motion
from processing.mcaq.phantom import make_study
from processing.mcaq.series import LV_BLOOD, MYOCARDIUM
from tests.mcaq.scene import Scene, window_round

#: Drift that is left, pixels rms: what the product must reach on usual and on hard films.
USUAL, HARD = 0.25, 0.5
SCENE = Scene(frames=36)


def breaths(seed=1, amplitude=3.0):
    """(T, 2) pixels, row and column: breathing of 4.3 s, with what no two beats share."""
    rng = np.random.default_rng(seed)
    phase = 2 * np.pi * SCENE.times_s / 4.3
    course = np.stack([amplitude * np.sin(phase), 0.4 * amplitude * np.cos(phase)], axis=1)
    return course + rng.normal(0, 0.3, course.shape)


def corrected(film, scene=SCENE, references=None):
    references = np.ones(len(film), dtype=bool) if references is None else references
    return motion.correct(film, window_round(scene), scene.centre, scene.spacing_mm, references)


def heart_of(scene=SCENE):
    _, radius = scene.angle_and_radius()
    return (radius < scene.epi_mm)[window_round(scene)]


def error(found, shifts, frames=slice(None)):
    """(T, 2) how far the heart still is from its usual place, which any film may choose."""
    mean = found.displacement[:, :, heart_of()].mean(axis=2)
    off = (mean - shifts)[frames]
    return off - np.median(off, axis=0)


def rms(off):
    return float(np.sqrt((off**2).sum(axis=1).mean()))


@pytest.mark.parametrize(("seed", "noise"), [(1, 0.0), (2, 5.0), (3, 20.0)])
def test_shifts_of_parts_of_a_pixel_are_recovered(seed, noise):
    shifts = breaths(seed)
    found = corrected(SCENE.film(shifts, noise=noise, seed=seed))
    assert rms(shifts - np.median(shifts, axis=0)) > 2
    assert rms(error(found, shifts)) < USUAL
    assert "translation" in found.stages
    assert found.roughness[1] < found.roughness[0]


@pytest.mark.parametrize("noise", [0.0, 5.0])
def test_the_passage_of_contrast_is_no_motion(noise):
    found = corrected(SCENE.film(noise=noise))
    assert rms(error(found, np.zeros((SCENE.frames, 2)))) < USUAL
    # Nowhere in the picture is a still heart bent by as much as a pixel.
    assert np.abs(found.displacement).max() < 1


def test_a_film_that_is_still_and_constant_is_left_alone():
    scene = Scene(frames=20, enhancing=False)
    film = scene.film()
    found = corrected(film, scene)
    np.testing.assert_array_equal(found.displacement, 0)
    rows, cols = window_round(scene)
    np.testing.assert_array_equal(found.corrected, film[:, rows, cols])


def test_a_slow_drift_that_goes_with_contrast_is_seen():
    # References made of the film itself take such a drift for contrast.
    along = np.clip((SCENE.times_s - 6) / 8, 0, 1)
    shifts = np.stack([4 * along, -2 * along], axis=1)
    found = corrected(SCENE.film(shifts, noise=5))
    assert rms(error(found, shifts)) < USUAL


WILD = 20


def _noise(frame):
    return np.random.default_rng(5).gamma(2, 100, frame.shape)


def _eight_times_as_bright(frame):
    return 8 * frame


def _upside_down(frame):
    return frame[::-1]


def _far_away(frame):
    return np.roll(frame, (12, -10), (0, 1))


def _black(frame):
    return np.zeros_like(frame)


@pytest.mark.parametrize("spoil", [_noise, _eight_times_as_bright, _upside_down, _far_away, _black])
def test_a_wild_frame_does_not_pull_the_others(spoil):
    shifts = breaths()
    film = SCENE.film(shifts, noise=5)
    film[WILD] = spoil(film[WILD])
    found = corrected(film)
    others = np.arange(SCENE.frames) != WILD
    assert rms(error(found, shifts, others)) < USUAL


def test_a_frame_that_shows_no_heart_matches_worst():
    film = SCENE.film(breaths(), noise=5)
    film[WILD] = _noise(film[WILD])
    found = corrected(film)
    assert found.matched.argmin() == WILD
    assert found.matched[WILD] < 0.5 * np.median(found.matched)


def test_frames_that_are_no_references_have_no_say():
    shifts = breaths()
    film = SCENE.film(shifts, noise=5)
    references = np.ones(SCENE.frames, dtype=bool)
    references[:3] = False
    film[:3] *= 4
    found = corrected(film, references=references)
    assert found.corrected.shape[0] == SCENE.frames
    assert rms(error(found, shifts, references)) < USUAL


def bilinear(frame, rows, cols):
    """Values between pixels, the border's beyond it; written out, not the engine's way."""
    rows, cols = np.clip(rows, 0, frame.shape[0] - 1), np.clip(cols, 0, frame.shape[1] - 1)
    top = np.minimum(rows.astype(int), frame.shape[0] - 2)
    left = np.minimum(cols.astype(int), frame.shape[1] - 2)
    down, right = rows - top, cols - left
    upper = frame[top, left] * (1 - right) + frame[top, left + 1] * right
    lower = frame[top + 1, left] * (1 - right) + frame[top + 1, left + 1] * right
    return upper * (1 - down) + lower * down


def test_corrected_is_the_original_at_the_displaced_place():
    film = SCENE.film(breaths(), noise=5)
    found = corrected(film)
    rows, cols = np.mgrid[window_round(SCENE)].astype(float)
    for t, frame in enumerate(film.astype(float)):
        d = found.displacement[t].astype(float)
        told = bilinear(frame, rows + d[0], cols + d[1])
        # Up to the rounding of single precision, in which places are kept.
        np.testing.assert_allclose(found.corrected[t], told, atol=1e-4 * film.max())


def folds(field):
    """The least determinant of x ↦ x + d(x)."""
    down_down, down_right = np.gradient(field[0])
    right_down, right_right = np.gradient(field[1])
    return ((1 + down_down) * (1 + right_right) - down_right * right_down).min()


@pytest.mark.parametrize("breathing", ["free", "gasp", "hold_then_drift", "none"])
def test_the_phantoms_heart_is_held_still_without_folds(breathing):
    study = make_study(
        4, states=("rest",), levels=("mid",), rows=96, cols=80, frames=36,
        breathing=breathing, breathing_mm=14.0 if breathing == "gasp" else 9.0,
    )  # fmt: skip
    one, truth = study.series[0], study.truth[0]
    heart = np.isin(truth.segmentation, (MYOCARDIUM, LV_BLOOD))
    centre = ndimage.center_of_mass(truth.segmentation == LV_BLOOD)
    rows, cols = (slice(max(0, round(at) - 31), round(at) + 31) for at in centre)
    window = slice(rows.start, min(96, rows.stop)), slice(cols.start, min(80, cols.stop))
    found = motion.correct(
        one.signal, window, centre, one.pixel_spacing_mm, np.ones(len(one.signal), dtype=bool)
    )
    inside = heart[window]
    told = truth.displacement[:, :, window[0], window[1]][:, :, inside]

    def drift(field):
        mean = (field - told).mean(axis=2)
        return rms(mean - np.median(mean, axis=0))

    assert drift(found.displacement[:, :, inside]) < (HARD if breathing == "gasp" else USUAL)
    if breathing == "gasp":
        assert drift(np.zeros_like(told)) > 2
    assert min(folds(field) for field in found.displacement) > 0


def test_the_determinant_tells_a_fold():
    rows, cols = np.mgrid[:30, :30].astype(np.float32)
    stretched = np.stack([0.1 * rows, np.zeros_like(cols)])
    np.testing.assert_allclose(motion.jacobian(stretched), 1.1, rtol=1e-5)
    folded = np.stack([-1.5 * rows, np.zeros_like(cols)])
    assert motion.jacobian(folded).max() < 0
    turn = np.radians(20)
    turned = np.stack([
        rows * (np.cos(turn) - 1) - cols * np.sin(turn),
        rows * np.sin(turn) + cols * (np.cos(turn) - 1),
    ])  # fmt: skip
    np.testing.assert_allclose(motion.jacobian(turned), 1, rtol=1e-4)


def test_warping_by_whole_pixels_is_a_shift():
    film = np.random.default_rng(2).random((2, 20, 24)).astype(np.float32)
    field = np.zeros((2, 2, 10, 12), dtype=np.float32)
    field[1, 0], field[1, 1] = 3, -2
    found = motion.warp(film, field, (slice(5, 15), slice(6, 18)))
    np.testing.assert_array_equal(found[0], film[0, 5:15, 6:18])
    np.testing.assert_array_equal(found[1], film[1, 8:18, 4:16])

"""Segmentation against masks that are known: of a drawn heart, of phantoms, and given contours."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from processing.mcaq import segmentation
from processing.mcaq.phantom import make_study
from processing.mcaq.series import BACKGROUND, LV_BLOOD, MYOCARDIUM, RV_BLOOD, GivenContours
from tests.mcaq.scene import Scene


def drawn(scene, given=None, film=None, offset=(0, 0)):
    film = scene.film(noise=4) if film is None else film
    centre, right = (
        (place[0] - offset[0], place[1] - offset[1]) for place in (scene.centre, scene.rv_centre)
    )
    return segmentation.segment(film, scene.times_s, centre, right, scene.spacing_mm, given, offset)


def dice(one, other):
    return 2 * np.count_nonzero(one & other) / (one.sum() + other.sum())


def inside(contour, shape):
    """Pixels inside a closed contour by the even-odd rule, written out (Shimrat 1962)."""
    rows, cols = np.mgrid[: shape[0], : shape[1]]
    found = np.zeros(shape, dtype=bool)
    for (r0, c0), (r1, c1) in zip(contour, np.roll(contour, -1, axis=0), strict=True):
        crosses = (r0 > rows) != (r1 > rows)
        with np.errstate(divide="ignore", invalid="ignore"):
            found ^= crosses & (cols < c0 + (rows - r0) * (c1 - c0) / (r1 - r0))
    return found


#: Not round, not where the heart is: nobody would find this.
WILFUL = GivenContours(
    endocardium=np.array([[30.2, 30.3], [30.6, 48.7], [47.3, 52.4], [52.8, 33.1]]),
    epicardium=np.array([[22.4, 24.2], [23.3, 56.1], [55.2, 59.7], [60.6, 25.5]]),
    rv_insertion_anterior=(23.0, 30.0),
    rv_insertion_inferior=(59.0, 29.0),
)


@pytest.mark.parametrize("offset", [(0, 0), (6, 9)])
def test_given_contours_win_exactly(offset):
    scene = Scene()
    film = scene.film(noise=4)[:, offset[0] :, offset[1] :]
    found = drawn(scene, WILFUL, film, offset)
    shift = np.array(offset)
    endo, epi = (
        inside(contour - shift, film.shape[1:])
        for contour in (WILFUL.endocardium, WILFUL.epicardium)
    )
    np.testing.assert_array_equal(found.labels == LV_BLOOD, endo)
    np.testing.assert_array_equal(found.labels == MYOCARDIUM, epi & ~endo)
    np.testing.assert_allclose(found.endocardium + shift, WILFUL.endocardium)
    np.testing.assert_allclose(found.epicardium + shift, WILFUL.epicardium)


def test_given_insertions_are_kept():
    scene = Scene()
    found = drawn(scene, scene.contours(), scene.film(noise=4)[:, 5:, 7:], (5, 7))
    np.testing.assert_allclose(np.add(found.insertions, (5, 7)), scene.insertions)


@pytest.mark.parametrize("direction", range(0, 360, 45))
def test_a_drawn_heart_is_found_in_every_orientation(direction):
    scene = Scene(rv_angle=np.radians(direction))
    found = drawn(scene)
    left, right, wall, *_ = scene.parts()
    # Borders a whole pixel off all round would give .91, .81 and .9.
    assert dice(found.labels == LV_BLOOD, left > 0.5) > 0.95
    assert dice(found.labels == MYOCARDIUM, wall > 0.5) > 0.88
    assert dice(found.labels == RV_BLOOD, right > 0.5) > 0.9
    # Which end is the anterior one: the clockwise end, wherever the right ventricle lies.
    for mine, true in zip(found.insertions, scene.insertions, strict=True):
        # Published distance to insertions that people marked: 2.8 ± 1.8 mm (Scannell 2020).
        assert np.hypot(*np.subtract(mine, true)) * scene.pixel_mm < 2.8 + 2 * 1.8


def test_contours_and_labels_tell_the_same():
    found = drawn(Scene())
    cavity = inside(found.endocardium, found.labels.shape)
    heart = inside(found.epicardium, found.labels.shape)
    assert dice(found.labels == LV_BLOOD, cavity) > 0.99
    assert dice(found.labels == MYOCARDIUM, heart & ~cavity) > 0.99
    assert (found.blood >= 0).all()
    # Pure blood in the middle, none in the wall's middle.
    scene = Scene()
    _, radius = scene.angle_and_radius()
    assert found.blood[radius < 10].min() > 0.8
    assert np.median(found.blood[np.abs(radius - scene.endo_mm - 5) < 1.5]) < 0.2


def test_the_blood_curve_is_that_of_the_cavity():
    scene = Scene()
    found = drawn(scene)
    # Fifty pixels or more under noise of 4: the median errs by less than 4.
    np.testing.assert_allclose(found.lv_curve, scene.curves()[:, 0], atol=4)


@pytest.fixture(scope="module", params=[2, 5])
def still(request):
    """Phantoms that hold their breath for good: what is tested is segmentation alone."""
    return make_study(request.param, rows=96, cols=80, frames=36, breathing="none")


def test_phantoms(still):
    """Of a slice, .8, .88 and .75 at least; the whole table is in the validation report."""
    for one, truth in zip(still.series, still.truth, strict=True):
        left, right = (
            ndimage.center_of_mass(truth.segmentation == part) for part in (LV_BLOOD, RV_BLOOD)
        )
        found = segmentation.segment(
            one.signal, one.times_s, left, right, one.pixel_spacing_mm
        ).labels
        told = {part: dice(found == part, truth.segmentation == part) for part in (1, 2, 3)}
        assert told[MYOCARDIUM] > 0.8, (one.state, one.level, told)
        assert told[LV_BLOOD] > 0.88, (one.state, one.level, told)
        assert told[RV_BLOOD] > 0.75, (one.state, one.level, told)
        # Papillary muscle belongs to the cavity, as people draw it.
        if truth.papillary.any():
            assert np.mean(found[truth.papillary] == LV_BLOOD) > 0.6


def test_no_right_ventricle_in_view():
    scene = Scene()
    left, _, wall, *_ = scene.parts()
    curves = scene.curves()
    parts = np.stack([left, wall])
    film = 20 * (1 - parts.sum(axis=0)) + np.tensordot(curves[:, [0, 2]], parts, axes=1)
    film += 4 * np.random.default_rng(1).standard_normal(film.shape)
    found = drawn(scene, film=film.astype(np.float32))
    assert found.insertions is None
    assert not (found.labels == RV_BLOOD).any()
    assert dice(found.labels == LV_BLOOD, left > 0.5) > 0.9


def test_where_nothing_enhances_the_reader_is_told():
    scene = Scene(enhancing=False)
    with pytest.raises(segmentation.NotFound, match=r"contours\.$"):
        drawn(scene, film=np.zeros((scene.frames, scene.rows, scene.cols), dtype=np.float32))


def test_a_wall_without_area_is_refused():
    scene = Scene()
    given = scene.contours()
    with pytest.raises(segmentation.NotFound, match="muscle"):
        drawn(scene, GivenContours(given.endocardium, given.endocardium))


def test_labels_are_of_four_kinds():
    assert set(np.unique(drawn(Scene()).labels)) == {BACKGROUND, MYOCARDIUM, LV_BLOOD, RV_BLOOD}

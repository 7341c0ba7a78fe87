"""AHA numbers on a drawn ring whose insertions are known (Cerqueira 2002)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from processing.mcaq import segmentation, segments
from processing.mcaq.series import MYOCARDIUM
from tests.mcaq.scene import Scene

TURN = 360.0
#: Numbers in the order in which they follow each other anticlockwise from the anterior insertion.
SIX = {"basal": (2, 3, 4, 5, 6, 1), "mid": (8, 9, 10, 11, 12, 7), "mid2": (8, 9, 10, 11, 12, 7)}
FOUR = (14, 15, 16, 13)


def anatomy_of(scene, *, given=True):
    return segmentation.segment(
        scene.film(noise=4), scene.times_s, scene.centre, scene.rv_centre, scene.spacing_mm,
        scene.contours() if given else None,
    )  # fmt: skip


def borders(scene, level):
    """Where each number of SIX or FOUR begins: degrees from the anterior insertion."""
    septum = np.degrees(scene.septum)
    if level == "apical":
        return septum / 2 - 45 + 90 * np.arange(4)
    rest = (TURN - septum) / 4
    return np.array([0, septum / 2, *(septum + rest * np.arange(4))])


def expected(scene, level):
    """The number of each pixel, and which pixels are clear of all borders by four degrees."""
    angle, _ = scene.angle_and_radius()
    along = np.degrees(angle - (scene.rv_angle - scene.septum / 2)) % TURN
    begins = borders(scene, level)
    order = FOUR if level == "apical" else SIX[level]
    at = (along[..., None] - begins) % TURN
    away = np.minimum(at, TURN - at).min(axis=-1)
    return np.array(order)[at.argmin(axis=-1)], away > 4


@pytest.mark.parametrize("direction", range(0, 360, 40))
def test_numbers_in_every_orientation(direction):
    scene = Scene(rv_angle=np.radians(direction), septum=np.radians(120), frames=24)
    anatomy = anatomy_of(scene)
    wall = anatomy.labels == MYOCARDIUM
    for level in ("basal", "mid", "mid2", "apical"):
        found, told = segments.aha_map(anatomy, level)
        assert told
        numbers, clear = expected(scene, level)
        np.testing.assert_array_equal(found[wall & clear], numbers[wall & clear], level)
        assert not found[~wall].any()
        # A septum of 120°: all segments of one level are of one size, as in the standard.
        sizes = np.bincount(found[wall])
        sizes = sizes[sizes > 0]
        assert len(sizes) == (4 if level == "apical" else 6)
        assert sizes.max() < 1.15 * sizes.min()


@pytest.mark.parametrize("septum", [90, 105, 140])
def test_borders_follow_the_insertions(septum):
    scene = Scene(septum=np.radians(septum), frames=24)
    anatomy = anatomy_of(scene)
    for level in ("basal", "apical"):
        found, _ = segments.aha_map(anatomy, level)
        numbers, clear = expected(scene, level)
        wall = (anatomy.labels == MYOCARDIUM) & clear
        np.testing.assert_array_equal(found[wall], numbers[wall], level)


def test_the_usual_picture():
    """The right ventricle to the left of the picture: anterior above, inferior below."""
    scene = Scene(rv_angle=np.pi, septum=np.radians(120), frames=24)
    anatomy = anatomy_of(scene)
    basal, _ = segments.aha_map(anatomy, "basal")
    apical, _ = segments.aha_map(anatomy, "apical")

    def at(picture, degrees):
        row, col = scene.point(np.radians(degrees), scene.endo_mm + scene.wall_mm / 2)
        return picture[round(row), round(col)]

    assert [at(basal, turn) for turn in (90, 150, 210, 270, 330, 30)] == [1, 2, 3, 4, 5, 6]
    assert [at(apical, turn) for turn in (90, 180, 270, 0)] == [13, 14, 15, 16]


def test_given_insertions_tell_a_mirrored_picture():
    """Seen from the base, with the RV to the left, the anterior insertion lies below."""
    scene = Scene(rv_angle=np.pi, septum=np.radians(120), frames=24)
    given = scene.contours()
    mirrored = replace(
        given,
        rv_insertion_anterior=given.rv_insertion_inferior,
        rv_insertion_inferior=given.rv_insertion_anterior,
    )
    anatomy = segmentation.segment(
        scene.film(noise=4),
        scene.times_s,
        scene.centre,
        scene.rv_centre,
        scene.spacing_mm,
        mirrored,
    )
    basal, told = segments.aha_map(anatomy, "basal")
    apical, _ = segments.aha_map(anatomy, "apical")

    def at(picture, degrees):
        row, col = scene.point(np.radians(degrees), scene.endo_mm + scene.wall_mm / 2)
        return picture[round(row), round(col)]

    assert told
    assert [at(basal, turn) for turn in (270, 210, 150, 90, 30, 330)] == [1, 2, 3, 4, 5, 6]
    assert [at(apical, turn) for turn in (270, 180, 90, 0)] == [13, 14, 15, 16]


@pytest.mark.parametrize("direction", [20, 200])
@pytest.mark.parametrize("level", ["basal", "apical"])
def test_a_mirrored_picture_is_numbered_as_its_mirror_image(direction, level):
    """A flipped film that is said to be mirrored has the flipped numbers."""
    scene = Scene(rv_angle=np.radians(direction), frames=24)
    film = scene.film(noise=4)
    last = film.shape[2] - 1

    def numbered(pictures, flip, *, mirrored):
        places = [
            (row, last - col if flip else col) for row, col in (scene.centre, scene.rv_centre)
        ]
        anatomy = segmentation.segment(
            pictures, scene.times_s, *places, scene.spacing_mm, level=level, mirrored=mirrored
        )
        return segments.aha_map(anatomy, level, mirrored=mirrored)[0]

    usual = numbered(film, flip=False, mirrored=False)
    told = numbered(film[:, :, ::-1], flip=True, mirrored=True)[:, ::-1]
    silent = numbered(film[:, :, ::-1], flip=True, mirrored=False)[:, ::-1]
    wall = (usual > 0) & (told > 0)
    # Borders are found anew: a pixel beside one may change sides.
    assert np.mean(told[wall] == usual[wall]) > 0.93
    assert np.mean(silent[wall] == usual[wall]) < 0.6


@pytest.mark.parametrize("direction", range(0, 360, 90))
def test_insertions_that_nobody_gave_are_seen(direction):
    scene = Scene(rv_angle=np.radians(direction))
    anatomy = anatomy_of(scene, given=False)
    found, told = segments.aha_map(anatomy, "basal")
    assert told
    numbers, _ = expected(scene, "basal")
    wall = anatomy.labels == MYOCARDIUM
    # An insertion off by 6 mm, the most that is usual among readers, moves a tenth of the wall.
    assert np.mean(found[wall] == numbers[wall]) > 0.9


def test_unseen_insertions_are_assumed_and_said():
    scene = Scene()
    film = scene.film(noise=4)
    _, right, *_ = scene.parts()
    film[:, right > 0] = 20
    anatomy = segmentation.segment(
        film, scene.times_s, scene.centre, scene.rv_centre, scene.spacing_mm
    )
    found, told = segments.aha_map(anatomy, "mid")
    assert not told
    assert set(np.unique(found)) == {0, 7, 8, 9, 10, 11, 12}


@pytest.mark.parametrize(
    ("level", "numbers"),
    [
        ("basal", (1, 2, 3, 4, 5, 6)),
        ("mid", (7, 8, 9, 10, 11, 12)),
        ("mid2", (7, 8, 9, 10, 11, 12)),
        ("apical", (13, 14, 15, 16)),
    ],
)
def test_numbers_of_a_level(level, numbers):
    assert segments.numbers_of(level) == numbers


def test_every_segment_has_one_artery():
    assert segments.TERRITORIES == {
        "LAD": (1, 2, 7, 8, 13, 14),
        "RCA": (3, 4, 9, 10, 15),
        "LCx": (5, 6, 11, 12, 16),
    }

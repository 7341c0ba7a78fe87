"""Pictures of motion: what stands where in them, found again in their pixels."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from processing import motion_pictures

T = 40
TIMES = 0.8 * np.arange(T)
ALL = np.ones(T, bool)
DOWN, ACROSS, CROSS = (255, 190, 60), (120, 190, 255), (240, 242, 245)


def plotted(tmp_path, displacement, dynamic=ALL, used=ALL):
    path = tmp_path / "motion.png"
    motion_pictures.write_displacement(path, displacement, TIMES, dynamic, used, "Stress, mid")
    with Image.open(path) as picture:
        assert picture.text == {}
        # Below the legend, above the axis.
        return np.asarray(picture.convert("RGB"))[100:400]


def where(picture, colour):
    """Rows and columns of the pixels of one colour."""
    return np.nonzero((picture == colour).all(axis=-1))


def test_down_is_drawn_upwards_in_its_colour_and_time_goes_to_the_right(tmp_path):
    displacement = np.zeros((T, 2))
    displacement[25:30, 0] = 12.0
    picture = plotted(tmp_path, displacement)
    rows, cols = where(picture, DOWN)
    peak = cols[rows < rows.min() + 5].mean()
    first, last = cols.min(), cols.max()
    assert (peak - first) / (last - first) == pytest.approx(27 / (T - 1), abs=0.03)
    # The other curve stays at nought.
    still, _ = where(picture, ACROSS)
    assert np.ptp(still) < 8
    assert rows.max() == pytest.approx(still.mean(), abs=6)


def test_a_heart_that_hardly_moves_is_drawn_as_one(tmp_path):
    rows, _ = where(plotted(tmp_path, 0.2 * np.sin(TIMES)[:, None] * [1, 0]), DOWN)
    assert np.ptp(rows) < 30


def test_frames_that_were_left_out_are_marked_and_others_are_not(tmp_path):
    displacement = np.full((T, 2), 3.0)
    used = ALL.copy()
    used[20] = False
    before = len(where(plotted(tmp_path, displacement), CROSS)[0])
    marked = plotted(tmp_path, displacement, used=used)
    rows, cols = where(marked, CROSS)
    assert len(rows) > before
    middle = cols[(cols > 300) & (cols < 400)]
    assert len(middle) > 30
    assert np.ptp(middle) < 20


def test_frames_before_the_film_proper_are_not_drawn(tmp_path):
    displacement = np.zeros((T, 2))
    displacement[:10, 0] = 50.0
    dynamic = np.arange(T) >= 10
    rows, cols = where(plotted(tmp_path, displacement, dynamic, dynamic), DOWN)
    assert np.ptp(rows) < 10
    assert cols.min() > 150


@pytest.mark.parametrize("moves", ["down", "across"])
def test_a_strip_shows_the_motion_before_and_none_after_along_the_way_it_went(tmp_path, moves):
    rng = np.random.default_rng(1)
    shift = np.round(6 * np.sin(TIMES)).astype(int)
    still = 20 + 5 * rng.random((T, 50, 60))
    rows, cols = np.mgrid[:50, :60]
    blood = np.hypot(rows - 25, cols - 30) < 8
    still[:, blood] = 200
    axis = 0 if moves == "down" else 1
    moved = np.stack([np.roll(f, s, axis=axis) for f, s in zip(still, shift, strict=True)])
    displacement = 2.0 * np.stack([shift, 0 * shift], axis=1)
    if moves == "across":
        displacement = displacement[:, ::-1]
    path = tmp_path / "strip.png"
    motion_pictures.write_strip(
        path, moved, still, blood, displacement, TIMES, ALL, ALL, (2.0, 2.0), "Rest, mid"
    )
    with Image.open(path) as picture:
        assert picture.width == motion_pictures.WIDTH
        grey = np.asarray(picture.convert("L"))
    bright = grey > 200
    # The upper edge of the bright band, column by column, in each half.
    edges = []
    for top in (88, 334):
        band = bright[top : top + 205, 90:600]
        edges.append(band.argmax(axis=0))
    assert np.ptp(edges[0]) > 30
    assert np.ptp(edges[1]) <= 3


def test_a_slice_without_blood_and_one_frame_alone_still_make_a_picture(tmp_path):
    film = np.ones((1, 20, 24))
    one = np.ones(1, bool)
    motion_pictures.write_strip(
        tmp_path / "strip.png", film, film, np.zeros((20, 24), bool), np.zeros((1, 2)),
        np.zeros(1), one, one, (2.0, 2.0), "Rest, mid",
    )  # fmt: skip
    motion_pictures.write_displacement(
        tmp_path / "motion.png", np.zeros((1, 2)), np.zeros(1), one, one, "Rest, mid"
    )
    for name in ("strip.png", "motion.png"):
        with Image.open(tmp_path / name) as picture:
            assert picture.width == motion_pictures.WIDTH


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(-6.0, 6.0, [-6, -4, -2, 0, 2, 4, 6]), (0.0, 52.3, [0, 10, 20, 30, 40, 50])],
)
def test_ticks_are_round_and_few(low, high, expected):
    assert motion_pictures.ticks(low, high, 8) == expected

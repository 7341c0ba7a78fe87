"""The object that the workspace draws: what is in it is what the engine found, to the pixel."""

from __future__ import annotations

import numpy as np

from processing import frames
from tests.frames import read


def test_what_is_written_is_read_again(tmp_path):
    draw = np.random.default_rng(5)
    film = draw.normal(400, 90, (7, 13, 11)).astype(np.float32)
    mbf = np.where(draw.random((13, 11)) < 0.5, np.nan, draw.random((13, 11)) * 6)
    labels = draw.integers(0, 4, (13, 11)).astype(np.uint8)
    aha = draw.integers(0, 17, (13, 11)).astype(np.uint8)
    frames.write_result(tmp_path / "a.frames", film, (4, 9), mbf=mbf, segmentation=labels, aha=aha)
    header, arrays = read((tmp_path / "a.frames").read_bytes())
    assert header["offset"] == [4, 9]
    back = header["low"] + header["step"] * arrays["film"].astype(np.float64)
    assert np.abs(back - film).max() <= header["step"] / 2 + 1e-3
    np.testing.assert_array_equal(arrays["mbf"], mbf.astype(np.float32))
    np.testing.assert_array_equal(arrays["segmentation"], labels)
    np.testing.assert_array_equal(arrays["aha"], aha)


def test_the_same_film_makes_the_same_bytes(tmp_path):
    film = np.full((3, 5, 5), np.nan, np.float32)
    film[1] = 7.0
    for name in ("a", "b"):
        frames.write_film(tmp_path / name, film, (0, 0))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    header, arrays = read((tmp_path / "a").read_bytes())
    assert header["low"] == 7.0
    assert not arrays["film"].any()

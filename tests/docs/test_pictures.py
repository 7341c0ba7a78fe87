"""Pictures of README.md: as they are if small enough, fewer colours if not, refused beyond."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from scripts import pictures
from scripts.steps import StepError


def noise(side: int) -> Image.Image:
    values = np.random.default_rng(1).integers(0, 256, (side, side, 3), dtype=np.uint8)
    return Image.fromarray(values)


def test_a_small_picture_keeps_each_colour(tmp_path):
    picture = noise(200)
    size = pictures.save(picture, tmp_path / "a.png")
    assert size == (tmp_path / "a.png").stat().st_size <= pictures.LARGEST_BYTES
    with Image.open(tmp_path / "a.png") as kept:
        np.testing.assert_array_equal(np.asarray(kept.convert("RGB")), np.asarray(picture))


def test_a_larger_one_gives_up_colours(tmp_path):
    size = pictures.save(noise(400), tmp_path / "a.png")
    assert size <= pictures.LARGEST_BYTES
    with Image.open(tmp_path / "a.png") as kept:
        assert kept.size == (400, 400)
        assert kept.mode == "P"


def test_one_that_stays_too_large_is_refused(tmp_path):
    with pytest.raises(StepError, match=r"^a\.png would have"):
        pictures.save(noise(900), tmp_path / "a.png")
    assert list(tmp_path.iterdir()) == []

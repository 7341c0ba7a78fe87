"""Pictures: colours mean what the bar says, films can be played and sought."""

from __future__ import annotations

import subprocess
from pathlib import Path

import imageio_ffmpeg
import numpy as np
from PIL import Image
from skimage.color import rgb2lab

from processing import render
from studies.colours import MBF_HIGH, MBF_LOW, colours


def _ffmpeg(*arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, timeout=60, check=False)


def _decoded(path: Path, height: int, width: int) -> np.ndarray:
    raw = _ffmpeg("-v", "error", "-i", path, "-f", "rawvideo", "-pix_fmt", "gray", "-").stdout
    return np.frombuffer(raw, np.uint8).reshape(-1, height, width)


def test_the_colour_scale_is_even_to_the_eye():
    """Lightness grows in a straight line, so that no flow stands out by its colour alone."""
    ramp = colours(np.linspace(MBF_LOW, MBF_HIGH, 61), MBF_LOW, MBF_HIGH)
    lightness = rgb2lab(ramp[None] / 255)[0, :, 0]
    line = np.linspace(lightness[0], lightness[-1], 61)
    assert np.all(np.diff(lightness) > 0)
    assert np.abs(lightness - line).max() < 3


def test_values_outside_the_scale_have_its_end_colours():
    ends = colours(np.array([-1.0, 0.0, 6.0, 9.0, np.inf]), MBF_LOW, MBF_HIGH)
    assert (ends[0] == ends[1]).all()
    assert (ends[2] == ends[3]).all()
    assert (ends[2] == ends[4]).all()


def test_a_map_shows_flow_in_its_colour_over_grey(tmp_path):
    mbf = np.full((40, 50), np.nan, dtype=np.float32)
    mbf[10:20, 10:30] = 3.0
    rng = np.random.default_rng(1)
    anatomy = rng.uniform(0, 100, (40, 50)).astype(np.float32)
    path = tmp_path / "mbf.png"
    render.write_map(path, mbf, anatomy, np.isfinite(mbf), "Stress, mid")
    picture = np.asarray(Image.open(path).convert("RGB"))
    scale = 512 / 50
    row, col = 40 + round(15 * scale), round(20 * scale)
    assert tuple(picture[row, col]) == tuple(colours(np.array(3.0), MBF_LOW, MBF_HIGH))
    grey = picture[40 + round(30 * scale), round(40 * scale)]
    assert grey[0] == grey[1] == grey[2]
    # The bar beside it goes from the highest colour at its top to the lowest at its foot.
    bar = picture[40:450, 512 + 36]
    top = colours(np.array(MBF_HIGH), MBF_LOW, MBF_HIGH)
    foot = colours(np.array(MBF_LOW), MBF_LOW, MBF_HIGH)
    first = np.flatnonzero((bar == top).all(axis=1))[0]
    last = np.flatnonzero((bar == foot).all(axis=1))[-1]
    assert last - first > 300
    assert Image.open(path).text == {}


def test_a_film_is_h264_with_its_index_first(tmp_path):
    rng = np.random.default_rng(2)
    corrected = rng.uniform(0, 100, (23, 45, 37)).astype(np.float32)
    pictures = render.film_frames(corrected, ("dynamic",) * 23, np.ones((45, 37), bool))
    assert pictures.shape[1] % 2 == pictures.shape[2] % 2 == 0
    path = tmp_path / "cine.mp4"
    render.write_film(path, pictures)
    told = _ffmpeg("-i", path).stderr.decode()
    assert "Video: h264" in told
    assert "yuv420p" in told
    assert f"{render.FRAMES_PER_SECOND} fps" in told
    assert len(_decoded(path, *pictures.shape[1:])) == 23
    data = path.read_bytes()
    assert 0 < data.index(b"moov") < data.index(b"mdat")


def test_frames_of_a_film_keep_their_order(tmp_path):
    corrected = np.zeros((12, 32, 32), dtype=np.float32)
    for n in range(12):
        corrected[n, :, 2 * n : 2 * n + 4] = 100
    pictures = render.film_frames(corrected, ("dynamic",) * 12, np.ones((32, 32), bool))
    path = tmp_path / "cine.mp4"
    render.write_film(path, pictures)
    decoded = _decoded(path, 384, 384)
    assert len(decoded) == 12
    for n, frame in enumerate(decoded):
        seen = frame.mean(axis=0)
        assert abs(float((np.arange(384) * seen).sum() / seen.sum()) - 12 * (2 * n + 2)) < 8


def test_proton_density_frames_do_not_darken_the_film():
    corrected = np.ones((10, 20, 20), dtype=np.float32)
    corrected[:, 5:15] = 50
    corrected[0] *= 40
    pictures = render.film_frames(corrected, ("pd",) + ("dynamic",) * 9, np.ones((20, 20), bool))
    assert pictures[5].max() > 200
    assert pictures[0].min() < 60


def test_bright_fat_is_cut_off_and_the_heart_is_seen():
    corrected = np.full((5, 40, 40), 10, dtype=np.float32)
    corrected[:, :8] = 4000
    heart = np.zeros((40, 40), bool)
    heart[20:30, 20:30] = True
    corrected[:, heart] = 100
    pictures = render.film_frames(corrected, ("dynamic",) * 5, heart)
    assert pictures[0, 240, 240] > 200

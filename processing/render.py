"""Pictures of a series: the flow map with its scale and unit, and the corrected film as H.264."""

from __future__ import annotations

from pathlib import Path

import imageio.v2 as imageio
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from studies.colours import MBF_HIGH, MBF_LOW, MBF_UNIT, colours
from studies.intended_use import INTENDED_USE

F32 = NDArray[np.floating]
Bytes = NDArray[np.uint8]
Mask = NDArray[np.bool_]

FILM_WIDTH = 384
FRAMES_PER_SECOND = 10
_PICTURE_WIDTH = 512
PAPER, INK, QUIET = (16, 18, 20), (240, 242, 245), (168, 176, 184)


def write_map(
    path: Path, mbf: F32, anatomy: F32, heart: Mask, title: str, unit: str = MBF_UNIT
) -> None:
    """Write a PNG: flow in colour over ``anatomy`` in grey, a colour bar with ticks and unit.

    mbf, anatomy, heart: (rows, cols); mbf in ``unit``, NaN outside the muscle. The scale is
    the same for every series, so that maps can be compared by eye.
    """
    rows, cols = mbf.shape
    scale = max(1.0, _PICTURE_WIDTH / cols)
    size = (round(cols * scale), round(rows * scale))
    grey = _resized(windowed(anatomy, *window(anatomy, heart)), size)
    inside = np.isfinite(mbf)
    coloured = np.asarray(
        Image.fromarray(colours(mbf, MBF_LOW, MBF_HIGH)).resize(size, Image.Resampling.NEAREST)
    )
    # Nearest-neighbour colours show each pixel as it was computed; only where a pixel is.
    shown = np.asarray(Image.fromarray(inside).resize(size, Image.Resampling.NEAREST))
    picture = np.repeat(grey[..., None], 3, axis=-1)
    picture[shown] = coloured[shown]
    _framed(picture, title, unit).save(path)


def _framed(picture: Bytes, title: str, unit: str) -> Image.Image:
    """The picture with its title, colour bar and note."""
    height, width = picture.shape[:2]
    top, side, bottom = 40, 132, 34
    image = Image.new("RGB", (width + side, height + top + bottom), PAPER)
    image.paste(Image.fromarray(picture), (0, top))
    draw = ImageDraw.Draw(image)
    draw.text((12, 20), title, fill=INK, font=ImageFont.load_default(size=19), anchor="lm")
    draw.text(
        (12, top + height + bottom // 2), INTENDED_USE, fill=QUIET,
        font=ImageFont.load_default(size=13), anchor="lm",
    )  # fmt: skip
    _bar(image, draw, width + 26, top + 34, 22, height - 54, unit)
    return image


def _bar(
    image: Image.Image, draw: ImageDraw.ImageDraw, left: int, top: int, width: int, height: int,
    unit: str,
) -> None:  # fmt: skip
    ramp = np.linspace(MBF_HIGH, MBF_LOW, height)[:, None].repeat(width, axis=1)
    image.paste(Image.fromarray(colours(ramp, MBF_LOW, MBF_HIGH)), (left, top))
    draw.rectangle((left - 1, top - 1, left + width, top + height), outline=QUIET)
    font = ImageFont.load_default(size=15)
    for value in range(int(MBF_LOW), int(MBF_HIGH) + 1):
        y = top + round((MBF_HIGH - value) / (MBF_HIGH - MBF_LOW) * (height - 1))
        draw.line((left + width, y, left + width + 5, y), fill=QUIET)
        draw.text((left + width + 10, y), str(value), fill=INK, font=font, anchor="lm")
    small = ImageFont.load_default(size=14)
    draw.text((left - 14, top - 17), f"MBF ({unit})", fill=INK, font=small, anchor="lm")


def window(values: F32, heart: Mask | None = None) -> tuple[float, float]:
    """Darkest and brightest grey of pictures (…, rows, cols), robust against a few odd pixels.

    heart: where it lies; fat near the coil may be brighter, and is cut off.
    """
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        return 0.0, 1.0
    low, high = np.percentile(finite, (1, 99.5))
    if heart is not None and heart.any():
        high = 1.1 * np.percentile(np.nan_to_num(values[..., heart]), 99.5)
    return float(low), float(max(high, low + 1e-6))


def windowed(values: F32, low: float, high: float) -> Bytes:
    scaled = np.clip((np.nan_to_num(values) - low) / (high - low), 0, 1)
    return np.asarray((255 * scaled).round(), dtype=np.uint8)


def _resized(grey: Bytes, size: tuple[int, int]) -> Bytes:
    return np.array(Image.fromarray(grey).resize(size, Image.Resampling.BICUBIC))


def film_frames(corrected: F32, roles: tuple[str, ...], heart: Mask) -> Bytes:
    """Grey pictures (T, height, width) for a film of ``corrected`` (T, rows, cols).

    heart: (rows, cols), where it lies.

    All dynamic frames share one window, so that the contrast is seen to come and go;
    proton-density frames, far brighter, have their own.
    """
    dynamic = np.array([role == "dynamic" for role in roles])
    shared = window(corrected[dynamic] if dynamic.any() else corrected, heart)
    rows, cols = corrected.shape[1:]
    # H.264 in 4:2:0 needs even sides.
    size = (FILM_WIDTH, max(2, 2 * round(rows * FILM_WIDTH / cols / 2)))
    pictures = [
        _resized(windowed(frame, *(shared if role == "dynamic" else window(frame, heart))), size)
        for frame, role in zip(corrected, roles, strict=True)
    ]
    return np.stack(pictures)


def write_film(path: Path, pictures: Bytes) -> None:
    """Write grey pictures (T, height, width) as H.264 mp4.

    yuv420p plays everywhere; the index comes first and each fifth picture stands alone, so that a
    browser can start and seek at once.
    """
    with imageio.get_writer(
        path,
        format="FFMPEG",
        mode="I",
        fps=FRAMES_PER_SECOND,
        codec="libx264",
        pixelformat="yuv420p",
        quality=None,
        macro_block_size=2,
        ffmpeg_log_level="error",
        ffmpeg_params=[
            "-crf", "20", "-preset", "veryfast", "-g", "5", "-threads", "1",
            "-map_metadata", "-1", "-fflags", "+bitexact", "-movflags", "+faststart",
        ],
    ) as writer:  # fmt: skip
        for picture in pictures:
            writer.append_data(picture)  # type: ignore[attr-defined]  # typed as its base


def write_poster(path: Path, pictures: Bytes, roles: tuple[str, ...]) -> None:
    """Write the brightest dynamic picture of a film: contrast is in the heart there."""
    brightness = pictures.mean(axis=(1, 2))
    dynamic = np.array([role == "dynamic" for role in roles])
    if dynamic.any():
        brightness = np.where(dynamic, brightness, -1.0)
    Image.fromarray(pictures[int(brightness.argmax())]).save(path)

"""Pictures of how motion was corrected: displacement against time, and a strip before and after.

They are shown at 300 to 400 pixels of a page's width, so letters are large.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from processing.render import INK, PAPER, QUIET, window, windowed
from studies.intended_use import INTENDED_USE

F32 = NDArray[np.floating]
Bytes = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Box = tuple[int, int, int, int]

WIDTH = 640
_DOWN, _ACROSS = (255, 190, 60), (120, 190, 255)
_GRID = (52, 58, 64)
_LEFT, _RIGHT, _TOP, _FOOT = 74, 20, 112, 98
_HEAD = 58
_PLOT_HEIGHT, _STRIP_HEIGHT = 300, 210
_SMALL, _TITLE, _NOTE = 22, 24, 19
#: A film that hardly moves is drawn as one.
_LEAST_MM = 5.0
_STRIP_MM = 20.0


def write_displacement(
    path: Path, displacement_mm: F32, times_s: F32, dynamic: Mask, used: Mask, title: str
) -> None:
    """Write a PNG: how far the heart stood from its usual place, in mm, against time in s.

    displacement_mm: (T, 2), row (down) then column (right). times_s, dynamic, used: (T,). Frames
    left out are marked; frames that are not dynamic are not drawn.
    """
    image, draw = _canvas(_TOP + _PLOT_HEIGHT + _FOOT, f"{title}: place of the heart")
    times, moved = np.asarray(times_s)[dynamic], np.asarray(displacement_mm)[dynamic]
    out = ~np.asarray(used)[dynamic]
    box = (_LEFT, _TOP, WIDTH - _RIGHT, _TOP + _PLOT_HEIGHT)
    top = float(max(_LEAST_MM, 1.08 * np.abs(moved).max(initial=0.0)))
    span = _span(times_s)
    _legend(draw, bool(out.any()))
    for value in ticks(-top, top, 8):
        y = _place(value, top, -top, box[1], box[3])
        draw.line((box[0], y, box[2], y), fill=QUIET if value == 0 else _GRID)
        text = f"{value:+g}" if value else "0"
        draw.text((box[0] - 8, y), text, fill=INK, font=_font(_SMALL), anchor="rm")
    _label_mm(image, box)
    _time_axis(draw, box, span)
    x = [_place(float(t), *span, box[0], box[2]) for t in times]
    for t in np.flatnonzero(out):
        draw.line((x[t], box[1], x[t], box[3]), fill=_GRID, width=3)
    for axis, colour, dashed in ((1, _ACROSS, True), (0, _DOWN, False)):
        heights = [_place(float(v), top, -top, box[1], box[3]) for v in moved[:, axis]]
        points = list(zip(x, heights, strict=True))
        _line(draw, points, colour, dashed=dashed)
        for t in np.flatnonzero(out):
            _cross(draw, points[t], 7)
    image.save(path)


def write_strip(
    path: Path,
    before: F32,
    after: F32,
    blood: Mask,
    displacement_mm: F32,
    times_s: F32,
    dynamic: Mask,
    used: Mask,
    spacing_mm: tuple[float, float],
    title: str,
) -> None:
    """Write a PNG: the pixels of one line through the left ventricle against time, twice.

    before, after: (T, r, c), the original and the corrected film on the same grid. blood: (r, c),
    of the left ventricle. displacement_mm: (T, 2); the line runs the way the heart moved most,
    down the picture or across it. Each frame is drawn until the next one comes. Thin lines show
    where the blood of the left ventricle ends.
    """
    down, across_picture = np.std(np.asarray(displacement_mm)[dynamic], axis=0)
    line = "a line down the picture"
    if across_picture > down:
        line = "a line across the picture"
        before, after, blood = before.transpose(0, 2, 1), after.transpose(0, 2, 1), blood.T
        spacing_mm = (spacing_mm[1], spacing_mm[0])
    rows, col = _middle(blood)
    height = _STRIP_HEIGHT
    image, draw = _canvas(_HEAD + 2 * (height + 36) + _FOOT, f"{title}: {line}")
    across = slice(max(col - 1, 0), col + 2)
    # Roots bring out muscle beside bright blood.
    before, after = (np.sqrt(np.maximum(np.nan_to_num(film), 0)) for film in (before, after))
    strips = [film[dynamic][:, :, across].mean(axis=2) for film in (before, after)]
    low, high = window(np.stack([before[dynamic], after[dynamic]]), blood)
    times = np.asarray(times_s, dtype=np.float64)[dynamic]
    out = ~np.asarray(used)[dynamic]
    span = _span(times_s)
    width = WIDTH - _RIGHT - _LEFT
    column_s = np.linspace(span[0], span[1], width)
    shown = np.clip(np.searchsorted(times, column_s, side="right") - 1, 0, len(times) - 1)
    count = before.shape[1]
    top = _HEAD
    for strip, word in zip(strips, ("before", "after"), strict=True):
        box = (_LEFT, top + 30, WIDTH - _RIGHT, top + 30 + height)
        grey = Image.fromarray(windowed(strip.T, low, high))
        grey = grey.resize((grey.width, height), Image.Resampling.BICUBIC)
        image.paste(Image.fromarray(np.asarray(grey)[:, shown]), box[:2])
        draw.text((box[0], top + 14), word, fill=INK, font=_font(_SMALL), anchor="lm")
        for edge in rows:
            y = round(box[1] + edge * height / count)
            _dashes(draw, (box[0], y), (box[2], y), _DOWN)
        for t in np.flatnonzero(out):
            _cross(draw, (_place(float(times[t]), *span, box[0], box[2]), top + 24), 5)
        _scale_bar(draw, box, spacing_mm[0] * count)
        top = box[3] + 6
    if out.any():
        words = "left out"
        x = WIDTH - _RIGHT - round(draw.textlength(words, font=_font(_SMALL)))
        draw.text((x, _HEAD - 4), words, fill=INK, font=_font(_SMALL), anchor="lm")
        _cross(draw, (x - 16, _HEAD - 4), 6)
    _time_axis(draw, box, span)
    image.save(path)


def _canvas(height: int, title: str) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    image = Image.new("RGB", (WIDTH, height), PAPER)
    draw = ImageDraw.Draw(image)
    draw.text((12, 22), title, fill=INK, font=_font(_TITLE), anchor="lm")
    draw.text((12, height - 18), INTENDED_USE, fill=QUIET, font=_font(_NOTE), anchor="lm")
    return image, draw


def _font(size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(size=size)


def _legend(draw: ImageDraw.ImageDraw, any_out: bool) -> None:
    y, x = _HEAD, 12
    for text, colour, dashed in (
        ("down + / up -", _DOWN, False),
        ("right + / left -", _ACROSS, True),
    ):
        _line(draw, [(x, y), (x + 22, y), (x + 44, y)], colour, dashed=dashed)
        draw.text((x + 54, y), text, fill=INK, font=_font(_SMALL), anchor="lm")
        x += 54 + round(draw.textlength(text, font=_font(_SMALL))) + 28
    if any_out:
        _cross(draw, (x + 8, y), 7)
        draw.text((x + 24, y), "left out", fill=INK, font=_font(_SMALL), anchor="lm")


def _label_mm(image: Image.Image, box: Box) -> None:
    ImageDraw.Draw(image).text(
        (box[0] - 8, box[1] - 14), "mm", fill=QUIET, font=_font(_SMALL), anchor="rm"
    )


def ticks(low: float, high: float, most: int) -> list[float]:
    """At most ``most`` + 1 round values from ``low`` to ``high``, zero being one of their grid."""
    for step in (0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500):
        if (high - low) / step <= most:
            break
    return [float(step * n) for n in range(int(np.ceil(low / step)), int(high // step) + 1)]


def _span(times_s: F32) -> tuple[float, float]:
    """First and last time of the axis: each frame lasts until the next, the last as usual."""
    times = np.asarray(times_s, dtype=np.float64)
    usual = float(np.median(np.diff(times))) if len(times) > 1 else 1.0
    return float(times[0]), float(times[-1]) + max(usual, 1e-3)


def _time_axis(draw: ImageDraw.ImageDraw, box: Box, span: tuple[float, float]) -> None:
    draw.line((box[0], box[3], box[2], box[3]), fill=QUIET)
    for value in ticks(*span, 8):
        x = _place(value, *span, box[0], box[2])
        draw.line((x, box[3], x, box[3] + 6), fill=QUIET)
        draw.text((x, box[3] + 18), f"{value:g}", fill=INK, font=_font(_SMALL), anchor="mm")
    middle = (box[0] + box[2]) // 2
    draw.text((middle, box[3] + 44), "Time in s", fill=QUIET, font=_font(_SMALL), anchor="mm")


def _place(value: float, start: float, end: float, first: int, last: int) -> int:
    """Where ``value`` lies between pixels ``first`` and ``last``."""
    return round(first + (value - start) / (end - start) * (last - first))


def _line(
    draw: ImageDraw.ImageDraw,
    points: list[tuple[int, int]],
    colour: tuple[int, ...],
    *,
    dashed: bool,
) -> None:
    if not dashed:
        draw.line(points, fill=colour, width=4, joint="curve")
        return
    left = 0.0
    for start, end in pairwise(points):
        left = _dashes(draw, start, end, colour, width=3, phase=left)


def _dashes(
    draw: ImageDraw.ImageDraw,
    start: tuple[int, int],
    end: tuple[int, int],
    colour: tuple[int, ...],
    width: int = 1,
    phase: float = 0.0,
) -> float:
    """Dashes of 10 pixels from one point to another; gives where in its pattern it ended."""
    length = float(np.hypot(end[0] - start[0], end[1] - start[1]))
    at, period = -phase, 18.0
    while at < length:
        ends = [np.clip(part, 0, length) / max(length, 1e-9) for part in (at, at + 10)]
        if ends[1] > ends[0]:
            a, b = [
                (start[0] + s * (end[0] - start[0]), start[1] + s * (end[1] - start[1]))
                for s in ends
            ]
            draw.line((*a, *b), fill=colour, width=width)
        at += period
    return (phase + length) % period


def _cross(draw: ImageDraw.ImageDraw, at: tuple[int, int], reach: int) -> None:
    x, y = at
    draw.line((x - reach, y - reach, x + reach, y + reach), fill=INK, width=3)
    draw.line((x - reach, y + reach, x + reach, y - reach), fill=INK, width=3)


def _middle(blood: Mask) -> tuple[tuple[int, int], int]:
    """First and end row of the blood on the column through its middle, and that column."""
    if not blood.any():
        return (0, blood.shape[0]), blood.shape[1] // 2
    col = round(float(np.nonzero(blood)[1].mean()))
    rows = np.flatnonzero(blood[:, col])
    if len(rows) == 0:
        rows = np.flatnonzero(blood.any(axis=1))
    return (int(rows[0]), int(rows[-1]) + 1), col


def _scale_bar(draw: ImageDraw.ImageDraw, box: Box, height_mm: float) -> None:
    length = round(_STRIP_MM / height_mm * (box[3] - box[1]))
    middle, x = (box[1] + box[3]) // 2, box[0] - 12
    top = middle - length // 2
    draw.line((x, top, x, top + length), fill=INK, width=3)
    for y in (top, top + length):
        draw.line((x - 4, y, x + 4, y), fill=INK, width=3)
    font = _font(_SMALL)
    draw.text((x - 10, middle - 12), f"{_STRIP_MM:g}", fill=INK, font=font, anchor="rm")
    draw.text((x - 10, middle + 12), "mm", fill=INK, font=font, anchor="rm")

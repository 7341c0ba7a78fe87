"""The 16 AHA segments as a plan seen from the apex: where each lies, and its colour."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from studies.colours import colours

#: Radii of the rings basal, mid and apical, in the units of the drawing (200 wide).
_RINGS = ((96.0, 68.0), (68.0, 40.0), (40.0, 12.0))
CENTRE = 100.0


@dataclass(frozen=True)
class Shape:
    """The outline of one segment as an SVG path, and where its number is written."""

    path: str
    x: float
    y: float


def _ring(segment: int) -> tuple[tuple[float, float], int, int]:
    if segment <= 12:
        return _RINGS[(segment - 1) // 6], (segment - 1) % 6, 6
    return _RINGS[2], segment - 13, 4


def _point(radius: float, degrees: float) -> tuple[float, float]:
    """Degrees run anticlockwise from the top, where the anterior wall lies."""
    angle = math.radians(degrees)
    return CENTRE - radius * math.sin(angle), CENTRE - radius * math.cos(angle)


def shape(segment: int) -> Shape:
    """The outline of AHA segment 1–16; septal segments lie on the left."""
    (outer, inner), place, count = _ring(segment)
    width = 360 / count
    first, last = (place - 0.5) * width, (place + 0.5) * width
    a, b = _point(outer, first), _point(outer, last)
    c, d = _point(inner, last), _point(inner, first)
    path = (
        f"M{a[0]:.2f} {a[1]:.2f}A{outer:g} {outer:g} 0 0 0 {b[0]:.2f} {b[1]:.2f}"
        f"L{c[0]:.2f} {c[1]:.2f}A{inner:g} {inner:g} 0 0 1 {d[0]:.2f} {d[1]:.2f}Z"
    )
    x, y = _point((outer + inner) / 2, place * width)
    return Shape(path, round(x, 1), round(y, 1))


SHAPES = {segment: shape(segment) for segment in range(1, 17)}

UNKNOWN = "#e8edee"


def colour(value: float | None, top: float) -> tuple[str, str]:
    """Fill and ink for a value on the scale from 0 to ``top``; grey where it is not known."""
    if value is None:
        return UNKNOWN, "#425563"
    rgb = [int(part) for part in colours(np.array(value), 0.0, top)]
    return "#{:02x}{:02x}{:02x}".format(*rgb), _ink(rgb)


def _ink(rgb: list[int]) -> str:
    """Black or white, whichever stands out more."""
    linear = [((c / 255 + 0.055) / 1.055) ** 2.4 if c > 10 else c / 255 / 12.92 for c in rgb]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "#ffffff" if 1.05 / (luminance + 0.05) > (luminance + 0.05) / 0.05 else "#000000"


def legend(top: float, steps: int = 8) -> list[tuple[str, float]]:
    """Fill and lower end of each step of the scale, from low to high."""
    return [(colour((k + 0.5) / steps * top, top)[0], k / steps * top) for k in range(steps)]

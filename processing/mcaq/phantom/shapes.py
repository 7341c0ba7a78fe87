"""Soft shapes: how much of each fine pixel lies inside, from 0 to 1. Lengths in mm.

The distance to an edge is approximate away from it and exact on it, which is all that a soft
edge needs.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]


def soft(inside_mm: F32, edge_mm: float) -> F32:
    """Coverage from the depth inside a shape: 0 outside, 1 inside, linear over ``edge_mm``."""
    return np.asarray(np.clip(inside_mm / edge_mm + 0.5, 0, 1), dtype=np.float32)


def ellipse(
    x: F32, y: F32, centre: tuple[float, float], half: tuple[float, float], turn_rad: float = 0.0
) -> F32:
    """Depth inside an ellipse; ``turn_rad`` turns its first axis anticlockwise as seen (y down)."""
    dx, dy = x - centre[0], y - centre[1]
    cos, sin = np.cos(turn_rad), np.sin(turn_rad)
    along = (dx * cos - dy * sin) / half[0]
    across = (dx * sin + dy * cos) / half[1]
    radius = np.sqrt(along**2 + across**2) + 1e-6
    steep = np.sqrt((along / half[0]) ** 2 + (across / half[1]) ** 2) + 1e-6
    return np.asarray((1 - radius) * radius / steep, dtype=np.float32)


def band(
    x: F32, y: F32, start: tuple[float, float], end: tuple[float, float], radius: float
) -> F32:
    """Depth inside a straight band with round ends."""
    ex, ey = end[0] - start[0], end[1] - start[1]
    share = np.clip(((x - start[0]) * ex + (y - start[1]) * ey) / (ex**2 + ey**2), 0, 1)
    return (radius - np.hypot(x - start[0] - share * ex, y - start[1] - share * ey)).astype(
        np.float32
    )

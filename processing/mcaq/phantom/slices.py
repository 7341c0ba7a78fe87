"""One slice of the phantom's body: its soft maps on the fine grid, its labels on the pixels."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from processing.mcaq.phantom import anatomy, imaging
from processing.mcaq.phantom.plan import Plan
from processing.mcaq.phantom.truth import Placement
from processing.mcaq.series import LV_BLOOD, MYOCARDIUM, RV_BLOOD, LabelArray, Level

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

_FIRST = {"basal": 1, "mid": 7, "mid2": 7, "apical": 13}
#: Towards the apex: left, to the front, down. The base lies the other way.
_TO_APEX = np.array([0.72, -0.58, -0.38])
_HEART_MM = np.array([52.0, -38.0, 24.0])
#: Share of a move towards the feet that goes along the axis to the apex.
DOWN_ALONG_AXIS = float(-_TO_APEX[2] / np.linalg.norm(_TO_APEX))


@dataclass(frozen=True)
class Slice:
    """A slice's anatomy and truth that do not depend on the state."""

    level: Level
    grid: imaging.Grid
    parts: anatomy.Anatomy
    body: anatomy.Body
    sensitivity: F32
    labels: LabelArray
    aha: LabelArray
    wall: F32
    blood: F32
    papillary: NDArray[np.bool_]
    placement: Placement

    @property
    def areas_mm2(self) -> tuple[float, float]:
        """Of the left ventricle's cavity, papillary muscles included, and of its wall."""
        fine = (self.grid.pixel_mm / imaging.FINER) ** 2
        cavity = self.parts.cavity.sum(dtype=float) + self.parts.papillary.sum(dtype=float)
        return float(cavity * fine), float(self.parts.wall.sum(dtype=float) * fine)


def cut(plan: Plan, level: Level, cutting: anatomy.Cutting | None = None) -> Slice:
    """Build one slice; the heart's centre wanders a little from base to apex.

    cutting: how it cuts the heart, by default as the study's slices do as a rule.
    """
    rng = np.random.default_rng([plan.seed, 4])
    slope = rng.uniform(-0.06, 0.06, size=2)
    wander = plan.grid.in_picture(slope * anatomy.FROM_BASE_MM[level] / plan.grid.pixel_mm)
    rows, cols = plan.grid.origin + wander
    grid = replace(plan.grid, origin=(float(rows), float(cols)))
    x, y = grid.fine_mm()
    parts = anatomy.build(
        plan.who, level, x, y, cutting or plan.usual_cut, plan.usual_cut,
        (*grid.axes_mm(), grid.seen_at),
    )  # fmt: skip
    body = anatomy.Body(plan.who)
    (front, _), (back, _) = body.on_wall(0.0, 0.0)
    wall = imaging.to_pixels(parts.wall, grid)
    papillary = imaging.to_pixels(parts.papillary, grid)
    blood = imaging.to_pixels(parts.cavity, grid)
    labels = _labels(wall, blood + papillary, imaging.to_pixels(parts.right, grid))
    return Slice(
        level=level,
        grid=grid,
        parts=parts,
        body=body,
        sensitivity=imaging.coils(x, y, front, back),
        labels=labels,
        aha=_segments(labels, parts, level, grid),
        wall=wall,
        blood=blood,
        papillary=papillary > 0.5,
        placement=_placement(plan.grid, level),
    )


def _labels(wall: F32, cavity: F32, right: F32) -> LabelArray:
    """Each pixel is what more than half of it is."""
    labels = np.zeros(wall.shape, dtype=np.uint8)
    labels[right > 0.5] = RV_BLOOD
    labels[(wall > 0.5) & (wall >= cavity)] = MYOCARDIUM
    # Between wall and blood nothing is left over.
    labels[(cavity + wall > 0.5) & (labels == 0)] = MYOCARDIUM
    labels[cavity > 0.5] = LV_BLOOD
    return labels


def _segments(
    labels: LabelArray, parts: anatomy.Anatomy, level: Level, grid: imaging.Grid
) -> LabelArray:
    """AHA segments by the RV insertions (Cerqueira 2002)."""
    x, y = grid.pixels_mm()
    anterior, inferior = parts.insertions
    along = np.mod(np.arctan2(-y, x) - anterior, 2 * np.pi)
    septum = inferior - anterior
    if level == "apical":
        quarter = np.mod(along - (septum / 2 - np.pi / 4), 2 * np.pi) // (np.pi / 2)
        numbers = np.array([14, 15, 16, 13])[quarter.astype(int) % 4]
    else:
        sixth = np.where(
            along < septum,
            along // (septum / 2),
            2 + (along - septum) // ((2 * np.pi - septum) / 4),
        ).astype(int)
        numbers = np.array([2, 3, 4, 5, 6, 1])[np.clip(sixth, 0, 5)] + _FIRST[level] - 1
    return np.where(labels == MYOCARDIUM, numbers, 0).astype(np.uint8)


def _placement(grid: imaging.Grid, level: Level) -> Placement:
    """A left ventricle that points left, forwards and down; slices stand square on its axis.

    grid: that of the study, whose origin is the heart's centre at the base.
    """
    apex = _TO_APEX / np.linalg.norm(_TO_APEX)
    feet = np.array([0.0, 0.0, -1.0])
    column = feet - (feet @ apex) * apex
    column /= np.linalg.norm(column)
    row = np.cross(column, -apex)
    # A turned or mirrored picture's directions are others of the same body.
    (right_x, down_x), (right_y, down_y) = grid.axes
    row, column = right_x * row + right_y * column, down_x * row + down_y * column
    centre = _HEART_MM + apex * anatomy.FROM_BASE_MM[level]
    # All slices share one grid in the plane: only the heart's place in it differs.
    middle = np.array(grid.origin) * grid.pixel_mm
    first = centre - middle[0] * column - middle[1] * row
    return Placement(_triple(first), _triple(row), _triple(column), 8.0)


def _triple(vector: F64) -> tuple[float, float, float]:
    return float(vector[0]), float(vector[1]), float(vector[2])

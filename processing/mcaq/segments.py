"""AHA segments: 6 basal, 6 mid, 4 apical, numbered anticlockwise from the anterior RV insertion.

Source: Cerqueira 2002. With the RV to the left of the picture: 1 anterior above, 2 anteroseptal,
3 inferoseptal, 4 inferior below, 5 inferolateral, 6 anterolateral; 1|2 meet at the anterior
insertion, 3|4 at the inferior one. Apical: 13 anterior, 14 septal, 15 inferior, 16 lateral.
"""

from __future__ import annotations

import numpy as np

from processing.mcaq.segmentation import Anatomy, angle_of
from processing.mcaq.series import LV_BLOOD, MYOCARDIUM, LabelArray, Level

TERRITORIES = {
    "LAD": (1, 2, 7, 8, 13, 14),
    "RCA": (3, 4, 9, 10, 15),
    "LCx": (5, 6, 11, 12, 16),
}
_FIRST = {"basal": 1, "mid": 7, "mid2": 7, "apical": 13}
_TURN = 2 * np.pi
_SEPTUM_AT_LEAST, _SEPTUM_AT_MOST = np.radians(75), np.radians(170)


def aha_map(anatomy: Anatomy, level: Level, *, mirrored: bool = False) -> tuple[LabelArray, bool]:
    """Segment numbers on the wall, 0 elsewhere; False if the insertions had to be assumed.

    mirrored: the picture is seen from the heart's base. Insertions that a person gave say so
    themselves.
    """
    labels = anatomy.labels
    middle = _middle(anatomy)
    anterior, septum, told = _septum(anatomy, middle, mirrored=mirrored)
    rows, cols = np.nonzero(labels == MYOCARDIUM)
    angle = np.arctan2(-(rows - middle[0]), cols - middle[1]) - anterior
    # Seen from the base the picture is mirrored: the septum then lies clockwise.
    along = (angle if septum > 0 else -angle) % _TURN
    septum = abs(septum)
    aha = np.zeros(labels.shape, dtype=np.uint8)
    if level == "apical":
        # The septum's quarter lies about the middle of the septum.
        from_quarter = (along - septum / 2 + np.pi / 4) % _TURN
        quarter = np.floor(from_quarter / (_TURN / 4)).astype(int) % 4
        numbers = np.array([14, 15, 16, 13])[quarter]
    else:
        in_septum = along < septum
        part = np.where(
            in_septum,
            np.floor(along / (septum / 2)),
            2 + np.floor((along - septum) / ((_TURN - septum) / 4)),
        ).astype(int)
        numbers = np.array([2, 3, 4, 5, 6, 1])[np.clip(part, 0, 5)] + _FIRST[level] - 1
    aha[rows, cols] = numbers
    return aha, told


def insertions(
    anatomy: Anatomy, *, mirrored: bool = False
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Where the septum was taken to begin (anterior) and to end, (row, column) on the outer border.

    Given back as ``GivenContours``' insertions they make the same segments.
    """
    middle = _middle(anatomy)
    anterior, septum, _told = _septum(anatomy, middle, mirrored=mirrored)
    down, right = (anatomy.epicardium - np.asarray(middle)).T
    reach, around = np.hypot(down, right), np.arctan2(-down, right)
    points = []
    for angle in (anterior, anterior + septum):
        # The border's points lie close together; the nearest by angle tells its radius.
        away = np.abs((around - angle + np.pi) % _TURN - np.pi)
        radius = float(reach[int(away.argmin())])
        points.append((middle[0] - radius * np.sin(angle), middle[1] + radius * np.cos(angle)))
    return (points[0], points[1])


def _middle(anatomy: Anatomy) -> tuple[float, float]:
    """Of the cavity, (row, column) on the crop."""
    row, col = np.argwhere(anatomy.labels == LV_BLOOD).mean(axis=0)
    return float(row), float(col)


def _septum(
    anatomy: Anatomy, middle: tuple[float, float], *, mirrored: bool
) -> tuple[float, float, bool]:
    """Angle of the anterior insertion and the septum's extent, radians anticlockwise.

    The extent is negative in a mirrored picture.
    """
    sense = -1.0 if mirrored else 1.0
    if anatomy.insertions is not None:
        anterior = angle_of(anatomy.insertions[0], middle)
        extent = (angle_of(anatomy.insertions[1], middle) - anterior) % _TURN
        if anatomy.insertions_given:
            return anterior, extent if extent <= np.pi else extent - _TURN, True
        extent = sense * extent % _TURN
        if _SEPTUM_AT_LEAST <= extent <= _SEPTUM_AT_MOST:
            return anterior, sense * extent, True
        half = extent / 2 if extent < np.pi else extent / 2 - np.pi
        centre = anterior + sense * half
        if anatomy.rv_direction is not None:
            centre = anatomy.rv_direction
        return centre - sense * np.pi / 3, sense * 2 * np.pi / 3, True
    # The usual way a short-axis picture is turned: the RV to the left.
    usual = 0.0 if mirrored else np.pi
    centre = usual if anatomy.rv_direction is None else anatomy.rv_direction
    told = anatomy.rv_direction is not None
    return centre - sense * np.pi / 3, sense * 2 * np.pi / 3, told


def numbers_of(level: Level) -> tuple[int, ...]:
    first = _FIRST[level]
    return tuple(range(first, first + (4 if level == "apical" else 6)))

"""The chest in the heart's short axis, as soft maps of tissues on a fine grid.

The picture is turned as usual: the right ventricle to the left, the anterior wall above, the
diaphragm with liver, stomach and spleen below. x grows to the right, y downwards, both in mm from
the centre of the left ventricle. Angles are anticlockwise as seen, 0 to the right.
Thicknesses and radii are those of textbooks, varied from one seed to another.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.interpolate import PchipInterpolator

from processing.mcaq.phantom.shapes import band, ellipse, soft

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
Point = tuple[float, float]

#: Compartments in the order of the weight maps; the wall's maps come extra, its flow varies.
COMPARTMENTS = (
    "fat", "muscle", "marrow", "lung", "lung_vessel", "liver", "liver_vessel", "spleen",
    "stomach", "gut_wall", "aorta", "right_blood", "left_blood", "right_wall", "papillary",
)  # fmt: skip


@dataclass(frozen=True)
class Person:
    """What one seed makes of a body; lengths in mm, angles in radians."""

    size: float
    septum_angle: float
    wall_mm: float
    dome_mm: float
    fat_mm: float
    papillary_turn: float
    seed: int


@dataclass(frozen=True)
class HeartLevel:
    """The left and right ventricle of one slice; radii and half axes in mm."""

    endo_mm: float
    wall_mm: float
    right_half: tuple[float, float]
    insertion_angle: float
    edge_mm: float
    papillary_mm: float
    septum_angle: float
    ripple: tuple[tuple[float, float], ...]

    def outline(self, angle: F64 | F32, radius: float) -> F32:
        """The radius in each direction: nearly round."""
        form = 1.0 + sum(
            size * np.cos(n * angle + phase) for n, (size, phase) in enumerate(self.ripple, 2)
        )
        return np.asarray(radius * form, dtype=np.float32)

    @property
    def epi_mm(self) -> float:
        return self.endo_mm + self.wall_mm


@dataclass(frozen=True)
class Anatomy:
    """Soft maps on the fine grid, shape (rows·s, cols·s) flattened to P.

    weights: (len(COMPARTMENTS), P), times the grain. wall: (P,) coverage of the left
    ventricle's wall; angle: (P,) radians, 0 at the anterior insertion, growing anticlockwise;
    depth: (P,) 0 at the endocardium, 1 at the epicardium. cavity, papillary, right: (P,)
    coverage. grain: (P,) relative unevenness of tissue. insertions: the RV's, anterior then
    inferior, in radians.
    """

    shape: tuple[int, int]
    weights: F32
    wall: F32
    angle: F32
    depth: F32
    cavity: F32
    papillary: F32
    right: F32
    grain: F32
    insertions: tuple[float, float]
    heart: HeartLevel


def person(seed: int) -> Person:
    rng = np.random.default_rng([seed, 1])
    return Person(
        size=float(rng.uniform(0.94, 1.07)),
        septum_angle=float(np.pi + np.radians(rng.uniform(-10, 10))),
        wall_mm=float(rng.uniform(8.8, 10.4)),
        dome_mm=float(rng.uniform(-5, 6)),
        fat_mm=float(rng.uniform(9, 16)),
        papillary_turn=float(np.radians(rng.uniform(-9, 9))),
        seed=seed,
    )


def heart_level(who: Person, level: str) -> HeartLevel:
    """Radii shrink from base to apex; near the apex the wall is cut obliquely and looks softer."""
    rng = np.random.default_rng([who.seed, 2, len(level), ord(level[0])])
    endo, wall, right, insertion, edge, papillary = {
        "basal": (23.0, 1.0, (26.0, 37.0), 60.0, 1.6, 3.0),
        "mid": (21.0, 1.04, (24.0, 33.0), 59.0, 1.9, 5.4),
        "mid2": (19.0, 1.04, (21.0, 29.0), 58.0, 2.2, 5.4),
        "apical": (13.8, 0.97, (16.0, 23.0), 55.0, 3.2, 3.4),
    }[level]
    return HeartLevel(
        endo_mm=endo * who.size,
        wall_mm=wall * who.wall_mm,
        right_half=(right[0] * who.size, right[1] * who.size),
        insertion_angle=float(np.radians(insertion + rng.uniform(-3, 3))),
        edge_mm=edge,
        papillary_mm=papillary * who.size,
        septum_angle=who.septum_angle + float(np.radians(rng.uniform(-3, 3))),
        ripple=tuple(
            (float(rng.uniform(0, amount)), float(rng.uniform(0, 2 * np.pi)))
            for amount in (0.03, 0.015, 0.01)
        ),
    )


class Body:
    """The outlines that do not move: the chest's front (left) and back (right) as x of y."""

    def __init__(self, who: Person) -> None:
        scale = who.size
        rows = np.array([-260.0, -173, -110, -50, 0, 60, 120, 211, 300])
        front = np.array([40.0, -28, -70, -93, -101, -108, -113, -110, -100]) * scale
        back = np.array([80.0, 118, 142, 158, 165, 167, 168, 164, 150]) * scale
        self._rows = np.arange(-260.0, 301.0)
        self._front, self._back = (PchipInterpolator(rows, x)(self._rows) for x in (front, back))
        self._oblique = [np.hypot(1, np.gradient(x)) for x in (self._front, self._back)]

    def depth(self, x: NDArray[np.floating], y: NDArray[np.floating]) -> F64:
        """How deep inside the body a point lies, mm, measured square to the wall."""
        front, back, over_front, over_back = self._at(y)
        return np.asarray(np.minimum((x - front) / over_front, (back - x) / over_back))

    def on_wall(self, y: float, depth: float) -> tuple[Point, Point]:
        """Points of that depth behind the front and the back wall at a height."""
        front, back, over_front, over_back = (float(one) for one in self._at(np.array(y)))
        return (front + depth * over_front, y), (back - depth * over_back, y)

    def _at(self, y: NDArray[np.floating]) -> tuple[F64, F64, F64, F64]:
        """Both walls' x, and how much longer than square the way through each is."""
        place = np.clip(y - self._rows[0], 0, len(self._rows) - 1.001)
        lower = place.astype(np.intp)
        share = place - lower
        front, back, over_front, over_back = (
            line[lower] + share * (line[lower + 1] - line[lower])
            for line in (self._front, self._back, *self._oblique)
        )
        return front, back, over_front, over_back


def at_angle(angle: float, radius: float) -> Point:
    return radius * float(np.cos(angle)), -radius * float(np.sin(angle))


def build(who: Person, level: str, x: F32, y: F32) -> Anatomy:
    """Paint one slice from front to back: what is painted first hides what comes after.

    x, y: (rows·s, cols·s) mm.
    """
    rng = np.random.default_rng([who.seed, 3, len(level), ord(level[0])])
    heart = heart_level(who, level)
    paint = _Canvas(x, y)
    heart_maps = _heart(paint, heart, who, level, x, y, rng)
    _chest(paint, heart, who, level, x, y, rng)
    grain = ndimage.gaussian_filter(
        rng.standard_normal(x.shape, dtype=np.float32), 3.0, mode="wrap", truncate=3
    )
    grain /= grain.std()
    uneven = np.zeros(len(COMPARTMENTS), dtype=np.float32)
    for name, amount in _GRAIN.items():
        uneven[COMPARTMENTS.index(name)] = amount
    weights = paint.weights.reshape(len(COMPARTMENTS), -1)
    unevenness = 1 + (uneven @ weights + 0.03 * heart_maps["wall"]) * grain.ravel()
    return Anatomy(
        shape=(x.shape[0], x.shape[1]),
        weights=weights * unevenness,
        grain=unevenness,
        insertions=(
            heart.septum_angle - heart.insertion_angle,
            heart.septum_angle + heart.insertion_angle,
        ),
        heart=heart,
        **heart_maps,
    )


_GRAIN = {
    "fat": 0.08, "muscle": 0.12, "marrow": 0.2, "lung": 0.35, "liver": 0.06, "spleen": 0.05,
    "stomach": 0.4, "gut_wall": 0.15, "right_blood": 0.03, "right_wall": 0.08,
}  # fmt: skip


class _Canvas:
    """Weight maps being painted; ``bare`` is what is still uncovered of each pixel."""

    def __init__(self, x: F32, y: F32) -> None:
        self.x, self.y = x, y
        self.weights = np.zeros((len(COMPARTMENTS), *x.shape), dtype=np.float32)
        self.bare = np.ones(x.shape, dtype=np.float32)

    def take(self, coverage: F32) -> F32:
        """Cover a part of what is bare and give it, without adding it to a compartment."""
        part: F32 = coverage * self.bare
        self.bare -= part
        return part

    def add(self, name: str, coverage: F32) -> F32:
        part = self.take(coverage)
        self.weights[COMPARTMENTS.index(name)] += part
        return part

    def spot(
        self, name: str | None, centre: Point, half: Point, turn: float = 0.0, *,
        edge: float = 1.2, within: F32 | None = None, share: float = 1.0, shrink: float = 0.0,
    ) -> None:  # fmt: skip
        """Paint a small ellipse, looking only at its surroundings; None covers with nothing.

        shrink: how much smaller than ``half``, mm, keeping the form.
        """
        reach = max(half) + edge
        columns = np.searchsorted(self.x[0], [centre[0] - reach, centre[0] + reach])
        rows = np.searchsorted(self.y[:, 0], [centre[1] - reach, centre[1] + reach])
        here = slice(*rows), slice(*columns)
        depth = ellipse(self.x[here], self.y[here], centre, half, turn) - np.float32(shrink)
        part = soft(depth, edge) * self.bare[here] * np.float32(share)
        if within is not None:
            part *= within[here]
        self.bare[here] -= part
        if name is not None:
            self.weights[COMPARTMENTS.index(name)][here] += part


def _heart(
    paint: _Canvas, heart: HeartLevel, who: Person, level: str, x: F32, y: F32,
    rng: np.random.Generator,
) -> dict[str, F32]:  # fmt: skip
    angle = np.arctan2(-y, x)
    radius = np.hypot(x, y)
    endo = heart.outline(angle, heart.endo_mm)
    epi = heart.outline(angle, heart.epi_mm)
    cavity = soft(endo - radius, heart.edge_mm)
    papillary = np.zeros_like(x)
    for where, size, out in _papillary_muscles(heart, who, level, rng):
        centre = at_angle(where, out)
        papillary = np.maximum(
            papillary, soft(ellipse(x, y, centre, (size * 1.15, size * 0.85), where), 1.5)
        )
    papillary = paint.add("papillary", papillary * cavity)
    left = paint.add("left_blood", cavity)
    wall = paint.take(soft(epi - radius, heart.edge_mm))

    half = heart.right_half
    thin = 3.4
    reach = heart.epi_mm * np.sin(heart.insertion_angle) / (half[1] - thin / 2)
    middle = heart.epi_mm * np.cos(heart.insertion_angle) + (half[0] - thin / 2) * np.sqrt(
        1 - min(reach, 0.98) ** 2
    )
    centre = at_angle(heart.septum_angle, float(middle))
    outer = ellipse(x, y, centre, half, heart.septum_angle)
    cavity_right = soft(outer - thin, 1.4)
    for _ in range(9):
        # Trabeculae on the free wall, and the moderator band in the middle of the heart.
        where = heart.septum_angle + rng.uniform(-1.9, 1.9)
        place = at_angle(where, 1.0)
        spot = (
            centre[0] + place[0] * half[0] * 0.82,
            centre[1] + place[1] * half[1] * 0.82,
        )
        size = float(rng.uniform(1.2, 2.6))
        paint.spot("right_wall", spot, (size, size), within=cavity_right, share=0.8)
    if level != "basal":
        start = at_angle(heart.septum_angle + 0.25, heart.epi_mm)
        end = at_angle(heart.septum_angle + 0.5, float(middle) + half[0] * 0.75)
        paint.add("right_wall", 0.6 * soft(band(x, y, start, end, 1.3), 2.0) * cavity_right)
    right = paint.add("right_blood", cavity_right)
    paint.add("right_wall", soft(outer, 1.4))

    # Fat in the grooves beside the insertions and a thin coat around the heart.
    for side in (-1, 1):
        where = heart.septum_angle + side * heart.insertion_angle * 1.04
        spot = at_angle(where, heart.epi_mm + 4.5)
        paint.spot("left_blood", spot, (1.5, 1.5), edge=1.0)
        paint.spot("fat", spot, (7.5, 4.2), where, edge=2.0)
    coat = np.maximum(epi - radius, outer) + 2.2 + 1.2 * np.cos(2 * angle + 1)
    paint.add("fat", 0.75 * soft(coat.astype(np.float32), 1.5))

    from_insertion = np.mod(angle - (heart.septum_angle - heart.insertion_angle), 2 * np.pi).astype(
        np.float32
    )
    depth = np.clip((radius - endo) / np.maximum(epi - endo, 1), 0, 1).astype(np.float32)
    return {
        "wall": wall.ravel(),
        "angle": from_insertion.ravel(),
        "depth": depth.ravel(),
        "cavity": left.ravel(),
        "papillary": papillary.ravel(),
        "right": right.ravel(),
    }


def _papillary_muscles(
    heart: HeartLevel, who: Person, level: str, rng: np.random.Generator
) -> list[tuple[float, float, float]]:
    """Angle, radius and distance from the centre of each."""
    turn = who.papillary_turn + heart.septum_angle - np.pi
    if level == "apical":
        return [
            (float(rng.uniform(0, 2 * np.pi)), heart.papillary_mm * float(rng.uniform(0.5, 0.9)),
             heart.endo_mm * 0.86)
            for _ in range(4)
        ]  # fmt: skip
    muscles = [
        (float(np.radians(28) + turn), heart.papillary_mm, heart.endo_mm * 0.72),
        (float(np.radians(-98) + turn), heart.papillary_mm * 0.95, heart.endo_mm * 0.72),
    ]
    muscles += [
        (float(rng.uniform(-2.0, 0.9)), float(rng.uniform(1.0, 1.9)), heart.endo_mm * 0.96)
        for _ in range(5)
    ]
    return muscles


def _chest(
    paint: _Canvas, heart: HeartLevel, who: Person, level: str, x: F32, y: F32,
    rng: np.random.Generator,
) -> None:  # fmt: skip
    body = Body(who)
    depth = body.depth(x, y).astype(np.float32)
    below = {"basal": 3.0, "mid": 0.0, "mid2": -2.0, "apical": -6.0}[level] + who.dome_mm
    floor = heart.epi_mm + 6.5 + max(below, 0.0) / 2
    heights = np.array([-150.0, -95, -60, -20, 20, 60, 100, 140, 175, 220])
    # The diaphragm: high under the heart and liver, falling away towards the back.
    dome = floor + np.array([22.0, 12, 7, 1, -1, 2, 12, 34, 72, 150])
    diaphragm = PchipInterpolator(heights, dome)(x[0]).astype(np.float32)[None, :]
    under = (y - diaphragm) * np.float32(0.94)
    inner = depth - (who.fat_mm + 17)

    # Descending aorta behind the left ventricle, with its wall.
    aorta = (heart.epi_mm * 0.80 + 40.0, 24.0 + below)
    paint.spot("aorta", aorta, (10.5, 10.0), edge=1.4)
    paint.spot("muscle", aorta, (12.3, 11.8))
    if level == "basal":
        # The pulmonary outflow above the base.
        outflow = at_angle(heart.septum_angle - np.radians(83), heart.epi_mm + 16)
        paint.spot("right_blood", outflow, (14, 10.5), 0.5, edge=1.6)
        paint.spot("right_wall", outflow, (16, 12.5), 0.5, edge=1.4)

    chest = soft(inner, 1.5)
    _belly(paint, who, x, y, under, chest, rng)

    # Fat in front of the heart, towards the diaphragm, lung for all the rest.
    pad = ellipse(x, y, (-62 * who.size, floor - 6), (44, 17), 0.35)
    paint.add("fat", soft(pad, 3.0) * chest)
    pad = ellipse(x, y, (-62 * who.size, -heart.epi_mm - 4), (9, 42), -0.45)
    paint.add("fat", 0.6 * soft(pad, 9.0) * chest)
    hilum = (heart.epi_mm + 26.0, -28.0)
    lungs = (chest * (under < 0)).astype(np.float32)
    for _ in range(46):
        near = rng.uniform() < 0.7
        spread = 24.0 if near else 75.0
        spot = (hilum[0] + rng.normal(0, spread), hilum[1] + rng.normal(0, 1.3 * spread))
        size = float(rng.uniform(0.6, 2.0 if near else 1.1))
        half = (size * float(rng.uniform(1, 2.4)), size)
        share = float(rng.uniform(0.35, 0.9))
        paint.spot(
            "lung_vessel", spot, half, float(rng.uniform(0, np.pi)), within=lungs, share=share
        )
    paint.add("lung", chest)

    # Ribs with gaps, muscle and fat of the wall; the outermost rim is skin.
    for number in range(-6, 9):
        height = 27.0 * number + 6 + float(rng.uniform(-2, 2))
        for side, spot in enumerate(body.on_wall(height, who.fat_mm + 12.5)):
            half = (5.2, 8.5) if side == 0 else (4.6, 7.5)
            turn = 0.25 if side == 0 else -0.25
            paint.spot("marrow", spot, half, turn, edge=1.0, share=0.9, shrink=1.7)
            paint.spot(None, spot, half, turn, edge=1.0, share=0.85)
    streak = 1.3 * np.sin(y / 9.0) + 0.8 * np.sin(y / 4.1 + x / 7)
    paint.add("muscle", soft(depth - who.fat_mm + streak.astype(np.float32), 1.4))
    paint.add("fat", soft(depth - 1.6, 1.0))
    paint.add("muscle", soft(depth, 1.0))


def _belly(
    paint: _Canvas, who: Person, x: F32, y: F32, under: F32, chest: F32, rng: np.random.Generator
) -> None:
    """Below the diaphragm: liver to the left of the picture, stomach, spleen, fat."""
    scale = who.size
    deep = soft(under - 3.0, 1.5) * chest
    dome = float(who.dome_mm)
    stomach = ellipse(x, y, (52 * scale, 92 + dome), (36, 29), 0.5)
    fluid = ellipse(x, y, (52 * scale, 104 + dome), (40, 22), 0.25)
    paint.add("gut_wall", deep * soft(stomach, 1.2) * soft(fluid, 6.0) * 0.7)
    paint.add("stomach", deep * soft(stomach, 1.2))
    paint.add("gut_wall", deep * soft(stomach + 3.6, 1.2))
    spleen = ellipse(x, y, (114 * scale, 104 + dome), (23, 47), -0.3)
    dent = ellipse(x, y, (88 * scale, 112 + dome), (15, 30), -0.2)
    paint.add("spleen", deep * soft(np.minimum(spleen, -dent), 1.6))
    liver = np.maximum(
        ellipse(x, y, (-56 * scale, 118 + dome), (66, 82), 0.0),
        ellipse(x, y, (-20 * scale, 84 + dome), (40, 46), -0.5),
    )
    inside = deep * soft(liver - 4, 2.0)
    for _ in range(26):
        spot = (rng.uniform(-100, 15), rng.uniform(60, 190))
        size = float(rng.uniform(0.9, 2.7))
        half = (size * float(rng.uniform(1, 4)), size)
        paint.spot(
            "liver_vessel", spot, half, rng.uniform(0, 3.1), edge=1.5, within=inside, share=0.6
        )
    paint.add("liver", deep * soft(liver, 1.6))
    for _ in range(9):
        # Loops of bowel: a wall with little signal inside.
        spot = (rng.uniform(25, 125) * scale, rng.uniform(138, 205))
        half = (float(rng.uniform(9, 15)), float(rng.uniform(7, 11)))
        turn = rng.uniform(0, 3.1)
        paint.spot("stomach", spot, half, turn, edge=2.0, within=deep, shrink=2.5)
        paint.spot("gut_wall", spot, half, turn, edge=1.5, within=deep)
    paint.add("fat", 0.62 * deep)
    paint.add("muscle", soft(under, 1.5) * chest)

"""The chest in the heart's short axis, as soft maps of tissues on a fine grid.

The picture is turned as usual: the right ventricle to the left, the anterior wall above, the
diaphragm with liver, stomach and spleen below. x grows to the right, y downwards, both in mm from
the centre of the left ventricle. Angles are anticlockwise as seen, 0 to the right.
Thicknesses and radii are those of textbooks, varied from one seed to another.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.interpolate import PchipInterpolator

from processing.mcaq.phantom.shapes import band, ellipse, soft

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
Point = tuple[float, float]
#: The picture's own axes, mm: of its columns, of its rows, and where it shows a point of the body.
View = tuple[F32, F32, Callable[[Point], Point]]

#: Compartments in the order of the weight maps; the wall's maps come extra, its flow varies.
COMPARTMENTS = (
    "fat", "muscle", "marrow", "lung", "lung_vessel", "liver", "liver_vessel", "spleen",
    "stomach", "gut_wall", "aorta", "right_blood", "left_blood", "right_wall", "papillary",
)  # fmt: skip
#: Compartments of bodies that have more neighbours of the heart than usual.
MORE_COMPARTMENTS = ("kidney_cortex", "kidney_medulla", "effusion")

Variety = Literal["usual", "wide"]
Neighbours = Literal["usual", "rich"]


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
    #: Cavity and right ventricle relative to the usual ones of that body size.
    cavity: float = 1.0
    right: float = 1.0
    #: How much thicker than the rest the septum is (asymmetric hypertrophy).
    septal_mm: float = 0.0
    #: How much wider the body is in front and behind; fat round the heart; fluid round it.
    girth_mm: float = 0.0
    coat_mm: float = 0.0
    effusion_mm: float = 0.0
    #: Kidney and large lung vessels as further neighbours of the heart.
    rich: bool = False

    @property
    def compartments(self) -> tuple[str, ...]:
        more = self.rich or self.effusion_mm > 0
        return COMPARTMENTS + MORE_COMPARTMENTS if more else COMPARTMENTS


@dataclass(frozen=True)
class Cutting:
    """How one picture cuts the heart.

    offset_mm: along the long axis from the slice's own place, towards the apex. contraction: 0 in
    diastole, 1 in systole.
    """

    offset_mm: float = 0.0
    contraction: float = 0.0


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
    septal_mm: float = 0.0
    papillary_at: float = 0.72
    trabeculae: float = 1.0
    outflow_mm: float = 0.0

    def outline(self, angle: F64 | F32, radius: float) -> F32:
        """The radius in each direction: nearly round."""
        form = 1.0 + sum(
            size * np.cos(n * angle + phase) for n, (size, phase) in enumerate(self.ripple, 2)
        )
        return np.asarray(radius * form, dtype=np.float32)

    def outer(self, angle: F64 | F32) -> F32:
        """The epicardium's radius in each direction: thicker at the septum in some."""
        even = self.outline(angle, self.epi_mm)
        if not self.septal_mm:
            return even
        near = 0.5 * (1 + np.cos(angle - self.septum_angle))
        return np.asarray(even + self.septal_mm * near**2, dtype=np.float32)

    @property
    def epi_mm(self) -> float:
        return self.endo_mm + self.wall_mm


@dataclass(frozen=True)
class Anatomy:
    """Soft maps on the fine grid, shape (rows·s, cols·s) flattened to P.

    weights: (len(names), P), times the grain. wall: (P,) coverage of the left
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
    names: tuple[str, ...]


def person(seed: int, variety: Variety = "usual", neighbours: Neighbours = "usual") -> Person:
    rng = np.random.default_rng([seed, 1])
    usual = Person(
        size=float(rng.uniform(0.94, 1.07)),
        septum_angle=float(np.pi + np.radians(rng.uniform(-10, 10))),
        wall_mm=float(rng.uniform(8.8, 10.4)),
        dome_mm=float(rng.uniform(-5, 6)),
        fat_mm=float(rng.uniform(9, 16)),
        papillary_turn=float(np.radians(rng.uniform(-9, 9))),
        seed=seed,
        rich=neighbours == "rich",
    )
    return usual if variety == "usual" else _unlike_most(usual)


def _unlike_most(usual: Person) -> Person:
    """A person from the whole breadth of patients.

    Cavities from that of a small hypertrophic heart to a dilated one, walls from thin to
    hypertrophic (Kawel-Boehm 2020: radii of 21–29 mm and walls of 5–11 mm are normal), the
    septum alone thick in one of four, small and dilated right ventricles, lean and obese chests,
    and fluid in the pericardium of one in eight.
    """
    rng = np.random.default_rng([usual.seed, 31])
    size = float(rng.uniform(0.88, 1.12))
    endo = float(rng.uniform(14.0, 30.0))
    # A heart that is both dilated and thick exists, but not without end.
    wall = min(float(rng.uniform(6.0, 16.0)), 42.0 - endo)
    septal = float(rng.uniform(3.0, 7.0)) if rng.uniform() < 0.25 else 0.0
    right = float(rng.uniform(0.75, 1.4))
    fat = float(np.exp(rng.uniform(np.log(5.0), np.log(45.0))))
    coat = float(rng.uniform(0.0, 0.2) * fat)
    effusion = float(rng.uniform(4.0, 12.0)) if rng.uniform() < 0.125 else 0.0
    mid = _LEVELS["mid"]
    who = replace(
        usual, size=size, cavity=endo / (mid[0] * size), wall_mm=wall / mid[1],
        septal_mm=min(septal, max(0.0, 16.0 - wall)), right=right, fat_mm=fat, coat_mm=coat,
        effusion_mm=effusion,
        septum_angle=float(np.pi + np.radians(rng.uniform(-25, 25))),
        dome_mm=float(rng.uniform(-12, 12)),
    )  # fmt: skip
    # The chest is as deep as fat and heart need.
    largest = heart_level(who, "basal")
    reach = largest.epi_mm + 1.25 * largest.right_half[0] + coat + effusion
    return replace(who, girth_mm=max(0.0, reach + fat + 17 + 4 - 101 * size, fat - 16))


#: Radius of the cavity, wall relative to the person's, half axes of the RV, half the septum's
#: angle, softness of the edge, papillary muscle; mm and degrees.
_LEVELS = {
    "basal": (23.0, 1.0, (26.0, 37.0), 60.0, 1.6, 3.0),
    "mid": (21.0, 1.04, (24.0, 33.0), 59.0, 1.9, 5.4),
    "mid2": (19.0, 1.04, (21.0, 29.0), 58.0, 2.2, 5.4),
    "apical": (13.8, 0.97, (16.0, 23.0), 55.0, 3.2, 3.4),
}
#: Where the levels lie along the long axis, mm from the basal one towards the apex.
FROM_BASE_MM = {"basal": 0.0, "mid": 18.0, "mid2": 27.0, "apical": 36.0}
#: Radius of the cavity along the long axis: the levels', the mouth of the atrium, the tip.
_ALONG_MM = (-14.0, 0.0, 18.0, 27.0, 36.0, 46.0)
_RADIUS_MM = (25.0, 23.0, 21.0, 19.0, 13.8, 6.0)
#: Above this place the cut meets the outflow tract, where no muscle closes the ring.
_OUTFLOW_MM = -3.0


def heart_level(who: Person, level: str, cutting: Cutting | None = None) -> HeartLevel:
    """Radii shrink from base to apex; near the apex the wall is cut obliquely and looks softer."""
    rng = np.random.default_rng([who.seed, 2, len(level), ord(level[0])])
    endo, wall, right, insertion, edge, papillary = _LEVELS[level]
    usual = HeartLevel(
        endo_mm=endo * who.size * who.cavity,
        wall_mm=wall * who.wall_mm,
        right_half=(right[0] * who.size * who.right, right[1] * who.size * who.right),
        insertion_angle=float(np.radians(insertion + rng.uniform(-3, 3))),
        edge_mm=edge,
        papillary_mm=papillary * who.size,
        septum_angle=who.septum_angle + float(np.radians(rng.uniform(-3, 3))),
        ripple=tuple(
            (float(rng.uniform(0, amount)), float(rng.uniform(0, 2 * np.pi)))
            for amount in (0.03, 0.015, 0.01)
        ),
        septal_mm=who.septal_mm,
    )
    if who.cavity != 1:
        usual = _with_room(usual, who.right)
    if cutting is None:
        return usual
    return _contracted(_elsewhere(usual, level, cutting.offset_mm), cutting.contraction)


def _with_room(heart: HeartLevel, size: float) -> HeartLevel:
    """The right ventricle spans from one insertion to the other and looks out beside the left.

    size: of the right ventricle, 1 being usual: it reaches 16 mm out then.
    """
    out, across = (heart.epi_mm * f(heart.insertion_angle) for f in (np.cos, np.sin))
    high = max(heart.right_half[1], float(across) / 0.94 + 1.7)
    # Its ellipse passes the insertions, and its middle lies so much further out than they do.
    beyond = float(np.sqrt(1 - min(across / (high - 1.7), 0.98) ** 2))
    deep = (heart.epi_mm + heart.septal_mm - float(out) + 16 * size) / (1 + beyond)
    return replace(heart, right_half=(max(heart.right_half[0], deep), high))


def _elsewhere(heart: HeartLevel, level: str, offset_mm: float) -> HeartLevel:
    """The heart cut at another place of its long axis: narrower and thicker towards the apex.

    The wall grows thicker there because the cut meets it at a slant.
    """
    if not offset_mm:
        return heart
    here = FROM_BASE_MM[level]
    there = here + offset_mm
    share = float(np.interp(there, _ALONG_MM, _RADIUS_MM) / np.interp(here, _ALONG_MM, _RADIUS_MM))
    return replace(
        heart,
        endo_mm=heart.endo_mm * share,
        wall_mm=heart.wall_mm * (1 + 0.012 * offset_mm),
        right_half=(heart.right_half[0] * share, heart.right_half[1] * share),
        papillary_mm=heart.papillary_mm * min(1.0, share),
        outflow_mm=max(0.0, _OUTFLOW_MM - there),
    )


def _contracted(heart: HeartLevel, contraction: float) -> HeartLevel:
    """Towards systole the cavity narrows and the wall thickens, so that its area stays.

    A third of the radius is usual (fractional shortening of 25–43 %, Lang 2005). The papillary
    muscles thicken, too, and come together until they nearly fill the cavity.
    """
    if not contraction:
        return heart
    endo = heart.endo_mm * (1 - 0.33 * contraction)
    epi = float(np.sqrt(endo**2 + heart.epi_mm**2 - heart.endo_mm**2))
    right = 1 - 0.18 * contraction
    return replace(
        heart,
        endo_mm=endo,
        wall_mm=epi - endo,
        right_half=(heart.right_half[0] * right, heart.right_half[1] * right),
        papillary_mm=heart.papillary_mm * (1 + 0.25 * contraction),
        papillary_at=heart.papillary_at - 0.12 * contraction,
        trabeculae=heart.trabeculae * (1 + 1.2 * contraction),
    )


class Body:
    """The outlines that do not move: the chest's front (left) and back (right) as x of y."""

    def __init__(self, who: Person) -> None:
        scale = who.size
        rows = np.array([-260.0, -173, -110, -50, 0, 60, 120, 211, 300])
        front = np.array([40.0, -28, -70, -93, -101, -108, -113, -110, -100]) * scale
        back = np.array([80.0, 118, 142, 158, 165, 167, 168, 164, 150]) * scale
        if who.girth_mm:
            front -= who.girth_mm
            back += max(0.0, who.fat_mm - 16)
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


def build(
    who: Person, level: str, x: F32, y: F32, cutting: Cutting, usual: Cutting, view: View
) -> Anatomy:
    """Paint one slice from front to back: what is painted first hides what comes after.

    x, y: (rows·s, cols·s) mm in the body. usual: how the slice's film cuts the heart as a rule;
    the chest is that of such a heart. view: how the picture lies in the body.
    """
    names = who.compartments
    rng = np.random.default_rng([who.seed, 3, len(level), ord(level[0])])
    heart = heart_level(who, level, cutting)
    paint = _Canvas(x, y, names, view)
    heart_maps = _heart(paint, heart, who, level, x, y, rng)
    _chest(paint, heart_level(who, level, usual), who, level, x, y, rng)
    grain = ndimage.gaussian_filter(
        rng.standard_normal(x.shape, dtype=np.float32), 3.0, mode="wrap", truncate=3
    )
    grain /= grain.std()
    uneven = np.zeros(len(names), dtype=np.float32)
    for name, amount in _GRAIN.items():
        uneven[names.index(name)] = amount
    weights = paint.weights.reshape(len(names), -1)
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
        names=names,
        **heart_maps,
    )


_GRAIN = {
    "fat": 0.08, "muscle": 0.12, "marrow": 0.2, "lung": 0.35, "liver": 0.06, "spleen": 0.05,
    "stomach": 0.4, "gut_wall": 0.15, "right_blood": 0.03, "right_wall": 0.08,
}  # fmt: skip


class _Canvas:
    """Weight maps being painted; ``bare`` is what is still uncovered of each pixel."""

    def __init__(self, x: F32, y: F32, names: tuple[str, ...], view: View) -> None:
        self.x, self.y, self.names = x, y, names
        # Along the first row and down the first column, and a point of the body in those terms.
        self._columns, self._rows, self._seen = view
        self.weights = np.zeros((len(names), *x.shape), dtype=np.float32)
        self.bare = np.ones(x.shape, dtype=np.float32)

    @property
    def upright(self) -> bool:
        """Whether the picture's columns are the body's, so that x is the same down a column."""
        return self._columns is self.x[0] or np.array_equal(self._columns, self.x[0])

    def take(self, coverage: F32) -> F32:
        """Cover a part of what is bare and give it, without adding it to a compartment."""
        part: F32 = coverage * self.bare
        self.bare -= part
        return part

    def add(self, name: str, coverage: F32) -> F32:
        part = self.take(coverage)
        self.weights[self.names.index(name)] += part
        return part

    def spot(
        self, name: str | None, centre: Point, half: Point, turn: float = 0.0, *,
        edge: float = 1.2, within: F32 | None = None, share: float = 1.0, shrink: float = 0.0,
    ) -> None:  # fmt: skip
        """Paint a small ellipse, looking only at its surroundings; None covers with nothing.

        shrink: how much smaller than ``half``, mm, keeping the form.
        """
        reach = max(half) + edge
        across, down = self._seen(centre)
        columns = np.searchsorted(self._columns, [across - reach, across + reach])
        rows = np.searchsorted(self._rows, [down - reach, down + reach])
        here = slice(*rows), slice(*columns)
        depth = ellipse(self.x[here], self.y[here], centre, half, turn) - np.float32(shrink)
        part = soft(depth, edge) * self.bare[here] * np.float32(share)
        if within is not None:
            part *= within[here]
        self.bare[here] -= part
        if name is not None:
            self.weights[self.names.index(name)][here] += part


def _heart(
    paint: _Canvas, heart: HeartLevel, who: Person, level: str, x: F32, y: F32,
    rng: np.random.Generator,
) -> dict[str, F32]:  # fmt: skip
    angle = np.arctan2(-y, x)
    radius = np.hypot(x, y)
    endo = heart.outline(angle, heart.endo_mm)
    epi = heart.outer(angle)
    cavity = soft(endo - radius, heart.edge_mm)
    if heart.outflow_mm:
        # The tract to the aorta opens the ring at its anterior septal side.
        mouth = at_angle(heart.septum_angle - np.radians(48), heart.endo_mm * 0.9)
        wide = min(13.0, 5.0 + 1.2 * heart.outflow_mm)
        cavity = np.maximum(cavity, soft(ellipse(x, y, mouth, (1.2 * wide, wide), 0.5), 2.0))
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
    if heart.septal_mm:
        # A thick septum bulges into the right ventricle and pushes it away as well.
        middle += 0.6 * heart.septal_mm
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
    around = np.maximum(epi - radius, outer)
    if who.effusion_mm:
        # Fluid gathers below and behind.
        pool = around + who.effusion_mm * (0.5 - 0.5 * np.sin(angle + 0.4))
        paint.add("effusion", soft(pool.astype(np.float32), 1.5))
        around = np.maximum(around, pool)
    coat = around + 2.2 + 1.2 * np.cos(2 * angle + 1)
    if who.coat_mm:
        # Fat lies thickest over the right ventricle and in the grooves.
        coat += who.coat_mm * (0.6 + 0.4 * np.cos(angle - heart.septum_angle))
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
             heart.endo_mm * (0.86 if heart.papillary_at > 0.7 else 0.78))
            for _ in range(4)
        ]  # fmt: skip
    muscles: list[tuple[float, float, float]] = [
        (float(np.radians(28) + turn), heart.papillary_mm, heart.endo_mm * heart.papillary_at),
        (
            float(np.radians(-98) + turn),
            heart.papillary_mm * 0.95,
            heart.endo_mm * heart.papillary_at,
        ),
    ]
    muscles += [
        (float(rng.uniform(-2.0, 0.9)), float(rng.uniform(1.0, 1.9)) * heart.trabeculae,
         heart.endo_mm * 0.96)
        for _ in range(5)
    ]  # fmt: skip
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
    over = x[0][None, :] if paint.upright else np.clip(x, heights[0], heights[-1])
    diaphragm = PchipInterpolator(heights, dome)(over).astype(np.float32)
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
    if who.rich:
        _more_neighbours(paint, heart, who, level, x, y, under, chest)
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


def _more_neighbours(
    paint: _Canvas, heart: HeartLevel, who: Person, level: str, x: F32, y: F32, under: F32,
    chest: F32,
) -> None:  # fmt: skip
    """What else fills with contrast near the heart: lung vessels of the hilum, the left kidney."""
    rng = np.random.default_rng([who.seed, 32, len(level), ord(level[0])])
    lungs = (chest * (under < -4)).astype(np.float32)
    count = {"basal": 7, "mid": 5, "mid2": 4, "apical": 2}[level]
    for _ in range(count):
        where = float(rng.uniform(-0.5, 1.3))
        out = heart.epi_mm + float(rng.uniform(16, 40))
        size = float(rng.uniform(2.2, 5.0))
        half = (size * float(rng.uniform(1, 2.2)), size)
        turn = where + float(rng.normal(0, 0.4))
        paint.spot("lung_vessel", at_angle(where, out), half, turn, within=lungs, share=0.95)
    # The kidney lies behind the spleen and reaches into the lower slices alone.
    share = {"basal": 0.0, "mid": 0.75, "mid2": 0.9, "apical": 1.0}[level]
    if not share:
        return
    middle = (88.0 * who.size + float(rng.uniform(-6, 6)), 128.0 + who.dome_mm)
    half = (27.0 * share * who.size, 50.0 * share * who.size)
    deep = soft(under - 4.0, 1.5) * chest
    shape = ellipse(x, y, middle, half, 0.25)
    sinus = (middle[0] - 0.45 * half[0], middle[1])
    paint.add("fat", deep * soft(ellipse(x, y, sinus, (0.45 * half[0], 0.4 * half[1]), 0.25), 2.0))
    for number in range(7):
        angle = 2 * np.pi * number / 7 + float(rng.uniform(-0.2, 0.2))
        spot = (
            middle[0] + 0.56 * half[0] * float(np.cos(angle)),
            middle[1] + 0.62 * half[1] * float(np.sin(angle)),
        )
        paint.spot(
            "kidney_medulla", spot, (0.24 * half[0], 0.15 * half[1]), -angle, edge=2.0, within=deep
        )
    paint.add("kidney_cortex", deep * soft(shape, 1.5))
    paint.add("fat", 0.8 * deep * soft(shape + 5.0, 2.0))


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

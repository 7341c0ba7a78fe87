"""Find LV blood, RV blood and the wall on the corrected film; contours by a person win.

Each pixel's curve is told as a mixture of the two blood curves and a muscle-like one. The
cavity is drawn as people draw it: round the blood and the papillary muscles in it. The outer
border is the closed path round the cavity that best parts muscle from what lies outside.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage import draw, morphology

from processing.mcaq.heart import bolus_image
from processing.mcaq.series import (
    BACKGROUND,
    LV_BLOOD,
    MYOCARDIUM,
    RV_BLOOD,
    GivenContours,
    LabelArray,
    Level,
)

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

ANGLES = 96
_FARTHEST_MM = 45.0
_STEP_MM = 0.5
_THINNEST_MM, _THICKEST_MM = 4.5, 24.0
_SMALLEST_MM = 3.0
#: How far the wall's thickness follows what is seen, the rest following its mean.
_EVIDENCE = 0.85
#: Wall thickness: that of diastole, growing as the cavity shrinks towards systole.
_USUAL_MM, _SPREAD_MM = 8.5, 3.5
_DIASTOLIC_RADIUS_MM, _THICKENING = 18.0, 0.6
#: The heart finder's middle may lie off the cavity's; from the pool's own middle one sees farther.
_FIRST_REACH_MM, _REACH_MM = 22.0, 28.0
#: Share of blood at the outermost blood of the cavity, and halfway across a clean border.
_FAINT, _HALF = 0.25, 0.5
#: Where people draw the inner border, measured on outlines of eight patients and on phantoms.
#: A clean border lies inside the faint blood by what its blood fades over (_CLEAN); where blood
#: fades over more than the point-spread function (_SPREAD_PX), between trabeculae, people draw
#: the border farther out (_FADING); and by a share (_FILLED) of what a cavity that papillary
#: muscles fill falls short of its usual radius.
_CLEAN, _SPREAD_PX, _FADING, _FILLED = 1.1, 0.9, 0.6, 0.25


class NotFound(Exception):
    """Why the heart could not be drawn; the text is for the reader."""


@dataclass(frozen=True)
class Anatomy:
    """The heart of one film on its crop.

    labels: (r, c). endocardium, epicardium: (N, 2) row, column on the crop. insertions: the
    anterior and inferior RV insertion points on the crop, or ``None``. lv_curve, rv_curve: (T,)
    mean signal of the pools. blood: (r, c), the share of LV blood in each pixel, 0 to 1.
    """

    labels: LabelArray
    endocardium: F64
    epicardium: F64
    insertions: tuple[tuple[float, float], tuple[float, float]] | None
    lv_curve: F64
    blood: F32
    rv_direction: float | None
    insertions_given: bool = False


def segment(
    film: F32,
    times_s: F64,
    centre: tuple[float, float],
    rv_centre: tuple[float, float],
    spacing_mm: tuple[float, float],
    given: GivenContours | None = None,
    offset: tuple[int, int] = (0, 0),
    level: Level = "mid",
    *,
    mirrored: bool = False,
) -> Anatomy:
    """Segment a corrected film (T, r, c) of dynamic frames. Raises NotFound.

    centre, rv_centre: of the two pools on the crop, roughly. given: contours on the source grid.
    level: papillary muscles fill cavities of basal and mid slices, not of apical ones.
    mirrored: the picture is seen from the heart's base.
    """
    bolus, peak_s = bolus_image(film, times_s)
    lv = _left_pool(bolus, centre, spacing_mm)
    if lv is None:
        raise NotFound(
            "The blood of the left ventricle was not found in this slice. Check that the heart "
            "is in view and that contrast passes, or draw the contours."
        )
    lv_curve = _curve(film, lv)
    rv = _right_pool(film, bolus, peak_s, lv, lv_curve, rv_centre, times_s, spacing_mm)
    blood, right, muscle = _mixture(
        film, times_s, lv_curve, None if rv is None else _curve(film, rv)
    )
    if given is not None:
        shift = np.asarray(offset, dtype=np.float64)
        endocardium, epicardium = given.endocardium - shift, given.epicardium - shift
        cavity = filled(lv.shape, endocardium)
        if not cavity.any():
            raise NotFound("The given inner contour holds no pixel. Draw it again.")
        middle = _middle(cavity)
    else:
        middle = _middle(_cavity(blood, lv, _FAINT))
        endo_mm = _inner_border(blood, lv, middle, spacing_mm, apical=level == "apical")
        epi_mm = _outer_border(muscle, right, middle, endo_mm, spacing_mm)
        endocardium = _contour(middle, endo_mm, spacing_mm)
        epicardium = _contour(middle, epi_mm, spacing_mm)
        cavity = filled(lv.shape, endocardium)
    wall = filled(lv.shape, epicardium) & ~cavity
    labels = np.full(lv.shape, BACKGROUND, dtype=np.uint8)
    if rv is not None:
        rv = _at_half(right, rv, ~(wall | cavity))
        labels[rv] = RV_BLOOD
    labels[wall] = MYOCARDIUM
    labels[cavity] = LV_BLOOD
    if (labels == MYOCARDIUM).sum() < 20:
        raise NotFound(
            "The heart muscle was not found in this slice. Draw the contours to analyse it."
        )
    direction = (
        None if rv is None else _direction(_middle(cavity), rv & ~wall & ~cavity, spacing_mm)
    )
    insertions = _given_insertions(given, offset)
    insertions_given = insertions is not None
    if insertions is None and rv is not None:
        insertions = _insertions(labels, middle, spacing_mm, mirrored=mirrored)
    return Anatomy(
        labels, endocardium, epicardium, insertions, lv_curve, blood, direction, insertions_given
    )


def filled(shape: tuple[int, int], contour: F64) -> NDArray[np.bool_]:
    inside = draw.polygon2mask(shape, contour)  # type: ignore[no-untyped-call]
    return np.asarray(inside, dtype=np.bool_)


def _given_insertions(
    given: GivenContours | None, offset: tuple[int, int]
) -> tuple[tuple[float, float], tuple[float, float]] | None:
    if given is None or given.rv_insertion_anterior is None or given.rv_insertion_inferior is None:
        return None
    a, b = given.rv_insertion_anterior, given.rv_insertion_inferior
    return (a[0] - offset[0], a[1] - offset[1]), (b[0] - offset[0], b[1] - offset[1])


# --- pools of blood -----------------------------------------------------------------------------
def _left_pool(
    bolus: F32, centre: tuple[float, float], spacing_mm: tuple[float, float]
) -> NDArray[np.bool_] | None:
    """The LV's blood, from roughly its middle."""
    pool = _pool(bolus, centre, spacing_mm, reach_mm=_FIRST_REACH_MM)
    for _ in range(2):
        if pool is None:
            return None
        inner = ndimage.binary_erosion(pool)
        middle = _middle(inner if inner.any() else pool)
        wider = _pool(bolus, middle, spacing_mm, reach_mm=_REACH_MM)
        pool = pool if wider is None else wider
    return pool


def _pool(
    bolus: F32, centre: tuple[float, float], spacing_mm: tuple[float, float], *, reach_mm: float
) -> NDArray[np.bool_] | None:
    """The blob of strong bolus round ``centre``."""
    rows, cols = np.mgrid[: bolus.shape[0], : bolus.shape[1]]
    distance = np.hypot((rows - centre[0]) * spacing_mm[0], (cols - centre[1]) * spacing_mm[1])
    near = distance < reach_mm
    core = distance < 9
    if not core.any():
        return None
    top = float(np.percentile(bolus[core], 90))
    if top <= 0:
        return None
    labels, count = ndimage.label((bolus > 0.5 * top) & near)
    if count == 0:
        return None
    inside = np.bincount(labels[core], minlength=count + 1)
    inside[0] = 0
    if inside.max() == 0:
        return None
    return np.asarray(labels == inside.argmax())


def _curve(film: F32, mask: NDArray[np.bool_]) -> F64:
    """Median curve of the inner part of a pool."""
    inner = ndimage.binary_erosion(mask)
    chosen = inner if inner.sum() >= 8 else mask
    return np.median(film[:, chosen], axis=1).astype(np.float64)


def _right_pool(
    film: F32,
    bolus: F32,
    peak_s: F64,
    lv: NDArray[np.bool_],
    lv_curve: F64,
    rv_centre: tuple[float, float],
    times_s: F64,
    spacing_mm: tuple[float, float],
) -> NDArray[np.bool_] | None:
    """Blood that filled before the LV and touches the heart; ``None`` if there is none such."""
    lv_peak = float(np.median(peak_s[lv]))
    top = float(np.percentile(bolus[lv], 80))
    early = (peak_s < lv_peak - 0.6) & (bolus > 0.3 * top) & ~ndimage.binary_dilation(lv)
    early = ndimage.binary_opening(early)
    labels, count = ndimage.label(early)
    if count == 0:
        return None
    rows, cols = np.mgrid[: lv.shape[0], : lv.shape[1]]
    away = np.hypot((rows - rv_centre[0]) * spacing_mm[0], (cols - rv_centre[1]) * spacing_mm[1])
    best, most = 0, 0.0
    for number in range(1, count + 1):
        here = labels == number
        size = float(here.sum()) * spacing_mm[0] * spacing_mm[1]
        value = size * np.exp(-0.5 * (float(np.median(away[here])) / 20) ** 2)
        if size > 80 and value > most:
            best, most = number, float(value)
    return None if best == 0 else np.asarray(labels == best)


def _at_half(right: F32, rv: NDArray[np.bool_], allowed: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The RV's pool drawn anew where the share of its blood is half of what its inside has."""
    inner = ndimage.binary_erosion(rv)
    inside = float(np.median(right[inner if inner.any() else rv]))
    pool = (right > 0.5 * inside) & ndimage.binary_dilation(rv, iterations=2) & allowed
    labels, count = ndimage.label(pool)
    if not count:
        return rv
    overlap = np.bincount(labels[rv], minlength=count + 1)
    overlap[0] = 0
    return np.asarray(labels == overlap.argmax()) if overlap.max() else rv


def _mixture(film: F32, times_s: F64, lv_curve: F64, rv_curve: F64 | None) -> tuple[F32, F32, F32]:
    """Shares of LV blood, RV blood and muscle-like enhancement in each pixel, (r, c) each.

    Muscle takes up contrast as the LV blood's curve smeared by an exponential of 12 s.
    """
    lv = lv_curve - np.percentile(lv_curve, 5)
    steps = np.gradient(times_s)
    muscle = np.zeros_like(lv)
    for t in range(1, len(lv)):
        keep = np.exp(-(times_s[t] - times_s[t - 1]) / 12.0)
        muscle[t] = keep * muscle[t - 1] + lv[t - 1] * steps[t]
    parts = [lv / lv.max(), muscle / max(muscle.max(), 1e-9)]
    if rv_curve is not None:
        rv = rv_curve - np.percentile(rv_curve, 5)
        parts.append(rv / max(rv.max(), 1e-9))
    design = np.stack([*parts, np.ones_like(lv)], axis=1)
    flat = film.reshape(len(film), -1).astype(np.float64)
    solution = np.linalg.lstsq(design, flat, rcond=None)[0]
    shape = film.shape[1:]
    blood = np.clip(solution[0] / lv.max(), 0, 1.5).reshape(shape)
    wall = np.maximum(solution[1], 0).reshape(shape)
    right = (
        np.clip(solution[2] / lv.max(), 0, 1.5).reshape(shape)
        if rv_curve is not None
        else np.zeros(shape)
    )
    return blood.astype(np.float32), right.astype(np.float32), wall.astype(np.float32)


# --- borders ------------------------------------------------------------------------------------
def _cavity(blood: F32, lv: NDArray[np.bool_], share: float) -> NDArray[np.bool_]:
    """The cavity with its papillary muscles: the convex hull of pixels with that share of blood."""
    strong = (blood > share) & ndimage.binary_dilation(lv, iterations=2)
    labels, count = ndimage.label(strong)
    if count:
        overlap = np.bincount(labels[lv], minlength=count + 1)
        overlap[0] = 0
        strong = labels == overlap.argmax()
    if strong.sum() < 8:
        strong = lv
    # A thin tongue of blood (outflow, spill between trabeculae) must not stretch the hull.
    opened = ndimage.binary_opening(strong)
    chosen = opened if opened.sum() > 0.6 * strong.sum() else strong
    hull = morphology.convex_hull_image(chosen)  # type: ignore[no-untyped-call]
    return np.asarray(hull, dtype=np.bool_)


def _middle(mask: NDArray[np.bool_]) -> tuple[float, float]:
    row, col = ndimage.center_of_mass(mask)
    return float(row), float(col)


def _rays() -> tuple[F64, F64]:
    """Directions of ANGLES rays, (row, column) parts; the angle grows anticlockwise as seen."""
    angle = np.arange(ANGLES) * 2 * np.pi / ANGLES
    return -np.sin(angle), np.cos(angle)


def _polar(
    image: NDArray[np.floating], middle: tuple[float, float], spacing_mm: tuple[float, float]
) -> F64:
    """Sample an image along rays from ``middle``, (ANGLES, radii)."""
    radii = np.arange(0, _FARTHEST_MM, _STEP_MM)
    down, right = _rays()
    rows = middle[0] + down[:, None] * radii / spacing_mm[0]
    cols = middle[1] + right[:, None] * radii / spacing_mm[1]
    return np.asarray(
        ndimage.map_coordinates(image.astype(np.float64), (rows, cols), order=1, mode="nearest")
    )


def _radius_of(
    mask: NDArray[np.bool_], middle: tuple[float, float], spacing_mm: tuple[float, float]
) -> F64:
    """The border of a convex mask as a radius in mm for each ray."""
    inside = _polar(ndimage.gaussian_filter(mask.astype(np.float64), 0.7), middle, spacing_mm)
    radius = np.array([np.count_nonzero(np.minimum.accumulate(ray > 0.5)) for ray in inside])
    return _smooth_closed(radius * _STEP_MM, 2.0)


def _inner_border(
    blood: F32,
    lv: NDArray[np.bool_],
    middle: tuple[float, float],
    spacing_mm: tuple[float, float],
    *,
    apical: bool,
) -> F64:
    """The inner border as people draw it, round papillary muscles and trabeculae; mm a ray."""
    faint = _radius_of(_cavity(blood, lv, _FAINT), middle, spacing_mm)
    half = _radius_of(_cavity(blood, lv, _HALF), middle, spacing_mm)
    pixel_mm = float(np.sqrt(spacing_mm[0] * spacing_mm[1]))
    fades_mm = float((faint - half).mean())
    inwards_mm = min(_CLEAN * fades_mm, _SPREAD_PX * pixel_mm - _FADING * fades_mm)
    radius = _rounded(faint, harmonics=2, within=0.3) - inwards_mm
    if not apical:
        radius += _FILLED * max(0.0, _DIASTOLIC_RADIUS_MM - float(half.mean()))
    return np.maximum(radius, _SMALLEST_MM)


def _rounded(radius_mm: F64, *, harmonics: int, within: float) -> F64:
    """A closed path with few harmonics; rays that lie within it weigh ``within``, others 1."""
    angle = np.arange(len(radius_mm)) * 2 * np.pi / len(radius_mm)
    waves = [part(k * angle) for k in range(1, harmonics + 1) for part in (np.cos, np.sin)]
    design = np.stack([np.ones_like(angle), *waves], axis=1)
    weight = np.ones_like(radius_mm)
    path = radius_mm
    for _ in range(8):
        root = np.sqrt(weight)
        solution = np.linalg.lstsq(design * root[:, None], radius_mm * root, rcond=None)[0]
        path = design @ solution
        weight = np.where(radius_mm > path, 1.0, within)
    return np.asarray(path)


def _smooth_closed(values: F64, width: float) -> F64:
    return np.asarray(ndimage.gaussian_filter1d(values, width, mode="wrap"))


def _outer_border(
    muscle: F32,
    right: F32,
    middle: tuple[float, float],
    endo_mm: F64,
    spacing_mm: tuple[float, float],
) -> F64:
    """The closed path that keeps muscle in and RV blood, lung and fat out, in mm for each ray."""
    wall = _polar(ndimage.gaussian_filter(muscle, 0.6), middle, spacing_mm)
    rv = _polar(right, middle, spacing_mm)
    radii = np.arange(wall.shape[1]) * _STEP_MM
    thickness = radii[None] - endo_mm[:, None]
    ring = (thickness > 1.5) & (thickness < 8)
    usual = float(np.median(wall[ring])) + 1e-9
    like = np.clip(wall / usual, 0, 1.6)
    # Gain of each step outwards: muscle counts for, its absence and RV blood against.
    gain = np.clip(like - 0.55, -0.5, 0.4) - 1.2 * np.clip(rv - 0.25, 0, 1)
    gain[thickness < 0] = 0
    reward = np.cumsum(gain, axis=1) * _STEP_MM
    systolic = max(0.0, _DIASTOLIC_RADIUS_MM - float(endo_mm.mean()))
    prior = 0.5 * ((thickness - _USUAL_MM - _THICKENING * systolic) / _SPREAD_MM) ** 2
    cost = -reward + 0.55 * prior
    cost[(thickness < _THINNEST_MM) | (thickness > _THICKEST_MM)] = np.inf
    path = _closed_path(cost, most_step=2)
    outer = _smooth_closed(np.asarray(radii[path], dtype=np.float64), 1.5)
    # People draw an outer border rounder than its evidence, and rather inside of it: what lies
    # outside (RV blood, fat, lung) spoils flow, a missing rim does not.
    wall_mm = outer - endo_mm
    evened = endo_mm + _EVIDENCE * wall_mm + (1 - _EVIDENCE) * wall_mm.mean()
    return np.maximum(_rounded(evened, harmonics=3, within=4.0), endo_mm + _THINNEST_MM)


def _closed_path(cost: F64, most_step: int) -> NDArray[np.intp]:
    """The cheapest closed path, one radius a ray, neighbours at most ``most_step`` apart."""
    rays, radii = cost.shape
    start = int(np.nan_to_num(cost, posinf=1e9).min(axis=1).argmin())
    rolled = np.roll(cost, -start, axis=0)
    first = int(rolled[0].argmin())
    total = np.full(radii, np.inf)
    total[first] = rolled[0, first]
    back = np.zeros((rays, radii), dtype=np.intp)
    for ray in [*range(1, rays), 0]:
        choices = np.full((2 * most_step + 1, radii), np.inf)
        for number, step in enumerate(range(-most_step, most_step + 1)):
            moved = np.roll(total, step) + 0.08 * step * step
            if step > 0:
                moved[:step] = np.inf
            elif step < 0:
                moved[step:] = np.inf
            choices[number] = moved
        winner = choices.argmin(axis=0)
        back[ray] = np.arange(radii) - (winner - most_step)
        total = choices.min(axis=0) + (rolled[ray] if ray else 0)
    if not np.isfinite(total[first]):
        raise NotFound(
            "No closed outer border of the heart muscle was found in this slice. Draw the "
            "contours to analyse it."
        )
    path = np.zeros(rays, dtype=np.intp)
    here = first
    here = back[0, here]
    for ray in range(rays - 1, 0, -1):
        path[ray] = here
        here = back[ray, here]
    path[0] = first
    return np.roll(path, start)


def _contour(middle: tuple[float, float], radius_mm: F64, spacing_mm: tuple[float, float]) -> F64:
    down, right = _rays()
    return np.stack(
        [
            middle[0] + down * radius_mm / spacing_mm[0],
            middle[1] + right * radius_mm / spacing_mm[1],
        ],
        axis=1,
    )


# --- where the right ventricle joins ------------------------------------------------------------
def angle_of(point: tuple[float, float], middle: tuple[float, float]) -> float:
    """The direction of ``point`` from ``middle``, radians anticlockwise as seen, 0 to the right."""
    return float(np.arctan2(-(point[0] - middle[0]), point[1] - middle[1]))


def _direction(
    middle: tuple[float, float], rv: NDArray[np.bool_], spacing_mm: tuple[float, float]
) -> float | None:
    if not rv.any():
        return None
    row, col = _middle(rv)
    return float(np.arctan2(-(row - middle[0]) * spacing_mm[0], (col - middle[1]) * spacing_mm[1]))


def _insertions(
    labels: LabelArray,
    middle: tuple[float, float],
    spacing_mm: tuple[float, float],
    *,
    mirrored: bool,
) -> tuple[tuple[float, float], tuple[float, float]] | None:
    """The two ends of the stretch along which RV blood lies against the wall.

    With the RV to the left of the picture the anterior end is the upper one: the clockwise end
    as seen from the middle of the stretch, in whichever way the picture is turned. In a mirrored
    picture it is the other one.
    """
    rv = (labels == RV_BLOOD).astype(np.float64)
    beyond = _polar(rv, middle, spacing_mm)
    radii = np.arange(beyond.shape[1]) * _STEP_MM
    edge = _radius_of((labels == MYOCARDIUM) | (labels == LV_BLOOD), middle, spacing_mm)
    epicardium = _contour(middle, edge, spacing_mm)
    near = (radii[None] > edge[:, None]) & (radii[None] < edge[:, None] + 9)
    touching = (beyond * near).max(axis=1) > 0.5
    if not 6 <= touching.sum() <= 0.7 * ANGLES:
        return None
    angle = np.arange(ANGLES) * 2 * np.pi / ANGLES
    centre = np.angle((np.exp(1j * angle) * touching).sum())
    offset = np.angle(np.exp(1j * (angle - centre)))
    inside = offset[touching]
    # Angles grow anticlockwise, so the clockwise end is the smallest offset.
    clockwise, anticlockwise = float(np.percentile(inside, 2)), float(np.percentile(inside, 98))
    ends = []
    for end in (clockwise, anticlockwise):
        number = int(np.argmin(np.abs(np.angle(np.exp(1j * (angle - centre - end))))))
        ends.append((float(epicardium[number, 0]), float(epicardium[number, 1])))
    return (ends[1], ends[0]) if mirrored else (ends[0], ends[1])

"""Put a phantom study together: a person, a bolus for each state, a film for each slice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from processing.mcaq.phantom import anatomy, imaging, motion
from processing.mcaq.phantom import flow as flows
from processing.mcaq.phantom.films import films
from processing.mcaq.phantom.plan import Plan
from processing.mcaq.phantom.slices import cut
from processing.mcaq.phantom.truth import PhantomStudy
from processing.mcaq.series import Level, State

DEFAULT_STATES: tuple[State, ...] = ("stress", "rest")
DEFAULT_LEVELS: tuple[Level, ...] = ("basal", "mid", "apical")


@dataclass(frozen=True)
class Orientation:
    """How pictures show the body: mirrored first, then turned anticlockwise by so many degrees."""

    turn_deg: float = 0.0
    mirrored: bool = False


def make_study(
    seed: int = 1,
    *,
    states: Sequence[State] = DEFAULT_STATES,
    levels: Sequence[Level] = DEFAULT_LEVELS,
    frames: int = 60,
    rows: int = 192,
    cols: int = 160,
    pixel_mm: float = 2.0,
    pd_frames: int = 0,
    dual_sequence: bool = False,
    input_echoes: Literal[1, 2] = 1,
    field_t: float = 1.5,
    breathing: motion.Breathing = "free",
    breathing_mm: float = 9.0,
    noise: float = 6.0,
    defect: flows.Defect | Sequence[flows.Defect] | str | None = "any",
    residual_mmol_l: float = 0.0,
    dose: float | None = None,
    flow: flows.Amount = "usual",
    phase: Literal["diastolic", "systolic"] = "diastolic",
    through_plane: int = 0,
    mistriggered: int = 0,
    corrupted: int = 0,
    orientation: Orientation | str = "usual",
    off_centre_mm: tuple[float, float] = (0.0, 0.0),
    variety: anatomy.Variety = "usual",
    neighbours: anatomy.Neighbours = "usual",
    splenic_switch_off: bool = True,
    normalised: float = 0.45,
    dark_rim: bool = False,
) -> PhantomStudy:
    """A study whose truth is known; the same arguments give the same study, bit for bit.

    frames: contrast frames; ``pd_frames`` proton-density frames come before them.
    rows, cols: even. breathing_mm: how far the diaphragm moves in a usual breath.
    noise: standard deviation in signal units (healthy muscle reaches about 250 at stress).
    defect: "any" lets the seed choose one vessel's territory, "two" those of two; None leaves all
    flow normal; one defect or several may be given.
    residual_mmol_l: what a first injection left in the blood before this film.
    dose: relative to the one that gives the published peaks in the left ventricle, 3.5 mmol/l at
    stress and 4.4 at rest. By default a study without input series gets 0.7 of it, as sites
    do, since its one saturation time must serve blood and muscle.
    dual_sequence: give each series a low-resolution input series with a short saturation time.
    input_echoes: of each of its frames; the later one comes as ``later_echo``.
    flow: "low" is low stress flow everywhere, as with three narrow vessels.
    phase: of the beat in which pictures are taken; "systolic" has small cavities that papillary
    muscles nearly fill, and thick walls.
    through_plane: how many deep breaths bring another part of the heart into the slice.
    mistriggered: how many frames of each state are taken in another phase of the beat.
    corrupted: how many frames of each film are spoilt by ghosts, loss of signal or noise.
    orientation: "mirrored", or "any" to let the seed turn and perhaps mirror the pictures.
    off_centre_mm: how far down and right the heart lies in the picture from its usual place.
    variety: "wide" draws the person from the whole breadth of patients, and places them less well.
    neighbours: "rich" adds a kidney in the lower slices and large vessels of the left lung.
    splenic_switch_off: whether the spleen fills little at stress, as it should with adenosine.
    normalised: share of the coils' shading that the scanner takes out; 0 leaves all of it.
    dark_rim: a coarse k-space that ends at once, so that bright blood darkens the inner wall.
    """
    if frames < 2 or min(rows, cols) < 48 or rows % 2 or cols % 2:
        raise ValueError("A phantom has at least 2 frames of 48 × 48 pixels, rows and cols even.")
    usual_grid = imaging.Grid(rows, cols, pixel_mm, (0.45 * rows, 0.43 * cols))
    seen = _orientation(seed, orientation)
    plan = Plan(
        seed=seed,
        frames=frames,
        pd_frames=pd_frames,
        grid=_placed(usual_grid, seen, _away(seed, variety, off_centre_mm)),
        who=anatomy.person(seed, variety, neighbours),
        defects=_defects(seed, defect),
        breathing=breathing,
        breathing_mm=breathing_mm,
        noise=noise,
        field=1.5 if field_t < 2.2 else 3.0,
        dual=dual_sequence,
        two_echoes=input_echoes == 2,
        residual=residual_mmol_l,
        dose=dose if dose is not None else 1.0 if dual_sequence else 0.7,
        usual_cut=anatomy.Cutting(contraction=1.0 if phase == "systolic" else 0.0),
        deep_breaths=through_plane,
        mistriggered=mistriggered,
        corrupted=corrupted,
        switch_off=splenic_switch_off,
        normalised=normalised,
        dark_rim=dark_rim,
        amount=flow,
    )
    slices = [cut(plan, level) for level in levels]
    made = [film for state in states for film in films(plan, state, slices)]
    return PhantomStudy(seed, tuple(one for one, _ in made), tuple(told for _, told in made))


def _defects(
    seed: int, asked: flows.Defect | Sequence[flows.Defect] | str | None
) -> tuple[flows.Defect, ...]:
    if asked is None:
        return ()
    if isinstance(asked, flows.Defect):
        return (asked,)
    if not isinstance(asked, str):
        return tuple(asked)
    return flows.two_defects(seed) if asked == "two" else (flows.any_defect(seed),)


def _orientation(seed: int, asked: Orientation | str) -> Orientation:
    if isinstance(asked, Orientation):
        return asked
    if asked == "usual":
        return Orientation()
    if asked == "mirrored":
        return Orientation(mirrored=True)
    rng = np.random.default_rng([seed, 41])
    return Orientation(float(rng.uniform(-180, 180)), bool(rng.uniform() < 0.5))


def _away(
    seed: int, variety: anatomy.Variety, asked_mm: tuple[float, float]
) -> tuple[float, float]:
    """How far the heart lies down and right of its usual place, mm."""
    if variety == "usual":
        return asked_mm
    rng = np.random.default_rng([seed, 42])
    return asked_mm[0] + float(rng.uniform(-35, 30)), asked_mm[1] + float(rng.uniform(-25, 30))


def _placed(grid: imaging.Grid, seen: Orientation, away_mm: tuple[float, float]) -> imaging.Grid:
    """The grid turned about the picture's middle, and the heart away from its usual place."""
    if seen != Orientation():
        grid = replace(grid, turn_deg=seen.turn_deg, mirrored=seen.mirrored)
        middle = np.array([(grid.rows - 1) / 2, (grid.cols - 1) / 2])
        row, col = middle + grid.in_picture(np.array(grid.origin) - middle)
        grid = replace(grid, origin=(float(row), float(col)))
    if any(away_mm):
        row, col = np.array(grid.origin) + np.array(away_mm) / grid.pixel_mm
        grid = replace(grid, origin=(float(row), float(col)))
    return grid

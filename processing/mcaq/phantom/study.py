"""Put a phantom study together: a person, a bolus for each state, a film for each slice."""

from __future__ import annotations

from collections.abc import Sequence

from processing.mcaq.phantom import anatomy, flow, imaging, motion
from processing.mcaq.phantom.films import films
from processing.mcaq.phantom.plan import Plan
from processing.mcaq.phantom.slices import cut
from processing.mcaq.phantom.truth import PhantomStudy
from processing.mcaq.series import Level, State

DEFAULT_STATES: tuple[State, ...] = ("stress", "rest")
DEFAULT_LEVELS: tuple[Level, ...] = ("basal", "mid", "apical")


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
    field_t: float = 1.5,
    breathing: motion.Breathing = "free",
    breathing_mm: float = 9.0,
    noise: float = 6.0,
    defect: flow.Defect | str | None = "any",
    residual_mmol_l: float = 0.0,
    dose: float | None = None,
) -> PhantomStudy:
    """A study whose truth is known; the same arguments give the same study, bit for bit.

    frames: contrast frames; ``pd_frames`` proton-density frames come before them.
    rows, cols: even. breathing_mm: how far the diaphragm moves in a usual breath.
    noise: standard deviation in signal units (healthy muscle reaches about 250 at stress).
    defect: "any" lets the seed choose one vessel's territory; None leaves all flow normal.
    residual_mmol_l: what a first injection left in the blood before this film.
    dose: relative to the one that gives the published peaks in the left ventricle, 3.5 mmol/l at
    stress and 4.4 at rest. By default a study without input series gets 0.7 of it, as sites
    do, since its one saturation time must serve blood and muscle.
    dual_sequence: give each series a low-resolution input series with a short saturation time.
    """
    if frames < 2 or min(rows, cols) < 48 or rows % 2 or cols % 2:
        raise ValueError("A phantom has at least 2 frames of 48 × 48 pixels, rows and cols even.")
    plan = Plan(
        seed=seed,
        frames=frames,
        pd_frames=pd_frames,
        grid=imaging.Grid(rows, cols, pixel_mm, (0.45 * rows, 0.43 * cols)),
        who=anatomy.person(seed),
        defect=flow.any_defect(seed) if isinstance(defect, str) else defect,
        breathing=breathing,
        breathing_mm=breathing_mm,
        noise=noise,
        field=1.5 if field_t < 2.2 else 3.0,
        dual=dual_sequence,
        residual=residual_mmol_l,
        dose=dose if dose is not None else 1.0 if dual_sequence else 0.7,
    )
    slices = [cut(plan, level) for level in levels]
    made = [film for state in states for film in films(plan, state, slices)]
    return PhantomStudy(seed, tuple(one for one, _ in made), tuple(told for _, told in made))

"""The films of one state: one bolus, one row of heart beats, one film for each slice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from processing.mcaq.phantom import (
    bloch,
    blood,
    damage,
    flow,
    imaging,
    motion,
    signals,
    slices,
    tissue,
)  # fmt: skip
from processing.mcaq.phantom.anatomy import Cutting
from processing.mcaq.phantom.plan import Plan
from processing.mcaq.phantom.slices import Slice
from processing.mcaq.phantom.truth import Damage, SeriesTruth
from processing.mcaq.series import MYOCARDIUM, Acquisition, FrameRole, Series, State

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

_BEAT_S = {"stress": 0.66, "rest": 0.86}
_START_S = {"stress": 1220.0, "rest": 2010.0}
_STATE_SEED = {"stress": 21, "rest": 22}
_FIRST_DELAY_MS, _SLICE_DELAY_MS, _INPUT_DELAY_MS = 92.5, 177.5, 32.5
_FLIP_DEG, _PD_FLIP_DEG = 12.0, 5.0
_INPUT_COARSER = 3
_LATER_ECHO_MS = 1.9


def bolus(seed: int, state: str, before_s: float, dose: float) -> blood.BolusShape:
    """The bolus of a state: under a vasodilator the heart beats more and all goes faster."""
    rng = np.random.default_rng([seed, _STATE_SEED[state], 1])
    vary = rng.uniform(0.9, 1.1, size=4)
    if state == "stress":
        return blood.BolusShape(
            before_s + 4.2 * vary[0], 3.0 * vary[1], 4.6 * vary[2], 13.5, 3.5 * dose * vary[3]
        )
    return blood.BolusShape(
        before_s + 5.6 * vary[0], 4.2 * vary[1], 6.2 * vary[2], 18.0, 4.4 * dose * vary[3]
    )


@dataclass(frozen=True)
class _State:
    """What the films of one state share: beats, flow, contrast, and triggers that went wrong.

    phases: of mis-triggered frames, how far towards the other end of the contraction, as a share.
    seeds: of the state's generators; further numbers behind them make further generators.
    """

    name: State
    how: flow.Perfusion
    curves: signals.StateCurves
    starts: F64
    pd: NDArray[np.bool_]
    phases: dict[int, float]
    seeds: tuple[int, ...]

    def rng(self, *more: int) -> np.random.Generator:
        return np.random.default_rng([*self.seeds, *more])


@dataclass(frozen=True)
class _Move:
    """How the heart lies in each frame (T,): in the plane, and how the slice cuts it."""

    course: motion.Course
    cuttings: tuple[Cutting, ...]


def films(plan: Plan, state: State, chosen: Sequence[Slice]) -> list[tuple[Series, SeriesTruth]]:
    """Series and truth of each slice."""
    kind = "stress" if state == "stress" else "rest"
    rng = np.random.default_rng([plan.seed, _STATE_SEED[kind], 2])
    count = plan.frames + plan.pd_frames
    starts = motion.beats(rng, count + 1, _BEAT_S[kind])
    how = flow.perfusion(plan.seed, kind, plan.defects, plan.amount)
    flows = [_flows(how, one) for one in chosen]
    shape = bolus(plan.seed, kind, float(starts[plan.pd_frames]), plan.dose)
    way = blood.circulate(shape, float(starts[-1]) + 3.0)
    least = min(float(one[one > 0].min()) for one in flows)
    most = max(float(one.max()) for one in flows)
    curves = signals.StateCurves(
        circulation=way,
        muscle=tissue.simulate(
            np.linspace(0.98 * least, 1.02 * most, 20), way.times_s, way.left, signals.HAEMATOCRIT
        ),
        state=kind,
        residual=plan.residual,
        switch_off=plan.switch_off,
    )
    seeds = (plan.seed, _STATE_SEED[kind])
    # Contrast has hardly begun in the very first frames, and no film is judged by them.
    late = np.arange(plan.pd_frames + 2, count)
    shared = _State(
        name=state,
        how=how,
        curves=curves,
        starts=starts,
        pd=np.arange(count) < plan.pd_frames,
        phases=motion.other_phases(np.random.default_rng([*seeds, 34]), late, plan.mistriggered),
        seeds=seeds,
    )
    return [_film(plan, shared, one, flows[n], n) for n, one in enumerate(chosen)]


def _flows(how: flow.Perfusion, one: Slice) -> F32:
    """Flow on the fine grid, 0 where there is no wall."""
    found = flow.flow_map(how, one.level, one.parts.angle, one.parts.depth)
    return np.where(one.parts.wall > 0, found, 0).astype(np.float32)


def _film(
    plan: Plan, shared: _State, one: Slice, flows: F32, number: int
) -> tuple[Series, SeriesTruth]:
    delay = _FIRST_DELAY_MS + _SLICE_DELAY_MS * number
    when = np.round((shared.starts[:-1] + delay / 1000) * 400) / 400
    readout = _readout(plan.field)
    acquisition = _acquisition(plan, readout)
    move = _moves(plan, one, shared, when)
    camera = imaging.Camera(
        one.grid, one.sensitivity, (one.grid.rows, one.grid.cols),
        (0.6, 0.45) if plan.dark_rim else (1.0, 0.82), plan.noise, plan.normalised, plan.dark_rim,
    )  # fmt: skip
    drawn = _drawn(one, move.course)
    still, areas = _film_at_rest(plan, shared, one, flows, move, when, readout)
    signal = camera.film(still, drawn, shared.rng(3, number))
    wrong = damage.chosen(shared.rng(35, number), np.flatnonzero(~shared.pd), plan.corrupted)
    for frame, kind in wrong.items():
        signal[frame] = damage.done(signal[frame], kind, plan.noise, shared.rng(36, number, frame))
    uid = f"2.25.{_number(*shared.seeds, number)}"
    times = when - when[0]
    roles: tuple[FrameRole, ...] = tuple("pd" if first else "dynamic" for first in shared.pd)
    series = Series(
        uid=uid,
        signal=signal,
        times_s=times,
        roles=roles,
        state=shared.name,
        level=one.level,
        pixel_spacing_mm=(plan.grid.pixel_mm, plan.grid.pixel_mm),
        mirrored=plan.grid.mirrored,
        acquisition=acquisition,
    )
    if plan.dual:
        series = replace(series, aif=_input_series(plan, shared, one, flows, series))
    rim = _rim(plan, shared, one, still, when, camera)
    truth = _truth(plan, shared, one, flows, when, move, delay, series, areas, wrong, rim)
    return series, truth


def _moves(plan: Plan, one: Slice, shared: _State, when: F64) -> _Move:
    """Breaths by the time of each frame: one row of them for all slices of a state."""
    course = motion.course(shared.rng(3), when, plan.breathing, plan.breathing_mm)
    down, offset = motion.deep_breaths(
        shared.rng(33), when, plan.deep_breaths, slices.DOWN_ALONG_AXIS
    )
    if plan.deep_breaths:
        # What goes along the axis is missing in the plane.
        in_plane = np.sqrt(1 - slices.DOWN_ALONG_AXIS**2)
        course = replace(course, down_mm=course.down_mm + in_plane * down)
    usual = plan.usual_cut.contraction
    other = 1.0 - usual
    contraction = np.full(len(when), usual)
    for frame, share in shared.phases.items():
        contraction[frame] = usual + share * (other - usual)
    return _Move(
        course,
        tuple(Cutting(float(o), float(c)) for o, c in zip(offset, contraction, strict=True)),
    )


def _film_at_rest(
    plan: Plan, shared: _State, one: Slice, flows: F32, move: _Move, when: F64,
    readout: bloch.Readout,
) -> tuple[F32, F64]:  # fmt: skip
    """The film without motion in the plane on the fine grid, (T, P); areas of the left ventricle's
    cavity and wall in each frame, (2, T) mm²."""
    areas = np.repeat(np.array(one.areas_mm2)[:, None], len(when), axis=1)
    still = _still(plan, shared, one, flows, when, shared.pd, readout)
    for cutting in dict.fromkeys(move.cuttings):
        if cutting == plan.usual_cut:
            continue
        here = np.array([each == cutting for each in move.cuttings])
        other = slices.cut(plan, one.level, cutting)
        still[here] = _still(
            plan, shared, other, _flows(shared.how, other), when[here], shared.pd[here], readout
        )
        areas[:, here] = np.array(other.areas_mm2)[:, None]
    return still, areas


def _rim(
    plan: Plan, shared: _State, one: Slice, still: F32, when: F64, camera: imaging.Camera
) -> NDArray[np.bool_]:
    """Wall that is darker in the picture than in one of a whole k-space, by the brightest blood."""
    muscle = one.labels == MYOCARDIUM
    if not plan.dark_rim:
        return np.zeros_like(muscle)
    brightest = int(np.argmax(shared.curves.blood(shared.curves.circulation.left, when)))
    # A camera without noise draws nothing from its generator.
    frame, no_noise = still[brightest][None], shared.rng(37)
    shown = replace(camera, noise=0.0).film(frame, None, no_noise)[0]
    whole = replace(camera, noise=0.0, coverage=(1.0, 1.0), cut_off=False)
    return np.asarray(muscle & (shown < 5 / 6 * whole.film(frame, None, no_noise)[0]))


def _readout(field: float) -> bloch.Readout:
    return bloch.Readout(100.0, _FLIP_DEG, 2.2, 1.1, 24, signals.R1[field], signals.R2[field])


def _without_saturation(readout: bloch.Readout) -> bloch.Readout:
    return replace(readout, saturation_ms=None, flip_deg=_PD_FLIP_DEG)


def _acquisition(plan: Plan, readout: bloch.Readout) -> Acquisition:
    """What the header and the site's protocol tell."""
    return Acquisition(
        sequence="flash",
        field_t=plan.field,
        saturation_time_ms=readout.saturation_ms,
        flip_angle_deg=readout.flip_deg,
        pd_flip_angle_deg=_PD_FLIP_DEG if plan.pd_frames else None,
        repetition_time_ms=readout.repetition_ms,
        echo_time_ms=readout.echo_ms,
        pulses_to_centre=readout.pulses_to_centre,
        relaxivity_l_per_mmol_s=readout.r1,
        t1_myocardium_ms=signals.T1_MUSCLE[plan.field],
        t1_blood_ms=signals.T1_BLOOD[plan.field],
        haematocrit=signals.HAEMATOCRIT,
        tissue_density_g_per_ml=tissue.DENSITY_G_PER_ML,
    )


def _still(
    plan: Plan, shared: _State, one: Slice, flows: F32, when: F64, pd: NDArray[np.bool_],
    readout: bloch.Readout,
) -> F32:  # fmt: skip
    """Frames of one slice without motion on the fine grid, (T, P)."""
    curves = shared.curves
    inside = np.flatnonzero(one.parts.wall > 0)
    grid = curves.muscle.mbf
    place = (flows[inside] - grid[0]) / (grid[1] - grid[0])
    lower = np.clip(place.astype(int), 0, len(grid) - 2)
    upper = (place - lower).astype(np.float32)

    share = one.parts.wall[inside] * one.parts.grain[inside]

    def of(frames: NDArray[np.bool_], way: bloch.Readout) -> F32:
        times = when[frames]
        flat = signals.of_compartments(
            curves, times, way, plan.field, shared.how.mean, one.parts.names
        )
        film = flat @ one.parts.weights
        wall = signals.of_wall(curves, times, way, plan.field)
        film[:, inside] += share * (wall[:, lower] * (1 - upper) + wall[:, lower + 1] * upper)
        return np.asarray(film, dtype=np.float32)

    if not pd.any():
        return of(~pd, readout)
    if pd.all():
        return of(pd, _without_saturation(readout))
    return np.concatenate([of(pd, _without_saturation(readout)), of(~pd, readout)])


def _heart_mm(one: Slice) -> tuple[float, float]:
    """The heart's radius, and how deep behind the chest's wall motion begins."""
    return one.parts.heart.epi_mm, 17.0


def _drawn(one: Slice, move: motion.Course) -> F64 | None:
    """u on the knots, (T, 2, knots) mm in the picture, or None without motion."""
    if move.rests:
        return None
    x, y = (np.asarray(part, dtype=np.float64) for part in one.grid.knots_mm())
    field = motion.drawn_field(
        move, x.ravel()[None], y.ravel()[None], one.body.depth, *_heart_mm(one)
    )
    return one.grid.in_picture(field).reshape(len(move.down_mm), 2, *x.shape)


def _true_displacement(plan: Plan, one: Slice, move: motion.Course) -> F32:
    frames = len(move.down_mm)
    if move.rests:
        return np.zeros((frames, 2, plan.grid.rows, plan.grid.cols), dtype=np.float32)
    x, y = (np.asarray(part, dtype=np.float64) for part in one.grid.knots_mm())
    field = motion.true_field(move, x.ravel(), y.ravel(), one.body.depth, *_heart_mm(one))
    knots = one.grid.in_picture(field).reshape(frames, 2, *x.shape) / plan.grid.pixel_mm
    return one.grid.refine(knots, 1)


def _input_series(
    plan: Plan, shared: _State, one: Slice, flows: F32, tissue_series: Series
) -> Series:
    """The low-resolution input series: the same beats, a moment earlier, a short saturation."""
    readout = bloch.Readout(
        24.0, 8.0, 1.6, 0.8, 8, signals.R1[plan.field], signals.R2[plan.field]
    )  # fmt: skip
    when = np.round((shared.starts[:-1] + _INPUT_DELAY_MS / 1000) * 400) / 400
    move = _moves(plan, one, shared, when)
    matrix = tuple(2 * round(size / _INPUT_COARSER / 2) for size in (one.grid.rows, one.grid.cols))
    camera = imaging.Camera(
        one.grid, one.sensitivity, (matrix[0], matrix[1]), (1.0, 1.0), plan.noise / 2,
        plan.normalised,
    )  # fmt: skip
    still, _ = _film_at_rest(plan, shared, one, flows, move, when, readout)
    signal = camera.film(still, _drawn(one, move.course), shared.rng(3, 99, *matrix))
    later, acquisition = None, _acquisition(plan, readout)
    if plan.two_echoes:
        # Both echoes follow the same pulse; the repetition time is taken to hold them.
        after = replace(readout, echo_ms=_LATER_ECHO_MS)
        dimmer, _ = _film_at_rest(plan, shared, one, flows, move, when, after)
        later = camera.film(dimmer, _drawn(one, move.course), shared.rng(3, 98, *matrix))
        acquisition = replace(acquisition, later_echo_time_ms=_LATER_ECHO_MS)
    return Series(
        uid=f"2.25.{_number(*shared.seeds, 50)}",
        signal=signal,
        times_s=when - when[0],
        roles=tissue_series.roles,
        state=tissue_series.state,
        level=one.level,
        pixel_spacing_mm=(
            plan.grid.pixel_mm * one.grid.rows / matrix[0],
            plan.grid.pixel_mm * one.grid.cols / matrix[1],
        ),
        acquisition=acquisition,
        later_echo=later,
    )


def _truth(
    plan: Plan, shared: _State, one: Slice, flows: F32, when: F64, move: _Move, delay: float,
    series: Series, areas: F64, wrong: dict[int, Damage], rim: NDArray[np.bool_],
) -> SeriesTruth:  # fmt: skip
    curves = shared.curves
    muscle = one.labels == MYOCARDIUM
    weighted = imaging.to_pixels(flows * one.parts.wall, one.grid)
    mbf = np.where(muscle, weighted / np.maximum(one.wall, 1e-3), np.nan).astype(np.float32)
    well = replace(shared.how, defects=(), mean=shared.how.healthy_mean)
    healthy = flow.flow_map(well, one.level, one.parts.angle, one.parts.depth)
    usual = imaging.to_pixels(healthy * one.parts.wall, one.grid) / np.maximum(one.wall, 1e-3)
    return SeriesTruth(
        uid=series.uid,
        state=series.state,
        level=one.level,
        displacement=_true_displacement(plan, one, move.course),
        segmentation=one.labels,
        papillary=one.papillary,
        aha=one.aha,
        wall=one.wall,
        blood=one.blood,
        mbf=mbf,
        segment_mbf={
            int(number): float(mbf[one.aha == number].mean())
            for number in np.unique(one.aha[one.aha > 0])
        },
        defect=muscle & (np.nan_to_num(mbf) < 0.67 * usual),
        aif_mmol_l=curves.blood(curves.circulation.left, when),
        rv_mmol_l=curves.blood(curves.circulation.right, when),
        flows=curves.muscle.mbf,
        tissue_mmol_l=curves.wall(when),
        haematocrit=signals.HAEMATOCRIT,
        times_s=when - when[0],
        clock_s=_START_S[curves.state] + when,
        trigger_delay_ms=delay,
        beat_ms=1000 * np.diff(shared.starts),
        placement=one.placement,
        through_plane=np.array([cutting.offset_mm for cutting in move.cuttings]),
        mistriggered=np.isin(np.arange(len(when)), list(shared.phases)),
        corrupted=tuple(wrong.get(n) for n in range(len(when))),
        cavity_mm2=areas[0],
        wall_mm2=areas[1],
        dark_rim=rim,
        heart=one.grid.origin,
    )


def _number(*parts: int) -> int:
    """A 122-bit number made from small ones, for a UID."""
    words = np.random.SeedSequence([7, *parts]).generate_state(4, np.uint32)
    return int.from_bytes(words.tobytes(), "big") >> 6 | 1 << 121

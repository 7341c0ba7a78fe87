"""Which input function each slice is fitted with: its own, a neighbour's or a better scan's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from processing.mcaq import input_function, t2_star
from processing.mcaq import signal as sr
from processing.mcaq.gain import Gain, estimate
from processing.mcaq.heart import bolus_image, find_hearts, usable_frames
from processing.mcaq.input_function import BloodCurve, InputFunction
from processing.mcaq.motion import constant, roughness, warp, whole
from processing.mcaq.series import LV_BLOOD, MYOCARDIUM, FloatArray, LabelArray, Series

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

_FARTHEST_S, _STEP_S = 8.0, 0.1
#: Two blood curves that agree less than this do not come from one injection.
_SAME_INJECTION = 0.97
_RANK = {"basal": 0, "mid": 1, "mid2": 2, "apical": 3}


@dataclass(frozen=True)
class Calibrated:
    """One slice with its signal's meaning: curve of its blood, gain, and gain by pixel (r, c).

    times_s: (U,) of the frames that take part. own: the input function measured in it.
    """

    blood: BloodCurve
    gain: Gain
    by_pixel: F64
    times_s: F64
    own: InputFunction


def calibrate(
    one: Series,
    corrected: F32,
    used: NDArray[np.bool_],
    labels: LabelArray,
    blood_share: F32,
    region: NDArray[np.bool_] | None = None,
) -> Calibrated:
    """Gain and blood curve of a corrected film (T, r, c).

    region: (r, c), the blood that a person chose for the input function; its pixels all count.
    """
    how = sr.physics(one.acquisition)
    times = np.asarray(one.times_s, dtype=np.float64)[used]
    film = corrected[used]
    if region is None:
        blood = input_function.blood_curve(film, times, labels == LV_BLOOD)
    else:
        blood = input_function.blood_of(film, times, region)
    before = film[blood.before].mean(axis=0).astype(np.float64)
    wall = labels == MYOCARDIUM
    core = wall & (blood_share < 0.2)
    core = core if core.sum() >= 20 else wall
    muscle_before = float(np.median(before[core]))
    pd = sr.frames_of(one.roles, "pd") & np.isfinite(corrected).all(axis=(1, 2))
    plain = None
    if pd.any():
        plain = corrected[pd].mean(axis=0).astype(np.float64) / how.proton_density_share()
    gain = estimate(
        how,
        blood_before=blood.baseline,
        blood_peak=blood.peak,
        blood_valley=blood.valley(times),
        muscle_before=muscle_before,
        proton_density=None if plain is None else float(np.median(plain[blood.pixels])),
        proton_density_is_sure=how.pd_flip_rad is not None,
    )
    # Coil sensitivity changes slowly; the shape of one picture, smoothed within the wall only.
    shape = before if plain is None else plain
    by_pixel = _smooth_within(shape, wall, one.pixel_spacing_mm)
    by_pixel *= gain.muscle / max(float(np.median(by_pixel[wall])), 1e-9)
    source = "this series" if region is None else "a region that a person drew"
    own = input_function.from_blood(blood, times, gain, how, source)
    return Calibrated(blood, gain, by_pixel, times, own)


def _smooth_within(
    image: F64, mask: NDArray[np.bool_], spacing_mm: tuple[float, float], width_mm: float = 4.0
) -> F64:
    sigma = (width_mm / spacing_mm[0], width_mm / spacing_mm[1])
    share = ndimage.gaussian_filter(mask.astype(np.float64), sigma)
    inside = ndimage.gaussian_filter(np.where(mask, image, 0.0), sigma)
    return np.asarray(inside / np.maximum(share, 1e-6))


def choose(
    series: Sequence[Series], found: Sequence[Calibrated], moved_mm: Sequence[F64]
) -> list[InputFunction]:
    """The input function of each slice, on that slice's own clock.

    moved_mm: of each slice, (T, 2), how far its frames were moved, row then column.

    A given one comes first, then that of a region which a person drew in a slice of the same
    state, then a low-resolution scan's. Else all slices of one state take the most basal one's,
    whose cavity is the largest and holds the least papillary muscle, if their own blood shows the
    same injection; the delay between two slices' clocks is measured.
    """
    return [_of(n, series, found, moved_mm[n]) for n in range(len(series))]


def _of(
    n: int, series: Sequence[Series], found: Sequence[Calibrated], moved_mm: F64
) -> InputFunction:
    one, mine = series[n], found[n]
    if one.given_aif is not None:
        return input_function.given(one.given_aif)
    if one.given_aif_region is not None:
        return mine.own
    peers = [m for m in range(len(series)) if series[m].state == one.state]
    drawn = [m for m in peers if series[m].given_aif_region is not None]
    if drawn and one.state != "unknown":
        return _aligned(found[drawn[0]].own, mine)[0]
    if one.aif is not None:
        quick = _low_resolution(carried(one.aif, one.times_s, moved_mm), mine.gain.residue)
        if quick is not None:
            return _aligned(quick, mine)[0]
    if one.state == "unknown":
        return mine.own
    best = min(peers, key=lambda m: (_RANK[series[m].level], m))
    if best == n:
        return mine.own
    shared, alike = _aligned(replace(found[best].own, source="basal slice"), mine)
    return shared if alike >= _SAME_INJECTION else mine.own


def _aligned(theirs: InputFunction, mine: Calibrated) -> tuple[InputFunction, float]:
    """``theirs`` on my clock, and how well the curves then agree (correlation)."""
    shifts = np.arange(-_FARTHEST_S, _FARTHEST_S + 1e-9, _STEP_S)
    moved = np.interp(mine.times_s - shifts[:, None], theirs.times_s, theirs.mmol_l)
    moved -= moved.mean(axis=1, keepdims=True)
    own = mine.own.mmol_l - mine.own.mmol_l.mean()
    power = np.sqrt((moved**2).sum(axis=1) * float(own @ own))
    seen = power > 0
    if not seen.any():
        return theirs, -1.0
    alike = np.where(seen, moved @ own / np.where(seen, power, 1), -1.0) - 0.002 * np.abs(shifts)
    best = int(alike.argmax())
    return replace(theirs, times_s=theirs.times_s + shifts[best]), float(alike[best])


def carried(aif: Series, times_s: FloatArray, moved_mm: F64) -> Series:
    """A low-resolution film moved as the film it serves was, beat by beat.

    Left as it is where that does not make its blood smoother in time.
    """
    nearest = np.abs(np.asarray(aif.times_s)[:, None] - np.asarray(times_s)[None]).argmin(axis=1)
    by = moved_mm[nearest] / np.asarray(aif.pixel_spacing_mm)
    film = np.nan_to_num(np.asarray(aif.signal, dtype=np.float32))
    moved = _shifted(film, by)
    dynamic = usable_frames(aif)
    if dynamic.sum() < 3:
        return aif
    weight, _ = bolus_image(moved[dynamic], np.asarray(aif.times_s, np.float64)[dynamic])
    before, after = (
        roughness(np.sqrt(np.maximum(one, 0)), np.maximum(weight, 0), dynamic)
        for one in (film, moved)
    )
    if after >= before:
        return aif
    later = aif.later_echo
    return replace(aif, signal=moved, later_echo=None if later is None else _shifted(later, by))


def _shifted(film: F32, by: F64) -> F32:
    """Frames (T, r, c) sampled at x + by, ``by`` (T, 2) in pixels."""
    return warp(film, constant(by, film.shape[1:]), whole(film))


def _low_resolution(aif: Series, residue: float) -> InputFunction | None:
    """From a dual-sequence scan's quick images; ``None`` if no blood is found in them."""
    dynamic = usable_frames(aif)
    if dynamic.sum() < 8:
        return None
    times = np.asarray(aif.times_s, dtype=np.float64)[dynamic]
    film = aif.signal[dynamic].astype(np.float32)
    heart = find_hearts([aif], [film])[0]
    if heart is None:
        return None
    bolus, _ = bolus_image(film, times)
    row, col = round(heart.row), round(heart.col)
    near = bolus[max(0, row - 2) : row + 3, max(0, col - 2) : col + 3]
    labels, count = ndimage.label(bolus > 0.5 * float(near.max()))
    at = labels[max(0, row - 2) : row + 3, max(0, col - 2) : col + 3]
    if count == 0 or not at.any():
        return None
    pool = labels == np.bincount(at[at > 0]).argmax()
    how = sr.physics(aif.acquisition)
    blood = input_function.blood_curve(film, times, pool)
    pd = sr.frames_of(aif.roles, "pd")
    plain = None
    if pd.any():
        plain = float(np.median(aif.signal[pd].mean(axis=0)[blood.pixels]))
    shortest_s = None
    if aif.later_echo is not None and aif.acquisition.later_echo_time_ms is not None:
        echoes_s = (how.echo_time_s, aif.acquisition.later_echo_time_ms / 1000)
        decay = t2_star.r2_star(
            blood.signal, blood.of(aif.later_echo[dynamic]), echoes_s, blood.before
        )
        blood = replace(blood, signal=t2_star.undone(blood.signal, decay, how.echo_time_s))
        if plain is not None:
            # There is no contrast in the frames before saturation begins.
            plain *= float(np.exp(how.echo_time_s * np.mean(decay[blood.before])))
        shortest_s = 1 / max(float(decay[int(blood.signal.argmax())]), 1e-3)
        how = replace(how, echo_time_s=0.0)
    if plain is not None:
        plain /= how.proton_density_share()
    gain = estimate(
        how,
        blood_before=blood.baseline,
        blood_peak=blood.peak,
        blood_valley=blood.valley(times),
        muscle_before=None,
        proton_density=plain,
        proton_density_is_sure=how.pd_flip_rad is not None,
        known_residue=residue,
    )
    found = input_function.from_blood(blood, times, gain, how, "low-resolution series")
    return replace(found, t2_star_s=shortest_s)

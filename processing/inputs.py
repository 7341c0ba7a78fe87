"""From sorted DICOM frames to what an engine takes: signal, times, roles and the sequence."""

from __future__ import annotations

import re
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from processing.mcaq.series import (
    Acquisition,
    FrameRole,
    GivenContours,
    GivenInputFunction,
    Series,
)
from processing.protocol import BadProtocol, Protocol
from processing.times import GivenTimes, given_for
from studies.dicom.frames import Frame
from studies.dicom.sort import SortedSeries, SortedStudy

#: Stored values of a file's frames, (frames, rows, cols), by the file's id.
Pixels = Callable[[str], NDArray[np.generic]]

#: Longer than any time between two pulses: such a header value is that of the whole shot.
_LONGEST_PULSE_INTERVAL_MS = 15.0
_SHOT = re.compile(r"^\*tfl2d1_(\d{1,3})$")
#: At most so many frames at the start may be proton-density frames that only brightness tells.
_MOST_PD = 5
_BRIGHTER = 1.8
#: Two echoes of one frame may have clocks that differ by their own distance.
_SAME_FRAME_S = 0.05


def to_series(
    study: SortedStudy,
    pixels: Pixels,
    protocol: Protocol,
    given: Mapping[str, Any] | None = None,
    times: Mapping[str, GivenTimes] | None = None,
) -> tuple[Series, ...]:
    """The engine's series, in the order of ``study.series``; their uid is the folder's name.

    given: by folder name, contours and input functions that a person gave. times: by folder name,
    frame times that a person gave. Raises BadProtocol where one of them names a folder that is not
    there.
    """
    given, times = given or {}, times or {}
    for what, names in (("contours", given), ("times", times)):
        for name in names:
            if name not in {one.folder for one in study.series}:
                raise BadProtocol(f"There is no series {name} that {what} were given for.")
    inputs: dict[int, Series] = {}
    echoes: dict[int, float] = {}
    for film, served in sorted(study.aif, key=lambda pair: _echo(pair[0]), reverse=True):
        # The first echo comes last and stays: T2* has taken least of it. The one before it tells
        # how much.
        one = _series(film, pixels, protocol, is_input=True)
        for n in served:
            served_times = _input_times(film, study.series[n], times, protocol)
            mine = replace(one, times_s=served_times)
            inputs[n] = _with_echo(mine, _echo(film), inputs.get(n), echoes.get(n, 0.0))
            echoes[n] = _echo(film)
    return tuple(
        _series(
            film,
            pixels,
            protocol,
            aif=inputs.get(n),
            given=given.get(film.folder),
            times=given_for(film.folder, times, protocol),
        )
        for n, film in enumerate(study.series)
    )


def _input_times(
    film: SortedSeries, other: SortedSeries, times: Mapping[str, GivenTimes], protocol: Protocol
) -> NDArray[np.float64]:
    """Times of an input series on the clock of the series ``other`` that it serves.

    Both are taken in the same beats: what was given for that series holds for this one too, if
    they have as many frames, and their clocks are then not compared.
    """
    given = times.get(other.folder)
    if given is None or len(film.frames) != len(other.frames):
        said = protocol.aif_frame_interval_s
        given = None if said is None else GivenTimes(said, "protocol")
    if given is not None:
        return np.array(given.times_s(len(film.frames)), dtype=np.float64)
    return np.array(film.times_s, dtype=np.float64) + _later_s(film, other)


def _later_s(film: SortedSeries, other: SortedSeries) -> float:
    """How much later ``film`` began than ``other``; 0 where their clocks cannot be compared."""
    later = film.clock.start_s - other.clock.start_s
    same_clock = film.clock.source == other.clock.source
    return round(later, 6) if same_clock and abs(later) < other.duration_s else 0.0


def _echo(film: SortedSeries) -> float:
    return film.frames[0].echo_time_ms or 0.0


def _with_echo(first: Series, echo_ms: float, later: Series | None, later_ms: float) -> Series:
    """``first`` with the echo of the same frames that came after it, if ``later`` is that.

    echo_ms, later_ms: of the headers. A protocol has one echo time for both, so it is not asked.
    """
    if (
        later is None
        or not 0 < echo_ms < later_ms
        or later.signal.shape != first.signal.shape
        or not np.allclose(later.times_s, first.times_s, atol=_SAME_FRAME_S)
        or later.roles != first.roles
    ):
        return first
    told = replace(first.acquisition, echo_time_ms=echo_ms, later_echo_time_ms=later_ms)
    return replace(first, acquisition=told, later_echo=later.signal)


def _series(
    film: SortedSeries,
    pixels: Pixels,
    protocol: Protocol,
    *,
    is_input: bool = False,
    aif: Series | None = None,
    given: Mapping[str, Any] | None = None,
    times: GivenTimes | None = None,
) -> Series:
    signal = np.stack([_rescaled(frame, pixels) for frame in film.frames])
    said = protocol.aif_pd_frames if is_input else protocol.pd_frames
    roles = _roles(film, signal, said)
    header = acquisition(film.frames, roles)
    spacing = film.frames[0].pixel_spacing_mm
    return Series(
        uid=film.folder or film.uid,
        signal=signal,
        times_s=np.array(
            film.times_s if times is None else times.times_s(len(film.frames)), dtype=np.float64
        ),
        roles=roles,
        state=film.state,
        level=film.level,
        pixel_spacing_mm=spacing or (2.0, 2.0),
        acquisition=protocol.aif_acquisition(header) if is_input else protocol.acquisition(header),
        level_is_assumed=film.level_is_assumed,
        mirrored=film.mirrored,
        aif=aif,
        given_contours=_contours(given),
        given_aif=_given_aif(given),
        given_aif_region=_region(given),
    )


def _rescaled(frame: Frame, pixels: Pixels) -> NDArray[np.float32]:
    """Stored values in the scanner's units, so that rest and stress can be compared.

    Philips scales each series to its brightest pixel; its floating-point value is
    (stored · slope + intercept) / (slope · scale slope).
    """
    stored = pixels(frame.file_id)[frame.frame_number - 1].astype(np.float64)
    values = stored * frame.slope + frame.intercept
    if frame.scale_slope and frame.manufacturer.upper().startswith("PHILIPS"):
        values = values / (frame.slope * frame.scale_slope)
    return np.asarray(values, dtype=np.float32)


def _roles(
    film: SortedSeries, signal: NDArray[np.float32], said: int | None
) -> tuple[FrameRole, ...]:
    """Who says a frame is proton density: the protocol, the flip angle, else its brightness."""
    count = len(film.frames)
    if said is not None:
        leading = min(said, count)
    elif any(film.pd):
        return tuple("pd" if flag else "dynamic" for flag in film.pd)
    else:
        leading = brighter_at_the_start(signal)
    return tuple("pd" if n < leading else "dynamic" for n in range(count))


def brighter_at_the_start(signal: NDArray[np.float32]) -> int:
    """How many frames at the start of (T, rows, cols) are far brighter than those after them.

    Frames before the saturation pulses begin carry the full magnetisation. Contrast cannot be
    the cause: it has not arrived, and would not make the whole picture brighter.
    """
    if len(signal) < 3 * _MOST_PD:
        return 0
    means = signal.mean(axis=(1, 2), dtype=np.float64)
    usual = float(np.median(means[_MOST_PD : 2 * _MOST_PD]))
    bright = means[:_MOST_PD] > _BRIGHTER * max(usual, 1e-9)
    count = 0
    while count < _MOST_PD and bright[count]:
        count += 1
    return count if count < _MOST_PD else 0


def acquisition(frames: Sequence[Frame], roles: Sequence[FrameRole]) -> Acquisition:
    """What the headers say of the sequence; ``None`` where they are silent or say nonsense."""
    dynamic = [frame for frame, role in zip(frames, roles, strict=True) if role == "dynamic"]
    pd = [frame for frame, role in zip(frames, roles, strict=True) if role == "pd"]
    dynamic = dynamic or list(frames)
    sequence = _sequence(dynamic[0])
    repetition = _middle((frame.repetition_time_ms for frame in dynamic), 0.5, 5000)
    saturation = _middle((frame.inversion_time_ms for frame in dynamic), 1, 1000)
    if repetition is not None and repetition > _LONGEST_PULSE_INTERVAL_MS:
        repetition = None
    return Acquisition(
        sequence=sequence,
        field_t=_middle((frame.field_t for frame in dynamic), 0.05, 12),
        saturation_time_ms=saturation,
        flip_angle_deg=_middle((frame.flip_angle_deg for frame in dynamic), 0.1, 180),
        pd_flip_angle_deg=_middle((frame.flip_angle_deg for frame in pd), 0.1, 180),
        repetition_time_ms=repetition,
        echo_time_ms=_middle((frame.echo_time_ms for frame in dynamic), 0.01, 100),
        pulses_to_centre=_pulses(dynamic[0], sequence, repetition, saturation),
        agent=next((frame.agent for frame in frames if frame.agent is not None), None),
    )


def _middle(values: Iterable[float | None], low: float, high: float) -> float | None:
    known = [value for value in values if value is not None and low <= value <= high]
    return statistics.median_low(known) if known else None


def _sequence(frame: Frame) -> Literal["flash", "bssfp"] | None:
    if frame.sequence_name.startswith("*tfi"):
        return "bssfp"
    if frame.sequence_name.startswith("*tfl"):
        return "flash"
    variant = set(frame.sequence_variant)
    if {"FREE_PRECESSION", "TRANSVERSE"} & variant or ("SS" in variant and "SP" not in variant):
        return "bssfp"
    if "SP" in variant and "GR" in frame.scanning_sequence:
        return "flash"
    return None


def _pulses(
    frame: Frame, sequence: str | None, repetition: float | None, saturation: float | None
) -> int | None:
    """Siemens names the lines of a shot behind the sequence; k-space is filled in order."""
    found = _SHOT.search(frame.sequence_name)
    if found is None or sequence != "flash" or repetition is None or saturation is None:
        return None
    pulses = int(found[1]) // 2
    return pulses if 1 < pulses * repetition < saturation else None


def _contours(given: Mapping[str, Any] | None) -> GivenContours | None:
    if not given or "endocardium" not in given or "epicardium" not in given:
        return None
    anterior, inferior = given.get("rv_insertion_anterior"), given.get("rv_insertion_inferior")
    return GivenContours(
        endocardium=np.asarray(given["endocardium"], dtype=np.float64).reshape(-1, 2),
        epicardium=np.asarray(given["epicardium"], dtype=np.float64).reshape(-1, 2),
        rv_insertion_anterior=None if anterior is None else (anterior[0], anterior[1]),
        rv_insertion_inferior=None if inferior is None else (inferior[0], inferior[1]),
    )


def _region(given: Mapping[str, Any] | None) -> NDArray[np.float64] | None:
    if not given or "aif_region" not in given:
        return None
    return np.asarray(given["aif_region"], dtype=np.float64).reshape(-1, 2)


def _given_aif(given: Mapping[str, Any] | None) -> GivenInputFunction | None:
    if not given or "aif" not in given:
        return None
    return GivenInputFunction(
        times_s=np.asarray(given["aif"]["times_s"], dtype=np.float64),
        concentration_mmol_l=np.asarray(given["aif"]["concentration_mmol_l"], dtype=np.float64),
    )

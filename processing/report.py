"""An engine's result as files: report.json and a folder for each series.

This layout is a contract that other programs read. Keys may be added, never changed; what is not
known is null or absent, never zero.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processing import frames, motion_pictures, render, scanner_map
from processing.mcaq import quality
from processing.mcaq.series import (
    LV_BLOOD,
    Flag,
    MotionEvidence,
    Series,
    SeriesResult,
    StudyResult,
)
from processing.times import GivenTimes
from studies.colours import MBF_UNIT
from studies.dicom.sort import ScannerMap, SortedSeries
from studies.intended_use import INTENDED_USE
from studies.pace import pace

FORMAT = 1


def series_entry(
    film: SortedSeries,
    series: Series,
    result: SeriesResult,
    more: Sequence[Flag] = (),
    input_sha256: str | None = None,
    given: GivenTimes | None = None,
) -> dict[str, Any]:
    """One entry of ``series``; ``more`` are findings from the reading of the files.

    given: the frame times that stand in for those of the files, if any.
    """
    times = [float(time) for time in series.times_s]
    findings = [*more, *result.quality]
    return {
        "folder": film.folder,
        "state": film.state,
        "level": film.level,
        "series_uid": film.uid or None,
        "input_sha256": input_sha256,
        "sop_instance_uids": [frame.sop_instance_uid for frame in film.frames],
        "frame_times_s": times,
        "time_source": time_source(film) if given is None else None,
        "clock": _clock(film, times, given),
        "frames": [
            {
                "sop_instance_uid": frame.sop_instance_uid,
                "frame_number": frame.frame_number,
                "time_s": time,
                "role": role,
                "used": bool(used),
                "reason": reason,
            }
            for frame, time, role, used, reason in zip(
                film.frames, times, series.roles, result.used, result.reasons, strict=True
            )
        ],
        "offset": [int(result.offset[0]), int(result.offset[1])],
        "mbf": {
            "global": result.mbf_global,
            "segments": {
                str(number): {
                    "mbf": flow.mbf,
                    "low": flow.low,
                    "high": flow.high,
                    "ischaemic": flow.ischaemic,
                }
                for number, flow in sorted(result.segments.items())
            },
        },
        "quality": [
            {"flag": flag.name, "severity": flag.severity, "sentence": flag.sentence}
            for flag in findings
        ],
        "light": _light(quality.light(findings)),
        "motion": None if result.motion is None else _motion(result.motion),
        "seconds": result.seconds,
        "mbf_unit": _unit(result),
        "pixel_spacing_mm": list(film.frames[0].pixel_spacing_mm or ()) or None,
        "contours": {
            "endocardium": _points(result.endocardium),
            "epicardium": _points(result.epicardium),
            **_insertions(result),
        },
        "parameters": dict(result.parameters),
        "understood": list(film.reasons),
        **_more(result),
    }


def _clock(
    film: SortedSeries, times_s: Sequence[float], given: GivenTimes | None
) -> dict[str, Any]:
    """``clock`` of an entry: what told the times, their pace, and what a person gave instead."""
    found, of_files = pace(times_s), pace(film.times_s)
    return {
        "reason": film.clock.reason,
        "median_interval_s": found and found.median_interval_s,
        "longest_interval_s": found and found.longest_interval_s,
        "gaps": found and found.gaps,
        "missed": found and found.missed,
        "given": None if given is None else {**asdict(given), "sentence": given.words},
        "of_files": {
            "time_source": time_source(film),
            "median_interval_s": of_files and of_files.median_interval_s,
        },
    }


def _unit(result: SeriesResult) -> str:
    """Of flow: an engine that does not say has measured it."""
    return str(result.parameters.get("mbf_unit", MBF_UNIT))


def _light(found: quality.Light) -> dict[str, str]:
    return {"colour": found.colour, "sentence": found.sentence}


def _motion(found: MotionEvidence) -> dict[str, Any]:
    """``motion`` of an entry; millimetres to a hundredth, overlaps to a thousandth."""
    before, after = found.roughness
    return {
        "displacement_mm": np.round(np.asarray(found.displacement_mm, np.float64), 2),
        "folds": found.folds,
        "roughness": {"before": before, "after": after},
        "overlap": np.round(np.asarray(found.overlap, np.float64), 3),
        "stages": [{"name": name, "used": used} for name, used in found.stages],
        "sentence": quality.stages_sentence(found.stages),
    }


def _called(state: str, level: str) -> str:
    """What a reader calls a series."""
    return f"{'State unknown' if state == 'unknown' else state.capitalize()}, {level}"


def _more(result: SeriesResult) -> dict[str, Any]:
    """Keys that are there where the engine tells them: inner and outer layer, other models."""
    told: dict[str, Any] = {}
    if result.endo_epi:
        told["endo_epi"] = {
            str(number): {"ratio": one.ratio, "reason": one.reason}
            for number, one in sorted(result.endo_epi.items())
        }
    if result.models:
        told["models"] = {
            name: {
                "unit": one.unit,
                "segments": {str(number): value for number, value in sorted(one.segments.items())},
                "global": one.mean,
            }
            for name, one in result.models.items()
        }
        told["spread"] = {str(number): value for number, value in sorted(result.spread.items())}
    return told


def _points(contour: NDArray[np.floating] | None) -> list[list[float]] | None:
    """(row, column) on the source grid, to a hundredth of a pixel."""
    if contour is None:
        return None
    return [[round(float(row), 2), round(float(col), 2)] for row, col in contour]


def _insertions(result: SeriesResult) -> dict[str, list[float]]:
    """(row, column) on the source grid; absent where the engine tells none."""
    if result.insertions is None:
        return {}
    anterior, inferior = (
        [round(float(value), 2) for value in point] for point in result.insertions
    )
    return {"rv_insertion_anterior": anterior, "rv_insertion_inferior": inferior}


def time_source(film: SortedSeries) -> str | None:
    """The DICOM attribute that told the time; ``None`` if no clock and no counter was found."""
    return None if film.clock.source == "none" else film.clock.source


def aif_entry(film: SortedSeries, serves: Sequence[str]) -> dict[str, Any]:
    """One entry of ``aif_series``."""
    return {
        "series_uid": film.uid or None,
        "sop_instance_uids": [frame.sop_instance_uid for frame in film.frames],
        "frame_times_s": list(film.times_s),
        "time_source": time_source(film),
        "echo_time_ms": film.frames[0].echo_time_ms,
        "serves": list(serves),
    }


def report(
    *,
    engine: tuple[str, str],
    result: StudyResult,
    protocol: Mapping[str, Any],
    seconds: Mapping[str, float],
    peak_memory_bytes: int,
    series: Sequence[Mapping[str, Any]],
    aif_series: Sequence[Mapping[str, Any]],
    unused: Sequence[tuple[str, str]],
    scanner_maps: Sequence[Mapping[str, Any]] = (),
    about: Mapping[str, Any] | None = None,
    dicom: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """The whole of report.json, with nothing in it that JSON does not know.

    about: what else stands among the parameters, beside the protocol's values. dicom: the DICOM
    objects, as ``processing.objects`` tells them.
    """
    whole = {
        "format": FORMAT,
        "engine": {"name": engine[0], "version": engine[1]},
        "intended_use": INTENDED_USE,
        "parameters": {**result.parameters, "protocol": dict(protocol), **(about or {})},
        "light": _study_light(series, len(result.refused)),
        "seconds": dict(seconds),
        "peak_memory_bytes": peak_memory_bytes,
        "series": list(series),
        "aif_series": list(aif_series),
        "reserve": {str(number): value for number, value in sorted(result.reserve.items())},
        "unused": [{"file": name, "reason": reason} for name, reason in unused],
        "dicom": list(dicom),
    }
    if scanner_maps:
        whole["scanner_maps"] = list(scanner_maps)
    if result.summary is not None:
        whole["summary"] = result.summary
    if result.model_reserve:
        whole["model_reserve"] = {
            name: {str(number): value for number, value in sorted(values.items())}
            for name, values in result.model_reserve.items()
        }
    cleaned = _plain(whole)
    assert isinstance(cleaned, dict)  # noqa: S101
    return cleaned


def _study_light(series: Sequence[Mapping[str, Any]], refused: int) -> dict[str, str]:
    lights = [
        (
            _called(entry["state"], entry["level"]),
            quality.Light(entry["light"]["colour"], entry["light"]["sentence"]),
        )
        for entry in series
    ]
    return _light(quality.study_light(lights, refused))


def _plain(value: Any) -> Any:
    """Plain Python values; a number that is none (NaN, infinite) is null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def write_report(folder: Path, content: Mapping[str, Any]) -> None:
    text = json.dumps(content, indent=1, allow_nan=False)
    (folder / "report.json").write_text(text + "\n", encoding="utf-8")


def write_series(folder: Path, film: SortedSeries, series: Series, result: SeriesResult) -> None:
    """Write the arrays, curve, picture and film of one series into a new folder."""
    folder.mkdir()
    np.save(folder / "mbf.npy", result.mbf.astype(np.float32))
    np.save(folder / "segmentation.npy", result.segmentation.astype(np.uint8))
    np.save(folder / "aha.npy", result.aha.astype(np.uint8))
    np.save(folder / "corrected.npy", result.corrected.astype(np.float32))
    np.save(folder / "displacement.npy", result.displacement.astype(np.float32))
    _write_aif(folder / "aif.csv", series.times_s, result.aif_mmol_l)
    used = result.used if result.used.any() else np.ones_like(result.used)
    anatomy = result.corrected[used].mean(axis=0)
    title = _called(film.state, film.level)
    heart = result.segmentation > 0
    render.write_map(folder / "mbf.png", result.mbf, anatomy, heart, title, _unit(result))
    pictures = render.film_frames(result.corrected, series.roles, heart)
    render.write_film(folder / "cine.mp4", pictures)
    render.write_poster(folder / "poster.png", pictures, series.roles)
    original = _as_acquired(series, result)
    render.write_film(folder / "original.mp4", render.film_frames(original, series.roles, heart))
    frames.write_film(folder / "original.frames", original, result.offset)
    frames.write_result(
        folder / "corrected.frames", result.corrected, result.offset,
        mbf=result.mbf, segmentation=result.segmentation, aha=result.aha,
    )  # fmt: skip
    _write_curves(folder / "curves.json", series, result)
    if result.motion is not None:
        _write_motion(folder, series, result, result.motion, title)


def _as_acquired(series: Series, result: SeriesResult) -> NDArray[np.floating]:
    """The film before correction (T, r, c), on the crop of the result."""
    row, col = result.offset
    rows, cols = result.segmentation.shape
    return series.signal[:, row : row + rows, col : col + cols]


def _write_curves(path: Path, series: Series, result: SeriesResult) -> None:
    """Contrast over time in blood and in each segment's muscle, with the model's curve."""
    told = {
        "unit": "mmol/l",
        "times_s": [round(float(time), 3) for time in series.times_s],
        "used": result.used.tolist(),
        "reasons": list(result.reasons),
        "input": _rounded(result.aif_mmol_l),
        "segments": {
            str(number): {
                "measured": _rounded(curve.tissue_mmol_l),
                "fitted": _rounded(curve.fitted_mmol_l),
            }
            for number, curve in sorted(result.curves.items())
        },
    }
    path.write_text(json.dumps(_plain(told), separators=(",", ":")), encoding="utf-8")


def _rounded(values: NDArray[np.floating]) -> list[float]:
    return [round(float(value), 4) for value in values]


def write_scanner_map(
    folder: Path,
    film: SortedSeries,
    result: SeriesResult,
    theirs: ScannerMap,
    flow: NDArray[np.float64],
) -> dict[str, Any]:
    """Write the scanner's own map as ours is drawn; gives what the series' entry says of it."""
    found = scanner_map.beside(theirs, flow, film, result, same_unit=_unit(result) == MBF_UNIT)
    if found is None:
        return {}
    used = result.used if result.used.any() else np.ones_like(result.used)
    anatomy = result.corrected[used].mean(axis=0)
    # Where their map has no flow it says nothing, as ours does outside the muscle.
    shown = np.where(found.mbf > 0, found.mbf, np.nan)
    title = f"{_called(film.state, film.level)}, by the scanner"
    render.write_map(folder / "scanner_mbf.png", shown, anatomy, result.segmentation > 0, title)
    return {"scanner_map": found.told()}


def scanner_map_entry(one: ScannerMap, folders: Sequence[str]) -> dict[str, Any]:
    """One entry of ``scanner_maps``: a flow map that was among the files, and whose it is."""
    return {
        "sop_instance_uid": one.frame.sop_instance_uid,
        "series_uid": one.frame.series_uid,
        "state": one.state,
        "level": one.level,
        "of": None if one.of is None else folders[one.of],
        "understood": list(one.reasons),
    }


def _write_motion(
    folder: Path, series: Series, result: SeriesResult, motion: MotionEvidence, title: str
) -> None:
    dynamic = np.array([role == "dynamic" for role in series.roles])
    motion_pictures.write_displacement(
        folder / "motion.png",
        motion.displacement_mm,
        series.times_s,
        dynamic,
        result.used,
        title,
    )
    motion_pictures.write_strip(
        folder / "strip.png",
        _as_acquired(series, result),
        result.corrected,
        result.segmentation == LV_BLOOD,
        motion.displacement_mm,
        series.times_s,
        dynamic,
        result.used,
        series.pixel_spacing_mm,
        title,
    )


def _write_aif(
    path: Path, times_s: NDArray[np.floating], concentration: NDArray[np.floating]
) -> None:
    with path.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(["time_s", "concentration_mmol_l"])
        for time, value in zip(times_s, concentration, strict=True):
            known = f"{value:.6g}" if math.isfinite(value) else "nan"
            writer.writerow([f"{time:.6f}".rstrip("0").rstrip("."), known])

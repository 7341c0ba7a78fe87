"""An engine on a folder of DICOM: read, sort, analyse, write. No database, no settings."""

from __future__ import annotations

import os
import resource
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processing import contract, report
from processing.delivery import delivered
from processing.engines import Engine, UnknownEngine, get_engine
from processing.folder import Folder
from processing.inputs import to_series
from processing.mcaq.kinetics.names import UnknownModel, named, of_flow
from processing.mcaq.series import Flag, Series, StudyResult
from processing.objects import Objects
from processing.protocol import BadProtocol, check
from processing.scanner_map import flow_of
from processing.times import GivenTimes, check_times, given_for
from studies.dicom.correct import BadCorrection, read
from studies.dicom.sort import ScannerMap, SortedSeries, SortedStudy
from studies.dicom.write.film import Making

#: Called with the stage ("read", "motion", "segmentation", "flow", "write") and the fraction of
#: the whole work that is done.
Progress = Callable[[str, float], None]

#: Where reading ends and writing begins, as fractions of the whole.
_READ, _WRITE = 0.1, 0.9
_MOST_REASONS, _MOST_NAMES = 6, 3
_SURE_CLOCKS = frozenset(
    {"FrameAcquisitionDateTime", "AcquisitionTime", "DynamicScanBeginTime", "TriggerTime"}
)


class NothingToAnalyse(Exception):
    """Why no series could be analysed and what to do, in a sentence for the user."""


def _silent(stage: str, fraction: float) -> None:
    pass


def analyse_folder(
    input_dir: Path,
    output_dir: Path,
    *,
    engine: str = "mcaq",
    protocol: Mapping[str, Any] | None = None,
    given: Mapping[str, Any] | None = None,
    model: str | None = None,
    models: object = None,
    times: Mapping[str, Any] | None = None,
    about: Mapping[str, Any] | None = None,
    concentration: str | None = None,
    name_patient: bool = False,
    corrections: object = None,
    progress: Progress = _silent,
) -> dict[str, Any]:
    """Analyse the perfusion series below ``input_dir``; gives what report.json holds.

    protocol: see ``processing.protocol``. given: by folder name, contours and input functions that
    a person gave. model: the kinetic model that makes maps and segments, by name; None leaves it
    to the engine. models: others besides it, a list of names or "all".
    times: by folder name, frame times that a person gave, see ``processing.times``. about: what
    else the report's parameters should hold, such as the name of the protocol.
    concentration: "model" or "linear", as in ``pipeline.analyse``; None leaves it to the engine.
    name_patient: write who the patient is into the DICOM objects, as the files say it.
    corrections: what a person said of series, see ``studies.dicom.correct``; None takes those of a
    file in the folder, which an export has.
    The output folder must be absent or empty; it is filled wholly or not at all.
    Raises NothingToAnalyse.
    """
    started = time.perf_counter()
    _check_folders(input_dir, output_dir)
    try:
        chosen, sequence = get_engine(engine), check(protocol)
        parameters: dict[str, object] = {}
        if model is not None:
            parameters["model"] = of_flow(model)
        if models is not None:
            parameters["models"] = list(named(models))
        if concentration is not None:
            parameters["concentration"] = concentration
        progress("read", 0.0)
        said = None if corrections is None else read(corrections)
        folder = Folder(input_dir, lambda done: progress("read", _READ * done), said)
        study = folder.study
        _check_study(study, folder)
        given_times = check_times(times)
        series = to_series(study, folder.pixels, sequence, given, given_times)
    except (UnknownEngine, UnknownModel, BadProtocol, BadCorrection) as error:
        raise NothingToAnalyse(str(error)) from None
    flows = {
        # Of several the first: a repeat or a copy tells nothing more.
        study.series[one.of].folder: (one, flow_of(one, folder.pixels))
        for one in reversed(study.maps)
        if one.of is not None
    }
    folder.forget_pixels()
    clocks = {film.folder: given_for(film.folder, given_times, sequence) for film in study.series}
    seconds = {"read": time.perf_counter() - started}
    result = chosen.analyse(
        series, parameters, lambda stage, done: progress(stage, _READ + (_WRITE - _READ) * done)
    )
    try:
        contract.require(series, result)
    except contract.BrokenContract as error:
        raise NothingToAnalyse(
            f"The engine {chosen.name} {chosen.version} gave a result that cannot be used: "
            f"{error}. Nothing of it is kept. Choose another engine, and tell its makers."
        ) from None
    seconds |= {stage: float(value) for stage, value in result.seconds.items()}
    unused = [*folder.unused, *_refused_files(study, result)]
    if not result.series:
        raise NothingToAnalyse(_nothing("No series could be analysed.", unused))
    progress("write", _WRITE)
    try:
        with delivered(output_dir) as work:
            content = _write(
                work, chosen, folder, series, result, (protocol or {}, _about(about, folder)),
                clocks, flows, unused, seconds, started, progress, name_patient,
            )  # fmt: skip
    except OSError as error:
        raise NothingToAnalyse(
            f"The results could not be written ({error.strerror or 'the disk refused'}). Check "
            "the space on the disk, and that the output folder may be written to."
        ) from None
    progress("write", 1.0)
    return content


def _about(about: Mapping[str, Any] | None, folder: Folder) -> dict[str, Any]:
    """What else the report's parameters hold: corrections, where a person made any."""
    told = [one.told() for one in folder.corrections]
    return {**(about or {}), **({"corrections": told} if told else {})}


def _check_folders(input_dir: Path, output_dir: Path) -> None:
    if not input_dir.is_dir():
        what = "is no folder" if input_dir.exists() else "does not exist"
        raise NothingToAnalyse(f"The input {input_dir} {what}. Give a folder of DICOM files.")
    if output_dir.exists() and not output_dir.is_dir():
        raise NothingToAnalyse(f"The output {output_dir} is no folder. Give a new or empty one.")
    if output_dir.is_dir() and any(output_dir.iterdir()):
        raise NothingToAnalyse(
            f"The output folder {output_dir} is not empty. Give a new or empty one; nothing is "
            "overwritten."
        )
    nearest = next(
        place for place in (output_dir, *output_dir.absolute().parents) if place.exists()
    )
    if not os.access(nearest, os.W_OK):
        raise NothingToAnalyse(f"The output folder {output_dir} may not be written to.")


def _check_study(study: SortedStudy, folder: Folder) -> None:
    if not folder.names:
        raise NothingToAnalyse("The input folder holds no files. Give a folder of DICOM files.")
    if not study.series:
        raise NothingToAnalyse(_nothing("No perfusion series was found.", folder.unused))
    patients = {film.frames[0].patient for film in study.series} - {("", "")}
    if len(patients) > 1:
        raise NothingToAnalyse(
            f"The folder holds perfusion series of {len(patients)} patients. Analyse each "
            "patient's files by themselves."
        )


def _nothing(start: str, unused: Sequence[tuple[str, str]]) -> str:
    """A sentence, then each reason once with some of the files it holds for."""
    reasons = Counter(reason for _, reason in unused)
    parts = [start]
    for reason, count in reasons.most_common(_MOST_REASONS):
        names = [name for name, why in unused if why == reason][:_MOST_NAMES]
        more = f" and {count - len(names)} more" if count > len(names) else ""
        parts.append(f"{', '.join(names)}{more}: {reason}")
    return "\n".join(parts)


def _refused_files(study: SortedStudy, result: StudyResult) -> list[tuple[str, str]]:
    """The files of series that the engine refused, unless another series uses them too."""
    why = {refusal.uid: refusal.reason for refusal in result.refused}
    kept = {
        frame.file_id for film in study.series if film.folder not in why for frame in film.frames
    }
    lost = {
        frame.file_id: f"Its series ({film.folder}) could not be analysed. {why[film.folder]}"
        for film in study.series
        if film.folder in why
        for frame in film.frames
        if frame.file_id not in kept
    }
    return list(lost.items())


def _write(
    work: Path,
    engine: Engine,
    folder: Folder,
    series: Sequence[Series],
    result: StudyResult,
    said: tuple[Mapping[str, Any], Mapping[str, Any]],
    clocks: Mapping[str, GivenTimes | None],
    flows: Mapping[str, tuple[ScannerMap, NDArray[np.float64]]],
    unused: Sequence[tuple[str, str]],
    seconds: dict[str, float],
    started: float,
    progress: Progress,
    name_patient: bool,
) -> dict[str, Any]:
    clock = time.perf_counter()
    protocol, about = said
    study = folder.study
    found = {one.uid: one for one in result.series}
    making = Making(
        engine.name, engine.version, str(result.parameters.get("model", engine.name)),
        {**result.parameters, "protocol": dict(protocol), **about},
    )  # fmt: skip
    objects = Objects(work, making, name_patient=name_patient)
    entries = []
    kept = [
        (film, one) for film, one in zip(study.series, series, strict=True) if film.folder in found
    ]
    # While one series' film is being encoded, by a program of its own, another can be drawn.
    with ThreadPoolExecutor(2) as pool:
        jobs = [
            pool.submit(report.write_series, work / film.folder, film, one, found[film.folder])
            for film, one in kept
        ]
        for (film, one), job in zip(kept, jobs, strict=True):
            job.result()
            given = clocks[film.folder]
            flags = [*_time_flags(film, given), *_reading_flags(film)]
            digest = folder.digest(film)
            entry = report.series_entry(film, one, found[film.folder], flags, digest, given)
            if film.folder in flows:
                entry |= report.write_scanner_map(
                    work / film.folder, film, found[film.folder], *flows[film.folder]
                )
            entries.append(entry)
            header = folder.header(film.frames[0].file_id)
            objects.add(
                len(entries) - 1,
                film,
                header,
                one,
                found[film.folder],
                entries[-1]["frame_times_s"],
            )
            progress("write", _WRITE + (1 - _WRITE) * len(entries) / len(found))
    objects.report(result.reserve)
    folders = [film.folder for film in study.series]
    now = time.perf_counter()
    content = report.report(
        engine=(engine.name, engine.version),
        result=result,
        protocol=protocol,
        about=about,
        seconds={**seconds, "write": now - clock, "total": now - started},
        peak_memory_bytes=_peak_memory_bytes(),
        series=entries,
        aif_series=[
            report.aif_entry(film, [folders[n] for n in served]) for film, served in study.aif
        ],
        unused=unused,
        dicom=objects.told,
        scanner_maps=[report.scanner_map_entry(one, folders) for one in study.maps],
    )
    report.write_report(work, content)
    return content


def _time_flags(film: SortedSeries, given: GivenTimes | None) -> list[Flag]:
    if given is not None:
        return [Flag("times_given", "warning", given.sentence(film.clock))]
    if film.clock.source in _SURE_CLOCKS:
        return []
    return [
        Flag(
            "time_source_uncertain", "warning",
            f"The frame times are uncertain: {film.clock.reason}. Flow depends on them.",
        )
    ]  # fmt: skip


def _reading_flags(film: SortedSeries) -> list[Flag]:
    """Findings that the engine cannot make: it never sees the headers."""
    flags = []
    if film.frames[0].pixel_spacing_mm is None:
        flags.append(
            Flag(
                "pixel_spacing_assumed", "warning",
                "The files do not say how large a pixel is; 2 mm is assumed.",
            )
        )  # fmt: skip
    if any("moved these frames already" in reason for reason in film.reasons):
        flags.append(
            Flag(
                "already_corrected", "info",
                "The scanner has moved these frames already; the correction here adds to it.",
            )
        )  # fmt: skip
    flags += [
        Flag("corrected_by_person", "info", reason)
        for reason in film.reasons
        if reason.startswith("Corrected by a person")
    ]
    return flags


def _peak_memory_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024

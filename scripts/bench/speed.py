"""Seconds of the engine's stages and of a whole study. They depend on the machine: two cores."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from processing.mcaq import pipeline
from processing.mcaq.phantom import make_study
from processing.phantom_dicom import write_study
from scripts.bench.table import Figure
from scripts.steps import CHECKOUT

#: What a stage may take, and ought to, s a slice.
_MARKS = {"motion": (0.5, 0.15), "flow": (0.05, 0.01)}


def figures(said: Callable[[str], None]) -> Iterator[Figure]:
    said("six slices of 60 frames")
    study = make_study(1)
    pipeline.analyse(study.series[:1], {}, lambda stage, done: None)  # imports and tables
    begun = time.perf_counter()
    result = pipeline.analyse(study.series, {}, lambda stage, done: None)
    total = time.perf_counter() - begun
    count = len(result.series)
    for stage, seconds in result.seconds.items():
        reach, aim = _MARKS.get(stage, (None, None))
        yield Figure(f"seconds a slice, {stage}", "phantom, 60 frames", seconds / count, reach, aim)
    yield Figure("seconds a study, engine alone", "phantom, 6 × 60 frames", total)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        write_study(study, work / "in")
        command = [sys.executable, "manage.py", "analyse", work / "in", work / "out"]
        begun = time.perf_counter()
        subprocess.run(command, cwd=CHECKOUT, check=True, stdout=subprocess.DEVNULL)
        yield Figure(
            "seconds a study, DICOM read to results on disk", "phantom, 6 × 60 frames",
            time.perf_counter() - begun, 8.0, 3.0,
        )  # fmt: skip
        report = json.loads((work / "out" / "report.json").read_text())
        yield Figure(
            "peak memory, GB", "phantom, 6 × 60 frames", report["peak_memory_bytes"] / 1e9, 1.5, 0.7
        )
    yield Figure("slices analysed", "phantom, 6 × 60 frames", float(np.sum(count)), 6, 6, True)

"""The parts of a drill: modules of this folder, each measured in a process of its own."""

from __future__ import annotations

import importlib
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from scripts.bench.table import Figure, said


def parts_of(drill: str) -> list[str]:
    """The parts of a drill, by the files that are there."""
    files = sorted(Path(__file__).parent.glob(f"{drill}_*.py"))
    return [file.stem.removeprefix(f"{drill}_") for file in files]


def measured(drill: str, part: str) -> list[Figure]:
    """The figures of a part. Settings, folders and database server are made anew for each."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(_measure, f"scripts.drill.{drill}_{part}").result()


def _measure(module: str) -> list[Figure]:
    return list(importlib.import_module(module).measure(said))

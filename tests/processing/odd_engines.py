"""Engines for tests: some go wrong, one waits. ``conftest.python`` installs them as a package."""

from __future__ import annotations

import ctypes
import dataclasses
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np

from processing.mcaq.engine import Mcaq
from processing.mcaq.series import SeriesRefusal, SeriesResult, StudyResult

#: What an engine might have read from a file; no log and no page may repeat it.
SECRET = "INVENTED^PERSON"


class Crash:
    """Dies in native code; a process that it had started must not stay behind."""

    name, version = "crash", "1"

    def analyse(self, series, parameters, progress):
        sleeper = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
        (Path(os.environ["TMPDIR"]) / "sleeper").write_text(str(sleeper.pid))
        ctypes.string_at(0)


class Hang:
    """Never comes to an end."""

    name, version = "hang", "1"

    def analyse(self, series, parameters, progress):
        progress("motion", 0.5)
        threading.Event().wait()


class Glutton:
    """Takes memory until none is left to it."""

    name, version = "glutton", "1"

    def analyse(self, series, parameters, progress):
        held = []
        while True:
            held.append(bytearray(64 * 1024**2))


class Bug:
    """Raises, with a patient's name in the message."""

    name, version = "bug", "1"

    def analyse(self, series, parameters, progress):
        print(f"reading {SECRET}", file=sys.stderr, flush=True)
        raise ValueError(f"cannot analyse {SECRET}")


class Refuses:
    """Can analyse no series, and says why."""

    name, version = "refuses", "1"

    def analyse(self, series, parameters, progress):
        refused = tuple(SeriesRefusal(one.uid, "No contrast arrives in it.") for one in series)
        return StudyResult((), refused, {}, {}, {})


class Chatty(Mcaq):
    """Says on standard output what is no progress, and goes on."""

    name = "chatty"

    def analyse(self, series, parameters, progress):
        for line in (
            "hello",
            "[1, 2]",
            '{"stage": 7, "fraction": "x"}',
            '{"sentence": 3}',
            "\x00é",
        ):
            print(line, flush=True)
        return super().analyse(series, parameters, progress)


class Waits(Mcaq):
    """Analyses once the test has put a file named ``go`` into the temporary folder."""

    name = "waits"

    def analyse(self, series, parameters, progress):
        progress("motion", 0.5)
        pause = threading.Event()
        while not (Path(os.environ["TMPDIR"]) / "go").exists():
            pause.wait(0.05)
        return super().analyse(series, parameters, progress)


class Tells:
    """Finds nothing, and tells among the parameters what it was given of the first series."""

    name, version = "tells", "1"

    def analyse(self, series, parameters, progress):
        found = tuple(_empty(one) for one in series)
        return StudyResult(found, (), {}, {}, {"told": dataclasses.asdict(series[0].acquisition)})


def _empty(one):
    frames, rows, cols = one.signal.shape
    labels = np.zeros((rows, cols), np.uint8)
    return SeriesResult(
        one.uid, (0, 0), one.signal, np.zeros((frames, 2, rows, cols), np.float32), labels, labels,
        np.full((rows, cols), np.nan, np.float32), np.full(frames, np.nan), np.ones(frames, bool),
        (None,) * frames, None, {}, (), 0.0,
    )  # fmt: skip


ENGINES = (Crash, Hang, Glutton, Bug, Refuses, Chatty, Waits, Tells)

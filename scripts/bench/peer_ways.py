"""Public ways to hold a film still, or to find flow, each with a time limit.

A peer that is not installed is said to be missing, never left out. A displacement (T, 2, rows,
cols), px, means what it means in ``processing.mcaq.motion``.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import imageio.v3 as imageio
import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy.interpolate import griddata

from scripts import tied
from scripts.bench import peer_program

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

_MESH, _BINS, _STEPS = 4, 50, 100
#: mia-tools take the marks of a frame along: so many pixels lie between them.
_MARKS_PX = 4
_BRIGHTEST = 4095.0
_INTO_ANOTHER = "install it into another environment and name its Python by --peers-python"


class Missing(Exception):
    """The peer is not installed, was stopped or failed; the message says which."""


@dataclass(frozen=True)
class Film:
    """What a peer is given: frames (T, rows, cols), times (T,), s, and LV blood (T,) before any
    correction, with the number of frames before contrast comes."""

    frames: F32
    times_s: F64
    blood: F64
    baseline: int


@dataclass(frozen=True)
class Held:
    """A displacement, the seconds that it took, and how many frames were given up."""

    displacement: F64
    seconds: float
    given_up: int = 0


def naive(film: Film, limit_s: float) -> Held:
    """Each frame onto the middle one by B-splines and Mattes' mutual information.

    A frame that is carried out of the picture on the way stays where it was, and is counted.
    """
    begun = time.perf_counter()
    frames = film.frames
    moved = np.zeros((len(frames), 2, *frames.shape[1:]))
    middle, given_up = len(frames) // 2, 0
    fixed = sitk.GetImageFromArray(frames[middle])
    for t in range(len(frames)):
        if time.perf_counter() - begun > limit_s:
            raise Missing(_stopped(limit_s))
        if t != middle:
            try:
                moved[t] = _onto(fixed, sitk.GetImageFromArray(frames[t]))
            except RuntimeError:  # what SimpleITK raises for all that goes wrong
                given_up += 1
    return Held(moved, time.perf_counter() - begun, given_up)


def _onto(fixed: sitk.Image, moving: sitk.Image) -> F64:
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(_BINS)
    method.SetMetricSamplingStrategy(method.NONE)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsLBFGSB(gradientConvergenceTolerance=1e-5, numberOfIterations=_STEPS)
    method.SetShrinkFactorsPerLevel([4, 2, 1])
    method.SetSmoothingSigmasPerLevel([2, 1, 0])
    method.SetInitialTransform(sitk.BSplineTransformInitializer(fixed, [_MESH, _MESH]), True)
    transform = method.Execute(fixed, moving)
    told = sitk.GetArrayFromImage(
        sitk.TransformToDisplacementField(transform, sitk.sitkVectorFloat64, fixed.GetSize())
    )
    return np.moveaxis(told[..., ::-1], -1, 0)


def _stopped(limit_s: float) -> str:
    return f"stopped after {limit_s:.0f} s"


def mia_ica(film: Film, limit_s: float) -> Held:
    """Independent components (Wollny 2012, 10.1016/j.media.2012.02.004), by mia-tools."""
    return _by_mia("mia-2dmyoica-full", film, limit_s)


def mia_quasi_periodic(film: Film, limit_s: float) -> Held:
    """QUASI-P: frames of one phase of breathing first (Wollny 2010), by mia-tools."""
    return _by_mia("mia-2dmyoperiodic-nonrigid", film, limit_s)


def _by_mia(command: str, film: Film, limit_s: float) -> Held:
    if shutil.which(command) is None:
        raise Missing("not installed: it is in Debian's package mia-tools")
    count, rows, cols = film.frames.shape
    marks = np.array(
        [(r, c) for r in _even(rows) for c in _even(cols)], dtype=np.float64
    )  # fmt: skip
    points = "".join(f'<point x="{col}" y="{row}"/>' for row, col in marks)
    pictures = np.round(film.frames * (_BRIGHTEST / film.frames.max())).clip(0, _BRIGHTEST)
    # The program writes over its input: it works in a folder of its own.
    with TemporaryDirectory() as folder:
        work = Path(folder)
        told = ['<?xml version="1.0"?><workset><description>',
                '<RVpeak value="-1"/><LVpeak value="-1"/></description>']  # fmt: skip
        for t, picture in enumerate(pictures.astype(np.uint16)):
            imageio.imwrite(work / f"in{t:04d}.png", picture)
            told.append(f'<frame image="in{t:04d}.png"><section color="blue">{points}</section>')
            told.append("</frame>")
        (work / "in.set").write_text("".join([*told, "</workset>"]))
        begun = time.perf_counter()
        run([command, "-i", "in.set", "-o", "out.set", "-r", "reg"], limit_s, work)
        seconds = time.perf_counter() - begun
        found = re.findall(r'<point x="([^"]+)" y="([^"]+)"', (work / "out.set").read_text())
    places = np.array(found, dtype=np.float64)[:, ::-1].reshape(count, len(marks), 2)
    return Held(from_marks(marks, places, (rows, cols)), seconds)


def _even(size: int) -> list[int]:
    return [*range(0, size - 1, _MARKS_PX), size - 1]


def from_marks(marks: F64, places: F64, shape: tuple[int, int]) -> F64:
    """The displacement (T, 2, *shape) of marks (N, 2) that came to lie at places (T, N, 2)."""
    grid = tuple(np.mgrid[: shape[0], : shape[1]])
    moved = np.empty((len(places), 2, *shape))
    for t, at in enumerate(places):
        inside = griddata(at, marks - at, grid, method="linear")
        around = griddata(at, marks - at, grid, method="nearest")
        moved[t] = np.moveaxis(np.where(np.isnan(inside), around, inside), -1, 0)
    return moved


def run(command: list[str], limit_s: float, work: Path) -> None:
    """Run a peer in the folder ``work``; it ends with the bench. Raises Missing."""
    try:
        done = subprocess.run(
            [sys.executable, "-I", tied.__file__, *command], cwd=work, timeout=limit_s,
            check=False, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise Missing(_stopped(limit_s)) from error
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["without a word"])[-1]
        raise Missing(f"failed: {last[:90]}")


def by_program(name: str, python: str, limit_s: float, given: dict[str, Any]) -> dict[str, Any]:
    """What the peer makes of ``given`` in the Python that may have it, see ``peer_program``."""
    question = "import importlib.util, sys; sys.exit(not importlib.util.find_spec(sys.argv[1]))"
    asked = subprocess.run([python, "-c", question, peer_program.MODULES[name]], check=False)
    if asked.returncode:
        raise Missing(f"not installed: {_INTO_ANOTHER}")
    with TemporaryDirectory() as folder:
        work = Path(folder)
        np.savez(work / "in.npz", **given)
        program = str(Path(peer_program.__file__).resolve())
        run([python, program, name, "in.npz", "out.npz"], limit_s, work)
        with np.load(work / "out.npz") as made:
            return dict(made)


def _held_by_program(name: str, python: str) -> Callable[[Film, float], Held]:
    def way(film: Film, limit_s: float) -> Held:
        given = {
            "film": film.frames, "times_s": film.times_s, "blood": film.blood,
            "baseline": film.baseline,
        }  # fmt: skip
        made = by_program(name, python, limit_s, given)
        return Held(np.asarray(made["field"], dtype=np.float64), float(made["seconds"]))

    return way


def ways(python: str) -> dict[str, Callable[[Film, float], Held]]:
    """The peers by the name in the table; ``python`` runs those that are Python packages."""
    return {
        "naive B-splines": naive,
        "mia-tools, ICA": mia_ica,
        "mia-tools, QUASI-P": mia_quasi_periodic,
        "mdreg": _held_by_program("mdreg", python),
        "elastix PCAMetric2": _held_by_program("elastix", python),
    }

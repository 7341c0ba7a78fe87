"""The engine on real free-breathing patients whose masks were drawn frame by frame.

The data are no part of the project: without them this part says so and is left out. Frame times
are not known (one second a frame is taken), so flow is not judged here.
"""

from __future__ import annotations

import csv
import gzip
import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.distance import pdist

from processing.mcaq import pipeline
from processing.mcaq.series import LV_BLOOD, MYOCARDIUM, Acquisition, Series, SeriesResult
from scripts.bench.measures import dice, scatter
from scripts.bench.table import Figure
from scripts.steps import CHECKOUT

Labels = NDArray[np.uint8]
F64 = NDArray[np.float64]

_LABEL_MYOCARDIUM, _LABEL_LV = 1, 2
#: Masks no two of which lie farther apart than this were drawn once for all frames: they tell
#: nothing of motion.
_DRAWN_ONCE_MM = 1.0


def data_root() -> Path | None:
    """The folder of the shared test data, if it is on this machine."""
    named = os.environ.get("CORECMR_TEST_DATA")
    root = Path(named) if named else CHECKOUT.parent / "shared" / "data"
    return root if root.is_dir() else None


def read_nifti(path: Path) -> NDArray[np.generic]:
    """The array of a NIfTI-1 file (.nii.gz), frames first, without its singleton axes."""
    raw = gzip.decompress(path.read_bytes())
    sizes = struct.unpack("<8h", raw[40:56])
    kind = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2"}[
        struct.unpack("<h", raw[70:72])[0]
    ]
    start = int(struct.unpack("<f", raw[108:112])[0])
    shape = sizes[1 : 1 + sizes[0]]
    flat = np.frombuffer(raw, "<" + kind, count=int(np.prod(shape)), offset=start)
    return np.squeeze(flat.reshape(shape, order="F"))


@dataclass(frozen=True)
class Labelled:
    """A series with the masks (T, rows, cols) drawn on some of its frames."""

    series: Series
    masks: Labels


def studies(root: Path) -> Iterator[tuple[str, list[Labelled]]]:
    """All patients, each with rest and stress of two slices."""
    folder = root / "invivo" / "nifti"
    with (folder / "qc.csv").open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    for case in dict.fromkeys(row["case"] for row in rows):
        yield case, [_labelled(folder, row) for row in rows if row["case"] == case]


def _labelled(folder: Path, row: dict[str, str]) -> Labelled:
    name = f"{row['case']}_{row['state']}_{row['slice']}"
    film = np.ascontiguousarray(read_nifti(folder / f"{name}.nii.gz"), dtype=np.float32)
    masks = np.ascontiguousarray(read_nifti(folder / f"{name}_mask.nii.gz"), dtype=np.uint8)
    frames, pixel = int(row["frames"]), float(row["pixel_mm"])
    if film.shape[0] != frames:
        film, masks = np.moveaxis(film, -1, 0), np.moveaxis(masks, -1, 0)
    series = Series(
        uid=name,
        signal=np.ascontiguousarray(film),
        times_s=np.arange(frames, dtype=np.float64),
        roles=("dynamic",) * frames,
        state="stress" if row["state"] == "stress" else "rest",
        level="basal" if row["slice"] == "basal" else "mid",
        pixel_spacing_mm=(pixel, pixel),
        acquisition=Acquisition(field_t=1.5),
    )
    return Labelled(series, masks)


@dataclass(frozen=True)
class Measured:
    """Of one series: scatter of the LV's centre before and after, mm; overlaps; distance, mm."""

    name: str
    level: str
    before_mm: float
    after_mm: float
    moves: bool
    lv: tuple[float, float]
    myocardium: tuple[float, float]
    drawn_lv: float
    drawn_myocardium: float
    off_mm: float


def measure(root: Path, said: Callable[[str], None]) -> tuple[list[Measured], int]:
    """All series, and how many of them were refused."""
    measured, refused = [], 0
    for case, labelled in studies(root):
        said(case)
        result = pipeline.analyse([one.series for one in labelled], {}, lambda stage, done: None)
        found = {one.uid: one for one in result.series}
        refused += len(result.refused)
        measured += [
            _of_series(one, found[one.series.uid]) for one in labelled if one.series.uid in found
        ]
    return measured, refused


@dataclass(frozen=True)
class Held:
    """The masks that were drawn, moved as the film: scatter of the LV's centre, mm, Dice of each
    with the usual one, and the usual ones."""

    scatter_mm: float
    lv: list[float]
    myocardium: list[float]
    usual_lv: NDArray[np.bool_]
    usual_myocardium: NDArray[np.bool_]


def held_still(one: Labelled, offset: tuple[int, int], displacement: NDArray[np.floating]) -> Held:
    """How still ``displacement`` (T, 2, r, c) on the crop from ``offset`` holds the drawn masks."""
    drawn = [t for t in range(len(one.masks)) if one.masks[t].any()]
    rows, cols = displacement.shape[2:]
    place = np.mgrid[offset[0] : offset[0] + rows, offset[1] : offset[1] + cols].astype(np.float32)

    def moved(kind: int) -> NDArray[np.float32]:
        masks = [
            ndimage.map_coordinates(
                (one.masks[t] == kind).astype(np.float32), place + displacement[t], order=1
            )
            for t in drawn
        ]
        return np.asarray(masks, dtype=np.float32)

    # Centres are those of the shares, which rounding to whole pixels would shake.
    shares = moved(_LABEL_LV)
    lv, muscle = shares > 0.5, moved(_LABEL_MYOCARDIUM) > 0.5
    usual_lv, usual_muscle = lv.mean(axis=0) >= 0.5, muscle.mean(axis=0) >= 0.5
    centres = np.array([ndimage.center_of_mass(share) for share in shares])
    return Held(
        scatter_mm=one.series.pixel_spacing_mm[0] * scatter(centres),
        lv=[dice(mask, usual_lv) for mask in lv],
        myocardium=[dice(mask, usual_muscle) for mask in muscle],
        usual_lv=usual_lv,
        usual_myocardium=usual_muscle,
    )


def _of_series(one: Labelled, result: SeriesResult) -> Measured:
    spacing = one.series.pixel_spacing_mm[0]
    drawn = [t for t in range(len(one.masks)) if one.masks[t].any()]
    before = np.array([ndimage.center_of_mass(one.masks[t] == _LABEL_LV) for t in drawn])
    held = held_still(one, result.offset, result.displacement)
    usual_lv, usual_muscle = held.usual_lv, held.usual_myocardium
    lv_overlap, muscle_overlap = held.lv, held.myocardium
    middle = np.array(ndimage.center_of_mass(usual_lv))
    found = np.array(ndimage.center_of_mass(result.segmentation == LV_BLOOD))
    before_mm = spacing * scatter(before)
    return Measured(
        name=one.series.uid,
        level=one.series.level,
        before_mm=before_mm,
        after_mm=held.scatter_mm,
        moves=float(pdist(before).max()) * spacing >= _DRAWN_ONCE_MM,
        lv=(float(np.mean(lv_overlap)), min(lv_overlap)),
        myocardium=(float(np.mean(muscle_overlap)), min(muscle_overlap)),
        drawn_lv=dice(result.segmentation == LV_BLOOD, usual_lv),
        drawn_myocardium=dice(result.segmentation == MYOCARDIUM, usual_muscle),
        off_mm=spacing * float(np.hypot(*(found - middle))),
    )


def figures(measured: list[Measured], refused: int) -> Iterator[Figure]:
    where = "real patients"
    moving = [one for one in measured if one.moves]
    after = np.array([one.after_mm for one in moving])
    yield Figure(
        "LV-centre scatter before correction, mm, median", where,
        float(np.median([one.before_mm for one in moving])),
    )  # fmt: skip
    yield Figure("LV-centre scatter, mm, median", where, float(np.median(after)), 0.95, 0.85)
    yield Figure(
        "LV-centre scatter, mm, 90th percentile", where, float(np.percentile(after, 90)), 1.45, 1.2
    )
    yield Figure("series above 2 mm", where, float((after > 2).sum()), 1, 0)
    yield Figure("LV-centre scatter, mm, worst", where, float(after.max()), 2.7, 2.2)
    yield Figure(
        "series worse than before by more than 0.3 mm", where,
        float(sum(one.after_mm > one.before_mm + 0.3 for one in moving)), 0, 0,
    )  # fmt: skip
    for name, pairs, mean, worst in (
        ("LV", [one.lv for one in moving], (0.965, 0.972), (0.93, 0.94)),
        ("myocardium", [one.myocardium for one in moving], (0.935, 0.95), (0.87, 0.89)),
    ):
        yield Figure(
            f"corrected masks' Dice, {name}, mean", where, float(np.mean([p[0] for p in pairs])),
            *mean, True,
        )  # fmt: skip
        yield Figure(
            f"corrected masks' Dice, {name}, worst frame", where,
            float(np.mean([p[1] for p in pairs])), *worst, True,
        )  # fmt: skip
    for level, lv, muscle in (
        ("basal", (0.95, 0.96), (0.87, 0.90)),
        ("mid", (0.80, 0.90), (0.72, 0.83)),
    ):
        chosen = [one for one in measured if one.level == level]
        yield Figure(
            f"segmentation Dice, LV, {level}", where,
            float(np.mean([one.drawn_lv for one in chosen])), *lv, True,
        )  # fmt: skip
        yield Figure(
            f"segmentation Dice, myocardium, {level}", where,
            float(np.mean([one.drawn_myocardium for one in chosen])), *muscle, True,
        )  # fmt: skip
    missed = sum(one.off_mm > 20 for one in measured) + refused
    yield Figure("heart missed by more than 20 mm, or refused", where, float(missed), 1, 0)

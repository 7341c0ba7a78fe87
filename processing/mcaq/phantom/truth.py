"""What a phantom study consists of: series as an engine takes them, and the truth of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from processing.mcaq.series import FloatArray, LabelArray, Level, Series, State

F64 = NDArray[np.float64]
Damage = Literal["ghost", "dark", "noise"]


@dataclass(frozen=True)
class Placement:
    """Where a slice lies, in DICOM's patient coordinates (left, back, up), mm.

    position: of the first pixel's centre. along_row, along_column: directions in which columns
    and rows count up. thickness_mm: of the slice.
    """

    position: tuple[float, float, float]
    along_row: tuple[float, float, float]
    along_column: tuple[float, float, float]
    thickness_mm: float


@dataclass(frozen=True)
class SeriesTruth:
    """The truth of one series of T frames, all on its own grid (rows, cols).

    displacement: (T, 2, rows, cols) float32 pixels, row then column, with
        motion-free(x) = observed(x + d(x)).
    segmentation: 0 background, 1 myocardium, 2 LV blood with its papillary muscles, 3 RV blood.
    papillary: (rows, cols) where more than half is papillary muscle.
    aha: 1–6 basal, 7–12 mid, 13–16 apical, 0 outside the myocardium.
    wall, blood: (rows, cols) float32, the share of each pixel that is myocardium or LV blood.
    mbf: (rows, cols) float32 ml/min/g, NaN outside the myocardium; segment_mbf: its mean by
        segment. defect: (rows, cols) where stress flow is less than two thirds of what it were.
    aif_mmol_l, rv_mmol_l: (T,) whole blood of the left and right ventricle.
    flows, tissue_mmol_l: (b,) ml/min/g and (T, b) mmol per l of tissue for that flow.
    times_s: (T,) from the first frame. clock_s: (T,) from the study's start.
    trigger_delay_ms, beat_ms: delay after the R wave, and (T,) the beat of each frame.
    through_plane: (T,) mm along the heart's long axis towards the apex from the slice's own place,
        0 in most frames. Displacement is told for these as well, for what moved in the plane.
    mistriggered: (T,) bool, taken in another phase of the beat than the other frames.
    corrupted: (T,) what is wrong with a frame's picture as a whole, or None.
    cavity_mm2, wall_mm2: (T,) area of the left ventricle's cavity with its papillary muscles, and
        of its wall, as each frame cuts them; filling after longer beats is not in it.
    dark_rim: (rows, cols) wall that finite k-space alone shows darker than it is by a sixth or
        more when the cavity is brightest; marked in studies with such a rim only.
    heart: row and column of the left ventricle's centre.
    """

    uid: str
    state: State
    level: Level
    displacement: FloatArray
    segmentation: LabelArray
    papillary: NDArray[np.bool_]
    aha: LabelArray
    wall: FloatArray
    blood: FloatArray
    mbf: FloatArray
    segment_mbf: dict[int, float]
    defect: NDArray[np.bool_]
    aif_mmol_l: F64
    rv_mmol_l: F64
    flows: F64
    tissue_mmol_l: F64
    haematocrit: float
    times_s: F64
    clock_s: F64
    trigger_delay_ms: float
    beat_ms: F64
    placement: Placement
    through_plane: F64
    mistriggered: NDArray[np.bool_]
    corrupted: tuple[Damage | None, ...]
    cavity_mm2: F64
    wall_mm2: F64
    dark_rim: NDArray[np.bool_]
    heart: tuple[float, float]

    @property
    def usual(self) -> NDArray[np.bool_]:
        """(T,) frames that show what the others show: no mark of any kind."""
        damaged = np.array([one is not None for one in self.corrupted])
        return np.asarray((self.through_plane == 0) & ~self.mistriggered & ~damaged)


@dataclass(frozen=True)
class PhantomStudy:
    """series and truth in the same order: state by state, base to apex."""

    seed: int
    series: tuple[Series, ...]
    truth: tuple[SeriesTruth, ...]

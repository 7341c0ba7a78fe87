"""What the engine takes and what it gives: plain arrays with their units in the names.

Everything here is immutable and free of files, DICOM and Django. Arrays are C-ordered;
images are indexed (row, column); T is the number of frames of one series.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.floating]
LabelArray = NDArray[np.uint8]

State = Literal["stress", "rest", "unknown"]
Level = Literal["basal", "mid", "mid2", "apical"]
FrameRole = Literal["pd", "dynamic"]
Severity = Literal["info", "warning", "error"]

BACKGROUND, MYOCARDIUM, LV_BLOOD, RV_BLOOD = 0, 1, 2, 3


@dataclass(frozen=True)
class Acquisition:
    """What is known of the sequence; ``None`` is "not known", never a default.

    Times in ms, angles in degrees, field in tesla, relaxivity in l/mmol/s.
    ``saturation_time_ms`` runs from the saturation pulse to the k-space centre. agent: the
    contrast agent, one of ``signal.RELAXIVITIES``; a given relaxivity goes before it.
    later_echo_time_ms: of ``Series.later_echo``. linear: signal is taken as proportional to
    contrast, so that flow is only relative.
    """

    sequence: Literal["flash", "bssfp"] | None = None
    field_t: float | None = None
    saturation_time_ms: float | None = None
    flip_angle_deg: float | None = None
    pd_flip_angle_deg: float | None = None
    repetition_time_ms: float | None = None
    echo_time_ms: float | None = None
    pulses_to_centre: int | None = None
    relaxivity_l_per_mmol_s: float | None = None
    t1_myocardium_ms: float | None = None
    t1_blood_ms: float | None = None
    haematocrit: float | None = None
    tissue_density_g_per_ml: float | None = None
    agent: str | None = None
    later_echo_time_ms: float | None = None
    linear: bool = False


@dataclass(frozen=True)
class GivenContours:
    """Contours drawn by a person, in pixels of the source grid, (N, 2) as (row, column)."""

    endocardium: FloatArray
    epicardium: FloatArray
    rv_insertion_anterior: tuple[float, float] | None = None
    rv_insertion_inferior: tuple[float, float] | None = None


@dataclass(frozen=True)
class GivenInputFunction:
    """A given AIF: seconds from the first frame, mmol/l whole blood."""

    times_s: FloatArray
    concentration_mmol_l: FloatArray


@dataclass(frozen=True)
class Series:
    """One slice over time, as acquired.

    signal: (T, rows, cols) float32, rescaled to the scanner's signal units.
    times_s: (T,) float64, seconds from the first frame, ascending.
    roles: (T,) "pd" (proton density) or "dynamic".
    level_is_assumed: the level was not told by the geometry (one slice alone).
    mirrored: the picture shows the heart from its base, left and right the other way round.
    aif: the low-resolution series that serves this one, if the study has any.
    later_echo: (T, rows, cols) signal of the same frames at a later echo, if there is one.
    given_aif_region: (N, 2) outline by a person of the blood whose signal is the input function,
    (row, column) on the source grid.
    """

    uid: str
    signal: FloatArray
    times_s: FloatArray
    roles: tuple[FrameRole, ...]
    state: State
    level: Level
    pixel_spacing_mm: tuple[float, float]
    acquisition: Acquisition = field(default_factory=Acquisition)
    level_is_assumed: bool = False
    mirrored: bool = False
    aif: Series | None = None
    given_contours: GivenContours | None = None
    given_aif: GivenInputFunction | None = None
    later_echo: FloatArray | None = None
    given_aif_region: FloatArray | None = None


@dataclass(frozen=True)
class Flag:
    """One finding about quality: a stable name, how bad, and one plain sentence for the reader."""

    name: str
    severity: Severity
    sentence: str


@dataclass(frozen=True)
class SegmentFlow:
    """Flow of one AHA segment, ml/min/g, with its 90 % interval; ``None`` where unknown."""

    mbf: float | None
    low: float | None
    high: float | None
    ischaemic: bool | None


@dataclass(frozen=True)
class MotionEvidence:
    """What shows how a series was held still, and how well.

    displacement_mm: (T, 2), mean over the heart, row (down) then column (right): how far from its
    usual place the heart stood in the original frame. folds: pixels of the heart, over all dynamic
    frames, where the map folds. roughness: of the film before and after, lower is smoother.
    overlap: (T,), Dice of the left ventricle's blood seen in the corrected frame with where it
    usually is; NaN where blood cannot be told from muscle. stages: what was tried, and whether it
    was used. departing: (T,) frames whose blood pool has another size than in the frames beside.
    """

    displacement_mm: FloatArray
    folds: int
    roughness: tuple[float, float]
    overlap: FloatArray
    stages: tuple[tuple[str, bool], ...]
    departing: NDArray[np.bool_]


@dataclass(frozen=True)
class ModelFlow:
    """What another kinetic model says of the segments, in its unit; ``None`` where unknown."""

    unit: str
    segments: Mapping[int, float | None]
    mean: float | None


@dataclass(frozen=True)
class LayerRatio:
    """Flow of a segment's inner half over that of its outer half, or why it is not known."""

    ratio: float | None
    reason: str | None = None


@dataclass(frozen=True)
class SegmentCurve:
    """Contrast in one segment's muscle and the model's curve beside it, (T,) mmol/l each.

    fitted: at the most expected parameters, with the share of blood that explains most.
    """

    tissue_mmol_l: FloatArray
    fitted_mmol_l: FloatArray


@dataclass(frozen=True)
class SeriesResult:
    """What was found in one series; arrays lie on a crop of the source grid from ``offset``.

    corrected: (T, r, c) float32; displacement: (T, 2, r, c) float32, pixels, row then column,
    with corrected(x) = original(x + d(x)). mbf: (r, c) float32 ml/min/g, NaN outside the
    myocardium. segmentation: (r, c) 0 background, 1 myocardium, 2 LV blood, 3 RV blood.
    aha: (r, c) segment number, 0 outside. aif_mmol_l: (T,) whole blood, NaN where unknown.
    used: (T,) whether a frame took part in the fit; reasons: (T,) why not.
    endocardium, epicardium: (N, 2) contours on the source grid, (row, column).
    motion: evidence of how the heart was held still, if the engine gives any.
    models: what other kinetic models say, by name; empty unless they were asked for. spread: by
    AHA number, standard deviation between models, ml/min/g. endo_epi: by AHA number.
    insertions: the anterior and inferior points where the septum was taken to begin and end, (row,
    column) on the source grid. curves: by AHA number, what the flow of a segment was told by.
    """

    uid: str
    offset: tuple[int, int]
    corrected: FloatArray
    displacement: FloatArray
    segmentation: LabelArray
    aha: LabelArray
    mbf: FloatArray
    aif_mmol_l: FloatArray
    used: NDArray[np.bool_]
    reasons: tuple[str | None, ...]
    mbf_global: float | None
    segments: Mapping[int, SegmentFlow]
    quality: tuple[Flag, ...]
    seconds: float
    endocardium: FloatArray | None = None
    epicardium: FloatArray | None = None
    parameters: Mapping[str, object] = field(default_factory=dict)
    motion: MotionEvidence | None = None
    models: Mapping[str, ModelFlow] = field(default_factory=dict)
    spread: Mapping[int, float | None] = field(default_factory=dict)
    endo_epi: Mapping[int, LayerRatio] = field(default_factory=dict)
    insertions: tuple[tuple[float, float], tuple[float, float]] | None = None
    curves: Mapping[int, SegmentCurve] = field(default_factory=dict)


@dataclass(frozen=True)
class SeriesRefusal:
    """A series that could not be analysed, with the sentence that says why and what to do."""

    uid: str
    reason: str


@dataclass(frozen=True)
class StudyResult:
    """All series of one study, and the perfusion reserve (stress / rest) by AHA segment.

    model_reserve: the same by other models, by name. summary: the numbers of the whole study, as
    ``processing.mcaq.summary`` gives them; ``None`` where the engine gives none.
    """

    series: tuple[SeriesResult, ...]
    refused: tuple[SeriesRefusal, ...]
    reserve: Mapping[int, float]
    seconds: Mapping[str, float]
    parameters: Mapping[str, object]
    model_reserve: Mapping[str, Mapping[int, float]] = field(default_factory=dict)
    summary: Mapping[str, object] | None = None

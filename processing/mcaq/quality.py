"""Findings about quality: each has a name, a severity and one plain sentence for the reader."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from processing.mcaq.input_function import InputFunction
from processing.mcaq.motion import Motion
from processing.mcaq.segmentation import Anatomy
from processing.mcaq.series import Flag, Series

_LARGE_MOTION_MM = 15.0
_LONGEST_GAP = 2.5
#: Muscle must have taken up the first pass before its flow can be told from its volume.
_ENOUGH_AFTER_PEAK_S = 15.0


def of_time(one: Series) -> list[Flag]:
    """Gaps in time and an unusual pace."""
    steps = np.diff(np.asarray(one.times_s))
    if len(steps) == 0:
        return []
    flags = []
    usual = float(np.median(steps))
    gaps = int((steps > _LONGEST_GAP * usual).sum())
    if gaps:
        flags.append(
            Flag(
                "time_gaps", "info",
                f"There {'is a gap' if gaps == 1 else f'are {gaps} gaps'} in time (missed beats); "
                "the true times were used.",
            )
        )  # fmt: skip
    if not 0.3 <= usual <= 2.5:
        flags.append(
            Flag(
                "unusual_pace", "warning",
                f"Frames come every {usual:.1f} s, which is unusual for a first pass: flow is "
                "less certain. Check the time source.",
            )
        )  # fmt: skip
    return flags


def of_motion(
    one: Series, found: Motion, references: NDArray[np.bool_], left_out: NDArray[np.bool_]
) -> list[Flag]:
    """How far the heart moved, what helped, and frames that were left out."""
    flags = []
    mean = found.displacement[references].mean(axis=(2, 3)) * np.asarray(one.pixel_spacing_mm)
    travel = float(np.hypot(*(mean.max(axis=0) - mean.min(axis=0))))
    if travel > _LARGE_MOTION_MM:
        flags.append(
            Flag(
                "large_motion", "info",
                f"The heart moved by up to {travel:.0f} mm during the film; this was corrected.",
            )
        )  # fmt: skip
    if not found.stages:
        flags.append(
            Flag(
                "motion_not_corrected", "warning",
                "Motion correction did not make the film steadier, so the original was used.",
            )
        )  # fmt: skip
    number = int(left_out.sum())
    if number:
        share = number / max(1, int(references.sum()))
        flags.append(
            Flag(
                "frames_left_out", "warning" if share > 0.1 else "info",
                f"{number} frame{'s were' if number > 1 else ' was'} left out: the heart does not "
                "look there as in the frames beside.",
            )
        )  # fmt: skip
    return flags


def of_anatomy(
    one: Series, anatomy: Anatomy, insertions_told: bool, confidence: float
) -> list[Flag]:
    flags = []
    if one.level_is_assumed:
        flags.append(Flag("level_assumed", "info", "One slice alone is taken as mid."))
    if not insertions_told:
        flags.append(
            Flag(
                "insertions_assumed", "warning",
                "The right ventricle's insertions were not seen; segment numbers follow the usual "
                "orientation. Check them against the picture.",
            )
        )  # fmt: skip
    if confidence < 0.5 and one.given_contours is None:
        flags.append(
            Flag(
                "heart_uncertain", "warning",
                "The place of the heart is uncertain in this slice. Check the contours.",
            )
        )  # fmt: skip
    if one.state == "unknown":
        flags.append(
            Flag(
                "state_unknown", "warning",
                "It is not known whether this is stress or rest, so no reserve and no mark for "
                "low stress flow is given.",
            )
        )  # fmt: skip
    return flags


def of_input(one: Series, aif: InputFunction) -> list[Flag]:
    """Findings about the input function, and whether the film goes on long enough after it."""
    flags = list(aif.flags)
    peak_s = float(aif.times_s[int(np.nanargmax(aif.mmol_l))])
    after_s = float(one.times_s[-1]) - peak_s
    if after_s < _ENOUGH_AFTER_PEAK_S:
        flags.append(
            Flag(
                "film_too_short", "warning",
                f"The film ends {max(after_s, 0):.0f} s after the peak of contrast in the left "
                f"ventricle; it takes {_ENOUGH_AFTER_PEAK_S:.0f} s or more to tell flow well. Flow "
                "is uncertain: check that the whole film was exported.",
            )
        )  # fmt: skip
    if aif.peak < 1.0:
        flags.append(
            Flag(
                "weak_bolus", "warning",
                f"The input function peaks at {aif.peak:.1f} mmol/l, which is low: check dose and "
                "saturation time.",
            )
        )  # fmt: skip
    if aif.peak > 14.0:
        flags.append(
            Flag(
                "strong_bolus", "warning",
                f"The input function peaks at {aif.peak:.0f} mmol/l, which is high: check dose and "
                "saturation time.",
            )
        )  # fmt: skip
    return flags

"""Findings about quality: each has a name, a severity and one plain sentence for the reader."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from processing.mcaq.input_function import InputFunction
from processing.mcaq.segmentation import Anatomy
from processing.mcaq.series import Flag, MotionEvidence, SegmentFlow, Series, Severity, State

Mask = NDArray[np.bool_]

_LARGE_MOTION_MM = 15.0
#: Shares of the frames: more left out than this is a matter to check, or leaves too little.
_MANY_LEFT_OUT, _TOO_MANY_LEFT_OUT = 0.1, 1 / 3
#: Median overlap of the blood pool over time. It is 0.91 or more in 32 corrected films of
#: patients; before correction their median is 0.89, and the least still of them has 0.78.
_LOW_OVERLAP, _NO_OVERLAP = 0.88, 0.75
#: Where nothing helped, a film is still by itself if nearly all its frames overlap so much.
_STILL_OVERLAP = 0.95
#: Share of the heart's pixels, over all frames, in which the map may fold before it is no map.
_MANY_FOLDS = 0.001
_MOST_NAMED = 8
#: Share of the drawn muscle that is bright as blood. On phantoms flow is within a quarter of the
#: truth below the first; above the second it is always too high, by a third to twice.
_SOME_BLOOD, _MUCH_BLOOD = 0.02, 0.08
#: More than heart muscle has, ml/min/g, under a vasodilator and at rest: far above those of
#: volunteers (2.82 ± 0.47 and 0.68 ± 0.16, Xue 2019).
_MOST_FLOW, _MOST_REST_FLOW = 6.5, 3.5
_LONGEST_GAP = 2.5
#: Muscle must have taken up the first pass before its flow can be told from its volume.
_ENOUGH_AFTER_PEAK_S = 15.0
#: Frames before contrast: fewer leave its level to the noise of one or two pictures.
_ENOUGH_BEFORE = 3


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
    one: Series, found: MotionEvidence, dynamic: Mask, used: Mask, heart_pixels: int
) -> list[Flag]:
    """How far the heart moved, what helped, how still it is now, and frames that were left out.

    dynamic, used: (T,). heart_pixels: of muscle and blood in one frame.
    """
    return [
        *_of_travel(found, used),
        *_of_stages(found),
        *_of_stillness(found, int(dynamic.sum()) * heart_pixels),
        *_of_frames(one, found, dynamic, used),
    ]


def _of_travel(found: MotionEvidence, used: Mask) -> list[Flag]:
    """Of frames that were used: where the heart stands in the others is not known so well."""
    if not used.any():
        return []
    travel = float(np.hypot(*np.ptp(np.asarray(found.displacement_mm)[used], axis=0)))
    if travel <= _LARGE_MOTION_MM:
        return []
    return [
        Flag(
            "large_motion", "info",
            f"The heart moved by up to {travel:.0f} mm during the film; this was "
            f"{'corrected' if any(used for _, used in found.stages) else 'not corrected'}.",
        )
    ]  # fmt: skip


def _of_stages(found: MotionEvidence) -> list[Flag]:
    left_out = [name for name, used in found.stages if not used]
    if not left_out:
        return []
    if len(left_out) == len(found.stages):
        seen = np.asarray(found.overlap)[np.isfinite(found.overlap)]
        if len(seen) and float(np.percentile(seen, 5)) >= _STILL_OVERLAP:
            return [
                Flag(
                    "motion_not_corrected", "info",
                    "The heart stands still in the original film, which motion correction could "
                    "not make steadier; the original was used.",
                )
            ]  # fmt: skip
        return [
            Flag(
                "motion_not_corrected", "warning",
                "Motion correction did not make the film steadier, so the original was used.",
            )
        ]  # fmt: skip
    return [Flag("motion_stage_left_out", "info", stages_sentence(found.stages))]


def stages_sentence(stages: Sequence[tuple[str, bool]]) -> str:
    """What was tried on the motion and what became of it, for the reader.

    A stage that does not make the film steadier is not used.
    """
    good = [_STAGE_WORDS.get(name, name) for name, used in stages if used]
    bad = [_STAGE_WORDS.get(name, name) for name, used in stages if not used]
    parts = []
    if good:
        parts.append(f"{_and(good)} made the film steadier and {_was(good)} used")
    if bad:
        parts.append(f"{_and(bad)} did not make it steadier and {_was(bad)} left out")
    text = "; ".join(parts) or "nothing was tried"
    return f"{text[0].upper()}{text[1:]}."


_STAGE_WORDS = {
    "translation": "shifting each frame",
    "non-rigid": "bending each frame (non-rigid)",
    "rung 1.5": "bending each frame (non-rigid, first rung)",
    "rung 1": "bending it further (second rung)",
    "rung 0.7": "bending it further (third rung)",
}


def _was(words: Sequence[str]) -> str:
    return "were" if len(words) > 1 else "was"


def _and(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _of_stillness(found: MotionEvidence, pixels: int) -> list[Flag]:
    flags = []
    if found.folds:
        where = "pixel" if found.folds == 1 else "pixels"
        severe = found.folds > _MANY_FOLDS * max(pixels, 1)
        flags.append(
            Flag(
                "folds", "error" if severe else "warning",
                f"The motion field folds in {found.folds} {where} of the heart, which no heart can "
                f"do: {'flow is not to be relied on' if severe else 'check the film'}.",
            )
        )  # fmt: skip
    before, after = found.roughness
    if after > before:
        flags.append(
            Flag(
                "film_rougher", "error",
                f"The corrected film is less steady than the original (roughness {after:.2f} "
                f"against {before:.2f}): flow is not to be relied on.",
            )
        )  # fmt: skip
    overlap = np.asarray(found.overlap)
    if np.isfinite(overlap).any():
        usual = float(np.nanmedian(overlap))
        if usual < _LOW_OVERLAP:
            severe = usual < _NO_OVERLAP
            flags.append(
                Flag(
                    "heart_not_still", "error" if severe else "warning",
                    "The left ventricle's blood covers its usual place only to "
                    f"{100 * usual:.0f} % (Dice, median over time) in the corrected film: "
                    f"{'flow is not to be relied on' if severe else 'check that it is still'}.",
                )
            )  # fmt: skip
    return flags


def _of_frames(one: Series, found: MotionEvidence, dynamic: Mask, used: Mask) -> list[Flag]:
    flags = []
    out = dynamic & ~used
    number = int(out.sum())
    if number:
        share = number / max(1, int(dynamic.sum()))
        severity: Severity = "info"
        end = "the heart does not look there as in the frames beside."
        if share > _TOO_MANY_LEFT_OUT:
            severity = "error"
            end = (
                f"{100 * share:.0f} % of the film, so flow is not to be relied on; {end}"
            )  # fmt: skip
        elif share > _MANY_LEFT_OUT:
            severity = "warning"
        flags.append(
            Flag(
                "frames_left_out", severity,
                f"{number} frame{'s were' if number > 1 else ' was'} left out "
                f"({_numbers(one, out)}): {end}",
            )
        )  # fmt: skip
    changed = np.asarray(found.departing) & dynamic
    if changed.any():
        many = int(changed.sum()) > 1
        kept = int((changed & used).sum())
        flags.append(
            Flag(
                "slice_may_have_moved", "info",
                f"In {int(changed.sum())} frame{'s' if many else ''} ({_numbers(one, changed)}) "
                "the left ventricle's blood is of another size than in the frames beside, as "
                "when the heart leaves the slice or a beat is caught at another time; "
                f"{_kept(kept, int(changed.sum()))}.",
            )
        )  # fmt: skip
    return flags


def _kept(kept: int, number: int) -> str:
    if kept == 0:
        return "none of them was used" if number > 1 else "it was not used"
    if kept == number:
        return "they were used" if number > 1 else "it was used"
    return f"{kept} of them {'were' if kept > 1 else 'was'} used"


def _numbers(one: Series, chosen: Mask) -> str:
    """Frames by their number from 1, and the time of a single one."""
    frames = np.flatnonzero(chosen)
    if len(frames) == 1:
        return f"no. {frames[0] + 1}, at {float(one.times_s[frames[0]]):.0f} s"
    named = [str(t + 1) for t in frames[:_MOST_NAMED]]
    more = len(frames) - len(named)
    return f"no. {', '.join(named)} and {more} more" if more else f"no. {_and(named)}"


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


#: Said of every series whose signal was taken as proportional to contrast.
RELATIVE_FLOW = Flag(
    "relative_flow", "warning",
    "Signal was taken as proportional to contrast, as was asked for: the numbers are relative. "
    "They are no flow in ml/min/g, have no interval, and are not to be compared with cuts or other "
    "studies.",
)  # fmt: skip


def of_wall(share: float | None) -> list[Flag]:
    """Blood in the drawn muscle: ``share`` of its pixels, ``None`` where that is not known."""
    if share is None or share <= _SOME_BLOOD:
        return []
    severe = share > _MUCH_BLOOD
    return [
        Flag(
            "blood_in_wall", "error" if severe else "warning",
            f"{100 * share:.0f} % of the drawn heart muscle is as bright as blood: "
            + ("the contours are wrong, and flow is not to be relied on." if severe
               else "check the contours; flow may be too high there."),
        )
    ]  # fmt: skip


def of_flow(state: State, segments: Mapping[int, SegmentFlow]) -> list[Flag]:
    """Segments, by AHA number, with more flow than heart muscle has.

    One may lie at the edge of a map that is sound elsewhere; several tell that it is not.
    """
    most = _MOST_REST_FLOW if state == "rest" else _MOST_FLOW
    known = {number: flow.mbf for number, flow in segments.items() if flow.mbf is not None}
    high = {number: mbf for number, mbf in known.items() if mbf > most}
    if not high:
        return []
    many = len(high) > 1
    named = _and([str(number) for number in sorted(high)])
    return [
        Flag(
            "implausible_flow", "error" if many else "warning",
            f"Flow of {max(high.values()):.1f} ml/min/g in segment{'s' if len(high) > 1 else ''} "
            f"{named} is more than heart muscle has{' at rest' if state == 'rest' else ''}: "
            + ("the result is not to be relied on." if many
               else "do not rely on it, and check the contours there."),
        )
    ]  # fmt: skip


def of_baseline(frames: int) -> list[Flag]:
    """frames: how many before contrast reaches the left ventricle were read."""
    if frames >= _ENOUGH_BEFORE:
        return []
    return [
        Flag(
            "no_baseline", "warning",
            "Contrast comes in the first frames of the film, so that there is hardly a picture "
            "before it to compare with: flow is uncertain. Check that the film's start was "
            "exported.",
        )
    ]  # fmt: skip


def of_input(one: Series, aif: InputFunction, *, relative: bool = False) -> list[Flag]:
    """Findings about the input function, and whether the film goes on long enough after it.

    relative: its height means nothing.
    """
    flags = [] if relative else list(aif.flags)
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
    if relative:
        return flags
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


# --- the traffic light --------------------------------------------------------------------------
Colour = Literal["green", "amber", "red"]
_COLOURS: dict[Severity, Colour] = {"info": "green", "warning": "amber", "error": "red"}
_ALL_WELL = "No finding speaks against this result."


@dataclass(frozen=True)
class Light:
    """Green: nothing to check. Amber: warnings. Red: errors, the result is not to be relied on.

    sentence: of the finding that decides it.
    """

    colour: Colour
    sentence: str


def light(findings: Sequence[Flag]) -> Light:
    """The traffic light of a series: the first of its worst findings decides."""
    for severity in ("error", "warning"):
        for flag in findings:
            if flag.severity == severity:
                return Light(_COLOURS[flag.severity], flag.sentence)
    return Light("green", _ALL_WELL)


def study_light(series: Sequence[tuple[str, Light]], refused: int) -> Light:
    """The traffic light of a study: its worst series decides, and is named.

    series: each with what the reader calls it. refused: series that could not be analysed; they are
    missing, which is a warning.
    """
    for colour in ("red", "amber"):
        for name, one in series:
            if one.colour == colour:
                return Light(one.colour, f"{name}: {one.sentence}")
    if refused:
        what = "1 series" if refused == 1 else f"{refused} series"
        return Light("amber", f"{what} could not be analysed and {'is' if refused == 1 else 'are'} "
                              "missing here.")  # fmt: skip
    return Light("green", _ALL_WELL)

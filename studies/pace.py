"""At what pace the frames of a film came, and where some are missing."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

#: Findings of an engine or of the reading that put the times of the frames in doubt.
DOUBTS_OF_TIME = frozenset({"time_source_uncertain", "unusual_pace"})


@dataclass(frozen=True)
class Pace:
    """Intervals in s. gaps: intervals of about twice the usual one or more.

    missed: frames that the usual pace would have put into the gaps; with a frame at each heart
    beat these are missed beats.
    """

    median_interval_s: float
    longest_interval_s: float
    gaps: int
    missed: int


def pace(times_s: Sequence[float]) -> Pace | None:
    """The pace of a film's frames, ascending in s; ``None`` if they tell none."""
    steps = [later - earlier for earlier, later in itertools.pairwise(times_s)]
    usual = statistics.median(steps) if steps else 0.0
    if usual <= 0:
        return None
    # Half up, as Python's own rounding would take 2.5 as 2.
    missed = [int(step / usual + 0.5) - 1 for step in steps]
    return Pace(
        median_interval_s=usual,
        longest_interval_s=max(steps),
        gaps=sum(number > 0 for number in missed),
        missed=sum(number for number in missed if number > 0),
    )

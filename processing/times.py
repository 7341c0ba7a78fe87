"""Frame times that a person or a protocol gave, where the files do not tell them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from processing.protocol import LONGEST_INTERVAL_S, SHORTEST_INTERVAL_S, BadProtocol, Protocol
from studies.dicom.order import Clock
from studies.pace import pace


@dataclass(frozen=True)
class GivenTimes:
    """One frame every so many seconds, who said so, and the heart rate it was told by, if any."""

    frame_interval_s: float
    by: Literal["person", "protocol"]
    heart_rate_per_min: float | None = None
    beats_per_frame: int | None = None

    def times_s(self, frames: int) -> tuple[float, ...]:
        """The time of each frame in s from the first one."""
        return tuple(round(number * self.frame_interval_s, 6) for number in range(frames))

    @property
    def words(self) -> str:
        told = f"one frame every {self.frame_interval_s:.2f} s"
        if self.heart_rate_per_min is None:
            return told
        beats = self.beats_per_frame or 1
        each = "each heart beat" if beats == 1 else f"every {beats} heart beats"
        return f"{told} ({self.heart_rate_per_min:g} beats/min, a frame at {each})"

    def sentence(self, clock: Clock) -> str:
        """The finding for the reader, with what the files themselves say."""
        who = "a person" if self.by == "person" else "the protocol"
        return (
            f"The frame times were given by {who}: {self.words}. {_files_say(clock)} "
            "Flow depends on them."
        )


def _files_say(clock: Clock) -> str:
    found = pace(clock.times_s)
    if clock.source == "none" or found is None:
        return "The files tell none."
    return f"By {clock.source} of the files it would be {found.median_interval_s:.2f} s."


def check_times(given: Mapping[str, Any] | None) -> dict[str, GivenTimes]:
    """Times that a person gave, by the folder's name of a series. Raises BadProtocol."""
    return {folder: _checked(folder, entry) for folder, entry in (given or {}).items()}


def _checked(folder: str, entry: Mapping[str, Any]) -> GivenTimes:
    interval = entry.get("frame_interval_s")
    if (
        not isinstance(interval, int | float)
        or not math.isfinite(interval)
        or not SHORTEST_INTERVAL_S <= interval <= LONGEST_INTERVAL_S
    ):
        raise BadProtocol(
            f"The frame interval of {folder} must be a number from {SHORTEST_INTERVAL_S:g} to "
            f"{LONGEST_INTERVAL_S:g} s."
        )
    return GivenTimes(
        float(interval), "person", entry.get("heart_rate_per_min"), entry.get("beats_per_frame")
    )


def given_for(
    folder: str, times: Mapping[str, GivenTimes], protocol: Protocol
) -> GivenTimes | None:
    """What was given for a series: a person's word comes before the protocol's."""
    if folder in times:
        return times[folder]
    interval = protocol.frame_interval_s
    return None if interval is None else GivenTimes(interval, "protocol")

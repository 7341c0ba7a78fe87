"""What a person said of a series where sorting had it wrong: state, level, or what it is used for.

A series is named by one of its frames, which stays in it whatever is added to the study later.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, cast, get_args

from studies.dicom.labels import State
from studies.dicom.sort import Level, SortedSeries, SortedStudy, put_together

#: A file of this name beside the images holds corrections; an export has it.
FILE_NAME = "corrections.json"
Role = Literal["perfusion", "aif", "unused"]
_NOT_USED = "A person has said that this series is not to be used."
_ALLOWED: dict[str, tuple[str, ...]] = {
    "state": get_args(State),
    "level": get_args(Level),
    "role": get_args(Role),
}
_MOST_BYTES = 1024**2


class BadCorrection(Exception):
    """Corrections that cannot be used; the text says which and why."""


@dataclass(frozen=True)
class Correction:
    """The series with this frame has this state, level and role; ``None`` leaves what was found."""

    sop_instance_uid: str
    frame_number: int
    state: State | None = None
    level: Level | None = None
    role: Role | None = None

    def told(self) -> dict[str, Any]:
        """As ``read`` takes it."""
        return {key: value for key, value in asdict(self).items() if value is not None}

    @property
    def words(self) -> str:
        level = "second mid slice" if self.level == "mid2" else self.level
        uses = {"perfusion": "images of the muscle", "aif": "the arterial input", "unused": "not"}
        parts = [
            self.state and f"state {self.state}",
            level and f"level {level}",
            self.role and f"used as {uses[self.role]}",
        ]
        return f"Corrected by a person: {', '.join(part for part in parts if part)}."


def read(given: object) -> tuple[Correction, ...]:
    """Corrections from a list of mappings. Raises BadCorrection."""
    if not isinstance(given, list):
        raise BadCorrection("The corrections must be a list.")
    return tuple(_read_one(entry, number) for number, entry in enumerate(given, start=1))


def _read_one(entry: object, number: int) -> Correction:
    if not isinstance(entry, Mapping) or not isinstance(entry.get("sop_instance_uid"), str):
        raise BadCorrection(f"Correction {number} does not name an image of its series.")
    frame = entry.get("frame_number", 1)
    if not isinstance(frame, int) or frame < 1:
        raise BadCorrection(f"Correction {number} has a frame number that is none.")
    for key, words in _ALLOWED.items():
        if entry.get(key) is not None and entry[key] not in words:
            raise BadCorrection(f"Correction {number}: {key} must be one of {', '.join(words)}.")
    return Correction(
        entry["sop_instance_uid"],
        frame,
        cast("State | None", entry.get("state")),
        cast("Level | None", entry.get("level")),
        cast("Role | None", entry.get("role")),
    )


def load(path: Path) -> tuple[Correction, ...]:
    """The corrections of a file that an export holds. Raises BadCorrection."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise BadCorrection(f"{FILE_NAME} is too large to be corrections.")
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        raise BadCorrection(f"{FILE_NAME} could not be read: it is not valid JSON.") from None
    found = content.get("corrections") if isinstance(content, dict) else None
    return read(found)


def corrected(study: SortedStudy, corrections: Sequence[Correction]) -> SortedStudy:
    """The study as a person corrected it; a correction of a series that is not there is idle."""
    by_frame = {(one.sop_instance_uid, one.frame_number): one for one in corrections}
    if not by_frame:
        return study
    films = [
        _changed(film, _of(film, by_frame))
        for film in (*study.series, *(film for film, _ in study.aif))
    ]
    unused = dict(study.unused)
    for film, role in films:
        if role == "unused":
            unused.update(dict.fromkeys((frame.file_id for frame in film.frames), _NOT_USED))
    return put_together(
        [film for film, role in films if role == "perfusion"],
        [film for film, role in films if role == "aif"],
        unused,
        [one.frame for one in study.maps],
    )


def _of(film: SortedSeries, by_frame: Mapping[tuple[str, int], Correction]) -> Correction | None:
    keys = ((frame.sop_instance_uid, frame.frame_number) for frame in film.frames)
    return next((by_frame[key] for key in keys if key in by_frame), None)


def _changed(film: SortedSeries, said: Correction | None) -> tuple[SortedSeries, Role]:
    if said is None:
        return film, film.role
    role = said.role or film.role
    changed = replace(
        film,
        state=said.state or film.state,
        level=said.level or film.level,
        role="aif" if role == "aif" else "perfusion",
        level_is_assumed=film.level_is_assumed and said.level is None,
        reasons=(*film.reasons, said.words),
    )
    return changed, role

"""What a reader calls the series of a report, and in which order they come."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from studies.models.studies import Level, State


def called(entry: Mapping[str, Any]) -> str:
    """An entry of a report's ``series`` by state and level, its repeat numbered."""
    repeat = repeat_of(entry["folder"])
    name = f"{State(entry['state']).label}, {str(Level(entry['level']).label).lower()}"
    return f"{name} ({repeat})" if repeat else name


def repeat_of(folder: str) -> str:
    """The number of a slice that was taken again; "" of the first."""
    return folder.rsplit("_", 1)[-1] if folder.count("_") == 2 else ""


def in_order(series: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """By state, then from base to apex; repeats stay in their order."""
    return [
        entry
        for state in State
        for level in Level
        for entry in series
        if entry["state"] == state and entry["level"] == level
    ]

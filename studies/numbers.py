"""What the page of a study says beside the diagrams: numbers by territory and level, other models.

Taken from report.json as an engine wrote it. Each part may be absent: another engine, or an earlier
version, knows less.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.utils.translation import gettext_lazy as _

from studies.models.studies import State

_QUANTITIES = {"stress": "mbf", "rest": "mbf", "unknown": "mbf", "reserve": "mpr"}
_TITLES = {
    "stress": _("Stress"),
    "rest": _("Rest"),
    "unknown": _("State not known"),
    "reserve": _("Reserve"),
}
_ROWS = (
    ("territories", "LAD", _("LAD territory")),
    ("territories", "LCx", _("LCx territory")),
    ("territories", "RCA", _("RCA territory")),
    ("levels", "basal", _("Basal")),
    ("levels", "mid", _("Mid")),
    ("levels", "apical", _("Apical")),
)
#: Kinetic models by the engine's names, in the order of their columns.
KINETIC_MODELS = {
    "exchange": _("Exchange"),
    "fermi": _("Fermi"),
    "tikhonov": _("Tikhonov"),
    "two_compartment": _("Two comp."),
    "upslope": _("Upslope"),
}


def summary(report: Mapping[str, Any]) -> dict[str, Any] | None:
    """Columns and rows of the table, why a column is not there, and the ischaemic burden."""
    told = report.get("summary")
    if not isinstance(told, Mapping):
        return None
    parts = {name: told[name] for name in _QUANTITIES if isinstance(told.get(name), Mapping)}
    known = [name for name, part in parts.items() if _value(part.get("global"), name) is not None]
    lines = [(title, [_cell(parts[name].get(group), row, name) for name in known])
             for group, row, title in _ROWS]  # fmt: skip
    lines.append((_("Whole heart"), [_cell(parts[name], "global", name) for name in known]))
    return {
        "titles": [_TITLES[name] for name in known],
        "rows": [{"title": title, "cells": cells} for title, cells in lines],
        "missing": [
            {"title": _TITLES[name], "reason": (part.get("global") or {}).get("reason")}
            for name, part in parts.items()
            if name not in known
        ],
        "burden": told.get("ischaemic_burden"),
    }


def _value(one: Any, name: str) -> float | None:
    return one.get(_QUANTITIES[name]) if isinstance(one, Mapping) else None


def _cell(group: Any, row: str, name: str) -> dict[str, Any]:
    one = group.get(row) if isinstance(group, Mapping) else None
    one = one if isinstance(one, Mapping) else {}
    few = one.get("segments") != one.get("of")
    return {
        "value": one.get(_QUANTITIES[name]),
        "segments": one.get("segments") if few else None,
        "of": one.get("of"),
        "reason": one.get("reason"),
    }


def models(report: Mapping[str, Any], names: Mapping[int, Any]) -> list[dict[str, Any]]:
    """One table for each state whose series tell other models; of repeats the first one counts.

    The model that made the map is left out: its numbers stand in the first table.
    """
    main = (report.get("parameters") or {}).get("model")
    tables = []
    for state in State:
        values: dict[int, dict[str, Any]] = {}
        spread: dict[int, Any] = {}
        found: list[str] = []
        for entry in report["series"]:
            told = entry.get("models")
            if entry["state"] != state or not isinstance(told, Mapping):
                continue
            found += [name for name in told if name not in found and name != main]
            for name, one in told.items():
                for number, value in one["segments"].items():
                    values.setdefault(int(number), {}).setdefault(name, value)
            for number, value in (entry.get("spread") or {}).items():
                spread.setdefault(int(number), value)
        if not found:
            continue
        # The database keeps no order of keys.
        found.sort(
            key=lambda name: (
                list(KINETIC_MODELS).index(name) if name in KINETIC_MODELS else 99,
                name,
            )
        )
        tables.append(
            {
                "label": state.label,
                "titles": [KINETIC_MODELS.get(name, name) for name in found],
                "rows": [
                    {
                        "number": number,
                        "name": names.get(number, ""),
                        "values": [one.get(name) for name in found],
                        "spread": spread.get(number),
                    }
                    for number, one in sorted(values.items())
                ],
                "has_spread": any(value is not None for value in spread.values()),
            }
        )
    return tables


def layers(series: Sequence[Mapping[str, Any]], names: Mapping[int, Any]) -> dict[str, Any] | None:
    """Inner over outer layer by segment, of each state; a reason where it is not known."""
    found: dict[int, dict[str, Any]] = {}
    states = []
    for state in State:
        for entry in series:
            if entry["state"] != state or not isinstance(entry.get("endo_epi"), Mapping):
                continue
            if state not in states:
                states.append(state)
            for number, one in entry["endo_epi"].items():
                found.setdefault(int(number), {}).setdefault(state, one)
    if not found:
        return None
    cells = [one for row in found.values() for one in row.values()]
    known = [one for one in cells if one.get("ratio") is not None]
    return {
        "titles": [state.label for state in states],
        "rows": [
            {"number": n, "name": names.get(n, ""), "cells": [row.get(s) for s in states]}
            for n, row in sorted(found.items())
        ],
        "any_known": bool(known),
        "example": None if known else next((one.get("reason") for one in cells), None),
    }

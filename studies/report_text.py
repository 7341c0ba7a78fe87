"""The sentences a report begins with, written from the values of a result. The reader edits them.

They say what was measured, never what it means for the patient: that is the reader's part.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from studies.colours import MBF_UNIT
from studies.models.studies import Level, State

_COLOURS = {
    "green": "no warning",
    "amber": "to be checked",
    "red": "not to be relied on",
}


def sentences(
    report: Mapping[str, Any],
    names: Mapping[int, Any],
    *,
    number: int,
    set_aside: Sequence[str] = (),
) -> str:
    """Paragraphs of plain text from ``report`` (report.json); ``names`` are those of AHA segments.

    number: of the result among the study's. set_aside: what the reader does not count, which
    ``report`` holds no more.
    """
    paragraphs = [
        _technique(report, number),
        *(text for state in ("stress", "rest", "unknown") for text in _state(report, state)),
        *_reserve(report),
        *_below_the_cut(report, names),
        *(
            [f"Set aside by the reader, and not counted: {'; '.join(set_aside)}."]
            if set_aside
            else []
        ),
        *_findings(report),
    ]
    return "\n\n".join(paragraphs)


def _technique(report: Mapping[str, Any], number: int) -> str:
    films = []
    for state in State:
        levels = [
            str(Level(entry["level"]).label).lower()
            for entry in report["series"]
            if entry["state"] == state and entry["level"]
        ]
        if levels:
            films.append(f"{state.label}: {', '.join(levels)}.")
    engine = report.get("engine") or {}
    told = (report.get("parameters") or {}).get("protocol") or {}
    given = [
        f"{word} {told[key]}"
        for key, word in (("stressor", "stressor"), ("agent", "contrast agent"))
        if told.get(key)
    ]
    if told.get("dose_mmol_per_kg"):
        given.append(f"dose {told['dose_mmol_per_kg']:g} mmol/kg")
    parts = ["Quantitative first-pass perfusion MR of the heart.", *films]
    if given:
        parts.append(f"As given by the protocol: {', '.join(given)}.")
    name = f"{engine.get('name', '').upper()} {engine.get('version', '')}".strip()
    parts.append(f"Motion corrected and blood flow measured by {name}, result {number}.")
    return " ".join(parts)


def _state(report: Mapping[str, Any], state: str) -> Iterator[str]:
    told = (report.get("summary") or {}).get(state) or {}
    whole = told.get("global") or {}
    if whole.get("mbf") is None:
        if whole.get("reason") and any(e["state"] == state for e in report["series"]):
            yield f"{State(state).label}: mean blood flow is not known. {whole['reason']}"
        return
    yield (
        f"{State(state).label}: mean blood flow {whole['mbf']:.2f} {MBF_UNIT}"
        f"{_by_territory(told, 'mbf')}."
    )


def _by_territory(told: Mapping[str, Any], key: str) -> str:
    known = [
        f"{name} {one[key]:.2f}"
        for name in ("LAD", "LCx", "RCA")
        if (one := (told.get("territories") or {}).get(name) or {}).get(key) is not None
    ]
    return f" ({', '.join(known)})" if known else ""


def _reserve(report: Mapping[str, Any]) -> Iterator[str]:
    told = (report.get("summary") or {}).get("reserve") or {}
    whole = (told.get("global") or {}).get("mpr")
    if whole is not None:
        yield (
            f"Reserve (stress ÷ rest): {whole:.2f}{_by_territory(told, 'mpr')}. Not corrected for "
            "the work of the heart at rest."
        )


def _below_the_cut(report: Mapping[str, Any], names: Mapping[int, Any]) -> Iterator[str]:
    burden = (report.get("summary") or {}).get("ischaemic_burden") or {}
    if burden.get("percent") is None:
        return
    low: dict[int, str] = {}
    for entry in report["series"]:
        for number, flow in entry["mbf"]["segments"].items():
            if entry["state"] == "stress" and flow.get("ischaemic") and int(number) not in low:
                interval = (
                    f", 90 % interval {flow['low']:.2f}–{flow['high']:.2f}"
                    if flow.get("low") is not None and flow.get("high") is not None
                    else ""
                )
                low[int(number)] = f"{names[int(number)]} ({flow['mbf']:.2f}{interval})".lower()
    cut = f"{burden['cut_ml_per_min_per_g']:g} {MBF_UNIT} ({burden['source']}; for context)"
    if not low:
        yield f"Stress flow lies below {cut} in none of {burden['of']} segments."
        return
    yield (
        f"Stress flow lies below {cut} in {len(low)} of {burden['of']} segments: "
        f"{'; '.join(low[number] for number in sorted(low))}."
    )


def _findings(report: Mapping[str, Any]) -> Iterator[str]:
    light = report.get("light") or {}
    said = []
    if light.get("colour") in _COLOURS:
        said.append(f"Quality of the measurement: {_COLOURS[light['colour']]}.")
    found: dict[str, list[str]] = {}
    for entry in report["series"]:
        for flag in entry["quality"]:
            if flag["severity"] != "info":
                where = f"{State(entry['state']).label.lower()} {entry['level']}".strip()
                found.setdefault(flag["sentence"], []).append(where)
    for sentence, places in found.items():
        all_of_them = len(report["series"]) > 1 and len(places) == len(report["series"])
        said.append(
            f"{'All series' if all_of_them else ', '.join(places).capitalize()}: {sentence}"
        )
    if said:
        yield "\n".join(said)

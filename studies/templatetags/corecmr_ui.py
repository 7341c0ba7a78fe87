"""Pieces of the study page that need a computation: the bullseye, a file's kind in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django import template

from studies import bullseye as plan
from studies.colours import MBF_HIGH, MBF_UNIT

register = template.Library()

#: Upper ends of the scales, for every study, so that colours can be compared; flow has the maps'.
_TOPS = {"stress": MBF_HIGH, "rest": MBF_HIGH, "unknown": MBF_HIGH, "reserve": 4.0}


@register.inclusion_tag("studies/_bullseye.html")
def bullseye(
    segments: Iterable[Mapping[str, Any]], quantity: str, title: str, plain: bool = False
) -> dict[str, Any]:
    """The 16 segments of one quantity: "stress", "rest", "unknown" (flow) or "reserve".

    plain: on paper, where a segment leads to no row of a table.
    """
    top = _TOPS[quantity]
    shapes = []
    for segment in segments:
        value, ischaemic = _value(segment, quantity)
        fill, ink = plan.colour(value, top)
        shapes.append(
            {
                "number": segment["number"],
                "name": segment["name"],
                "shape": plan.SHAPES[segment["number"]],
                "value": value,
                "ischaemic": ischaemic,
                "aside": _aside(segment, quantity),
                "fill": fill,
                "ink": ink,
            }
        )
    return {
        "quantity": quantity,
        "title": title,
        "plain": plain,
        "shapes": shapes,
        "known": any(shape["value"] is not None for shape in shapes),
        "unit": "" if quantity == "reserve" else MBF_UNIT,
        "legend": [
            {"fill": fill, "x": 20 + 20 * place, "from": start}
            for place, (fill, start) in enumerate(plan.legend(top))
        ],
        "top": top,
        "middle": top / 2,
    }


def _aside(segment: Mapping[str, Any], quantity: str) -> str:
    """Why the reader does not count the value; "" where it counts."""
    return str((segment.get("aside") or {}).get(quantity, ""))


def _value(segment: Mapping[str, Any], quantity: str) -> tuple[float | None, bool]:
    if _aside(segment, quantity):
        return None, False
    found = segment.get(quantity)
    if quantity == "reserve":
        return found, False
    return (found.mbf, bool(found.ischaemic)) if found else (None, False)


@register.filter
def known(segments: Iterable[Mapping[str, Any]], quantity: str) -> bool:
    """Whether any segment has a value of this quantity."""
    return any(_value(segment, quantity)[0] is not None for segment in segments)


@register.filter
def pretty_key(key: str) -> str:
    """A parameter's name in words: ``saturation_time_ms`` becomes "saturation time ms"."""
    return str(key).replace("_", " ")


_UNITS = (
    ("_l_per_mmol_s", "l/mmol/s"), ("_mmol_per_kg", "mmol/kg"), ("_g_per_ml", "g/ml"),
    ("_ms", "ms"), ("_deg", "degrees"), ("_s", "s"), ("_t", "T"),
)  # fmt: skip


@register.filter
def key_with_unit(key: str) -> str:
    """A protocol's key in words: ``aif.saturation_time_ms`` becomes "input series: … (ms)"."""
    before, _, name = key.rpartition(".")
    for end, unit in _UNITS:
        if name.endswith(end):
            name = f"{name.removesuffix(end)} ({unit})"
            break
    return ("input series: " if before else "") + name.replace("_", " ")


@register.filter
def any_open(studies: Iterable[Mapping[str, Any]]) -> bool:
    """Whether the latest run of any row of the worklist is still open."""
    return any(study["run"] is not None and study["run"].is_open for study in studies)

"""The numbers of a whole study: by coronary territory, by level, global, and how much is ischaemic.

Each number is the mean over AHA segments, all weighing the same; territories are those of
Cerqueira 2002 (Circulation 105:539), which hold for the usual coronary tree, not for everybody's.
What is not known has a reason in its place. Of repeats of a slice the first one counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from processing.mcaq import spleen
from processing.mcaq.segments import TERRITORIES
from processing.mcaq.series import Flag, SegmentFlow, Series, SeriesResult

#: The source of the cut that is handed in, as the report says it.
CUT_SOURCE = "Kotecha 2019, doi:10.1016/j.jcmg.2018.12.028"
LEVELS = {"basal": tuple(range(1, 7)), "mid": tuple(range(7, 13)), "apical": tuple(range(13, 17))}
_ALL = tuple(range(1, 17))
#: Territories are alike while the best has at most this times the flow of the worst: repeated
#: measurements of one heart differ by up to a third (Brown 2018).
_ALIKE = 1.33
_STATES = ("stress", "rest", "unknown")
_NO_SERIES = "There is no {} series."
_RELATIVE = "Flow is relative here, and not to be compared with a cut."
_NO_SEGMENT = "No segment of it is known."

Flows = Mapping[int, float]
Told = dict[str, object]


@dataclass(frozen=True)
class Summary:
    """content: what the report says. findings: of the whole study, for its stress series."""

    content: Told
    findings: tuple[Flag, ...]


def of_study(
    series: Iterable[tuple[str, str, Mapping[int, SegmentFlow]]], cut_ml_per_min_per_g: float | None
) -> Summary:
    """The numbers of series given as state, level and segments by AHA number.

    For each state that is there, and for stress and rest in any case: ``global``, ``territories``
    and ``levels``, each with ``mbf`` (ml/min/g), ``segments`` (how many it rests on), ``of`` and
    ``reason``. ``reserve`` likewise, as ``mpr``: mean stress over mean rest of the segments that
    are known in both. ``ischaemic_burden`` and ``uniformly_low``: see their functions. Without a
    cut, as for relative numbers, nothing is said of them.
    """
    flows: dict[str, dict[int, float]] = {}
    for state, _, segments in series:
        known = flows.setdefault(state, {})
        for number, flow in segments.items():
            if flow.mbf is not None:
                known.setdefault(number, flow.mbf)
    content: Told = {
        state: _parts(partial(_mean, flows, state))
        for state in _STATES
        if state in flows or state != "unknown"
    }
    content["reserve"] = _parts(partial(_reserve, flows))
    if cut_ml_per_min_per_g is None:
        content["ischaemic_burden"] = {
            "segments": None, "of": len(flows.get("stress", ())), "percent": None,
            "cut_ml_per_min_per_g": None, "source": None, "reason": _RELATIVE,
        }  # fmt: skip
        content["uniformly_low"] = {"value": None, "reason": _RELATIVE}
        return Summary(content, ())
    content["ischaemic_burden"] = burden(flows.get("stress"), cut_ml_per_min_per_g)
    low, finding = uniformly_low(flows.get("stress"), cut_ml_per_min_per_g)
    content["uniformly_low"] = low
    return Summary(content, (finding,) if finding else ())


def with_findings(
    results: Sequence[SeriesResult], series: Sequence[Series], told: Summary
) -> list[SeriesResult]:
    """Results whose stress series carry the findings of the whole study."""
    return [
        replace(result, quality=(*result.quality, *told.findings))
        if one.state == "stress"
        else result
        for one, result in zip(series, results, strict=True)
    ]


def with_spleen(told: Summary, found: spleen.SwitchOff) -> Summary:
    """``told`` with ``splenic_switch_off``: the spleen's uptake at stress over that at rest as
    ``ratio``, from how many ``slices``, and the finding that it did not fall."""
    content = told.content | {
        "splenic_switch_off": {
            "ratio": found.ratio, "slices": found.slices, "reason": found.reason,
            "cut": spleen.STILL_ON, "source": spleen.CUT_SOURCE,
        }
    }  # fmt: skip
    flag = spleen.finding(found)
    return Summary(content, told.findings if flag is None else (*told.findings, flag))


def burden(stress: Flows | None, cut: float) -> Told:
    """How much of the heart muscle has stress flow below the cut.

    ``segments`` of ``of`` known ones, and ``percent`` of these. The cut comes from one method and
    field strength: context for the reader, no diagnosis.
    """
    told: Told = {
        "segments": None, "of": len(stress or ()), "percent": None,
        "cut_ml_per_min_per_g": cut, "source": CUT_SOURCE, "reason": _missing(stress, "stress"),
    }  # fmt: skip
    if stress:
        low = sum(mbf < cut for mbf in stress.values())
        told |= {"segments": low, "percent": 100 * low / len(stress)}
    return told


def uniformly_low(stress: Flows | None, cut: float) -> tuple[Told, Flag | None]:
    """Whether stress flow is low everywhere alike, which no map shows to the eye.

    Rule: the mean of each of the three territories lies below the cut, and the highest is at most
    a third above the lowest. ``value`` is None, with the reason, where a territory is not known.
    """
    told: Told = {"value": None, "reason": _missing(stress, "stress")}
    if not stress:
        return told, None
    means = {name: _average(stress, numbers) for name, numbers in TERRITORIES.items()}
    known = {name: mean for name, mean in means.items() if mean is not None}
    if len(known) < len(means):
        lacking = ", ".join(name for name in means if name not in known)
        return told | {"reason": f"No segment of {lacking} is known at stress."}, None
    low = max(known.values()) < cut and max(known.values()) <= _ALIKE * min(known.values())
    told["value"] = low
    if not low:
        return told, None
    said = ", ".join(f"{name} {mean:.1f}" for name, mean in known.items())
    return told, Flag(
        "uniformly_low_stress_flow", "warning",
        f"Stress flow is low in all territories alike ({said} ml/min/g; cut {cut:g}), which the "
        "eye cannot see in a map. Disease of all vessels, a weak response to stress and a wrong "
        "input function look the same: check the stress response and the input function.",
    )  # fmt: skip


def _parts(told: Callable[[Sequence[int]], Told]) -> Told:
    return {
        "global": told(_ALL),
        "territories": {name: told(numbers) for name, numbers in TERRITORIES.items()},
        "levels": {name: told(numbers) for name, numbers in LEVELS.items()},
    }


def _mean(flows: Mapping[str, Flows], state: str, numbers: Sequence[int]) -> Told:
    known = flows.get(state)
    reason = _missing(known, state)
    found = _average(known or {}, numbers)
    return {
        "mbf": found,
        "segments": sum(number in (known or {}) for number in numbers),
        "of": len(numbers),
        "reason": None if found is not None else reason or _NO_SEGMENT,
    }


def _reserve(flows: Mapping[str, Flows], numbers: Sequence[int]) -> Told:
    stress, rest = flows.get("stress"), flows.get("rest")
    reason = _missing(stress, "stress") or _missing(rest, "rest")
    both = [number for number in numbers if number in (stress or {}) and number in (rest or {})]
    above, below = _average(stress or {}, both), _average(rest or {}, both)
    found = above / below if above is not None and below else None
    if found is None and reason is None:
        reason = "There is no flow at rest to compare with." if both else (
            "No segment of it is known in both states."
        )  # fmt: skip
    return {"mpr": found, "segments": len(both), "of": len(numbers), "reason": reason}


def _missing(flows: Flows | None, state: str) -> str | None:
    """Why a state has no numbers at all."""
    if flows is None:
        return _NO_SERIES.format(state)
    return None if flows else f"No segment is known in the {state} series."


def _average(flows: Flows, numbers: Iterable[int]) -> float | None:
    known = [flows[number] for number in numbers if number in flows]
    return sum(known) / len(known) if known else None

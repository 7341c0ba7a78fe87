"""A result as its reader counts it: what was set aside does not count, and is said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _

from studies.models import Reading, Report, Result
from studies.models.readings import SetAside
from studies.models.studies import State
from studies.segments import AHA_NAMES


@dataclass(frozen=True)
class Read:
    """set_aside: by (state, AHA segment) the reason; accepted: how many values count."""

    set_aside: Mapping[tuple[str, int], str]
    summary: Mapping[str, Any]
    accepted: int
    by_name: str
    at: datetime

    def why(self, state: str, segment: int) -> str:
        """Why a value does not count, in words; "" where it does. A reserve needs both states."""
        states = ("stress", "rest") if state == "reserve" else (state,)
        reasons = [
            self.set_aside[one, segment] for one in states if (one, segment) in self.set_aside
        ]
        return str(SetAside(reasons[0]).label) if reasons else ""

    def told(self) -> list[str]:
        """What was set aside, one phrase for each value."""
        return [
            _("%(segment)s at %(state)s (%(reason)s)")
            % {
                "segment": AHA_NAMES[segment],
                "state": str(State(state).label).lower(),
                "reason": SetAside(reason).label,
            }
            for (state, segment), reason in self.set_aside.items()
        ]


def of(result: Result) -> Read | None:
    """How the result was read last; None where nobody went through its segments."""
    reading = Reading.objects.filter(result=result).first()
    return None if reading is None else _read(result, frozen(reading))


def of_report(report: Report) -> Read | None:
    """How the result was read when the report was signed; of a draft, how it is read now."""
    if not report.is_signed:
        return of(report.result)
    return _read(report.result, report.reading) if report.reading else None


def frozen(reading: Reading) -> dict[str, Any]:
    """What a signature keeps of a reading."""
    return {
        "set_aside": reading.set_aside,
        "summary": reading.summary,
        "by_name": reading.by_name,
        "at": reading.at.isoformat(),
    }


def _read(result: Result, told: Mapping[str, Any]) -> Read:
    aside: dict[tuple[str, int], str] = {
        (state, int(number)): reason
        for state in State
        for number, reason in sorted(
            (told["set_aside"].get(state) or {}).items(), key=lambda pair: int(pair[0])
        )
    }
    at = parse_datetime(told["at"])
    assert at is not None, "a reading without its time"  # noqa: S101
    known = values(result.report)
    return Read(aside, told["summary"], len(known - aside.keys()), told["by_name"], at)


def values(report: Mapping[str, Any]) -> set[tuple[str, int]]:
    """The values of a report that can be accepted or set aside: state and AHA segment."""
    return {
        (entry["state"], int(number))
        for entry in report["series"]
        for number, flow in entry["mbf"]["segments"].items()
        if flow.get("mbf") is not None
    }


def as_read(report: Mapping[str, Any], read: Read | None) -> Mapping[str, Any]:
    """``report`` without what was set aside, its summary as the reader counts it."""
    if read is None or not read.set_aside:
        return report
    series = [
        {
            **entry,
            "mbf": {
                **entry["mbf"],
                "segments": {
                    number: flow
                    for number, flow in entry["mbf"]["segments"].items()
                    if (entry["state"], int(number)) not in read.set_aside
                },
            },
        }
        for entry in report["series"]
    ]
    reserve = {
        number: value
        for number, value in (report.get("reserve") or {}).items()
        if not read.why("reserve", int(number))
    }
    return {**report, "series": series, "summary": read.summary, "reserve": reserve}

"""A new result becomes rows: its number, the figures that cohorts are chosen by, its segments.

The only maker of results. The newest of a study is marked, so that no query has to look for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.db.models import Max, QuerySet
from django.db.models.fields.json import KT

from studies.models import Result, SegmentFlow, Study


def record(study_pk: int, report: Mapping[str, Any]) -> Result:
    """Store what report.json says as the newest result of a study."""
    with transaction.atomic():
        study = Study.objects.select_for_update().get(pk=study_pk)
        last = study.results.aggregate(last=Max("number"))["last"] or 0
        study.results.filter(is_newest=True).update(is_newest=False)
        result = Result.objects.create(
            study=study,
            number=last + 1,
            engine=report["engine"]["name"],
            engine_version=report["engine"]["version"],
            parameters=report["parameters"],
            report=report,
            is_newest=True,
            **figures(report),
        )
        SegmentFlow.objects.bulk_create(_segments(result, report))
    return result


def listed(study: Study) -> QuerySet[Result]:
    """The study's results without what is heavy; ``model`` is the kinetic model of the maps, and
    ``concentration`` says "linear" where numbers are relative."""
    return study.results.defer("report", "parameters").annotate(
        model=KT("parameters__model"), concentration=KT("parameters__concentration")
    )


def asked_for(study: Study, number: str | None) -> Result | None:
    """The result of that number, the newest where none is asked for; None if there is none such."""
    if number is None:
        return study.results.first()
    return study.results.filter(number=number).first() if number.isdecimal() else None


def figures(report: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of a whole study; what an engine did not tell, or told relatively, is None."""
    summary = report.get("summary")
    summary = summary if isinstance(summary, Mapping) else {}
    measured = all(
        entry.get("mbf_unit", "ml/min/g") == "ml/min/g" for entry in report.get("series", ())
    )
    light = report.get("light")
    return {
        "stress_mbf": _global(summary, "stress", "mbf") if measured else None,
        "rest_mbf": _global(summary, "rest", "mbf") if measured else None,
        "reserve": _global(summary, "reserve", "mpr"),
        "endo_epi": _endo_epi(report),
        "reserves": report.get("reserve") or {},
        "light": str(light.get("colour", "")) if isinstance(light, Mapping) else "",
    }


def _global(summary: Mapping[str, Any], part: str, quantity: str) -> float | None:
    told = summary.get(part)
    whole = told.get("global") if isinstance(told, Mapping) else None
    value = whole.get(quantity) if isinstance(whole, Mapping) else None
    return float(value) if isinstance(value, int | float) else None


def _endo_epi(report: Mapping[str, Any]) -> float | None:
    """Inner over outer layer at stress, the mean of the segments where it is known."""
    found = [
        one["ratio"]
        for entry in report.get("series", ())
        if entry.get("state") == "stress"
        for one in (entry.get("endo_epi") or {}).values()
        if one.get("ratio") is not None
    ]
    return sum(found) / len(found) if found else None


def _segments(result: Result, report: Mapping[str, Any]) -> list[SegmentFlow]:
    return [
        SegmentFlow(
            result=result,
            folder=series["folder"],
            state=series["state"],
            level=series["level"],
            segment=int(number),
            mbf=flow["mbf"],
            low=flow["low"],
            high=flow["high"],
            ischaemic=flow["ischaemic"],
        )
        for series in report["series"]
        for number, flow in series["mbf"]["segments"].items()
    ]

"""Segments of the studies that allow research, as CSV."""

from __future__ import annotations

import hmac
from collections.abc import Iterator

from django.conf import settings
from django.db.models import QuerySet

from accounts.models import User
from corecmr import spreadsheet
from studies import access
from studies.models import Result, SegmentFlow, Study

COLUMNS = (
    "study_pseudonym",
    "sex",
    "age_years",
    "field_t",
    "manufacturer",
    "state",
    "level",
    "aha_segment",
    "mbf_ml_per_min_per_g",
    "mbf_low_ml_per_min_per_g",
    "mbf_high_ml_per_min_per_g",
    "mpr",
    "engine",
    "engine_version",
)


def released(user: User) -> QuerySet[Study]:
    """Studies with a result that the researcher may use."""
    return access.researchable_by(user).filter(results__isnull=False).distinct()


def newest_results(user: User) -> QuerySet[Result]:
    """Of each released study the newest result."""
    return (
        Result.objects.filter(study__in=access.researchable_by(user))
        .select_related("study")
        # By the column: "study" would mean the order of studies, which DISTINCT ON refuses.
        .order_by("study_id", "-number")
        .distinct("study_id")
    )


def rows(user: User) -> Iterator[list[object]]:
    """One row for each AHA segment of each series, the header first."""
    yield list(COLUMNS)
    for result in newest_results(user):
        study = result.study
        reserve = result.report.get("reserve") or {}
        # Asked again: a withdrawal reaches an export that is on its way already.
        allowed = access.researchable_by(user)
        for flow in SegmentFlow.objects.filter(result=result, result__study__in=allowed):
            yield [
                pseudonym(user, study),
                study.patient_sex,
                # Ages above 89 would single people out.
                min(study.patient_age, 90) if study.patient_age is not None else None,
                study.field_t,
                study.manufacturer,
                flow.state,
                flow.level,
                flow.segment,
                flow.mbf,
                flow.low,
                flow.high,
                reserve.get(str(flow.segment)),
                result.engine,
                result.engine_version,
            ]


def pseudonym(user: User, study: Study) -> str:
    """The study's name in this researcher's exports; two researchers' exports share none."""
    message = f"research:{user.public_id}:{study.public_id}".encode()
    return hmac.digest(settings.DEIDENTIFICATION_KEY.encode(), message, "sha256").hex()[:16]


def csv_lines(user: User) -> Iterator[str]:
    """The rows as CSV text. No cell can be taken for a spreadsheet formula."""
    return spreadsheet.csv_lines(rows(user))

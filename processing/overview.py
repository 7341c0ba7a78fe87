"""What an administrator sees of the site: work, failures, disk, quality by scanner, use by trust.

Counts and times only: no study, no patient, no reader by name.
"""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from statistics import median
from typing import Any

from django.contrib import admin
from django.db.models import Count, Min, Q
from django.http import HttpRequest
from django.utils import timezone

from accounts.models import AuditEvent, Feedback, Trust, User
from processing import health, states
from processing.models import Run
from studies.models import Report, Result, Study

WINDOW = timedelta(days=30)
_MOST = 15


def context(request: HttpRequest) -> dict[str, Any]:
    since = timezone.now() - WINDOW
    return {
        **admin.site.each_context(request),
        "title": "Overview",
        "checks": health.deep(),
        "waiting": Run.objects.filter(state=states.QUEUED).count(),
        "running": Run.objects.filter(state=states.RUNNING).count(),
        "failures": failures(since),
        "scanners": scanners(since),
        "trusts": trusts(since),
        "feedback": Feedback.objects.count(),
        "days": WINDOW.days,
    }


def failures(since: Any) -> list[tuple[str, int]]:
    """Plain causes of failed analyses, the most frequent first."""
    reasons = Run.objects.filter(state=states.FAILED, finished_at__gte=since).values_list(
        "reason", flat=True
    )
    return Counter(reason.split("\n")[0][:200] or "not known" for reason in reasons).most_common(
        _MOST
    )


def scanners(since: Any) -> list[dict[str, Any]]:
    """How results fared by the scanner that made the images."""
    rows = (
        Result.objects.filter(created_at__gte=since, is_newest=True)
        .order_by()
        .values("study__manufacturer", "study__scanner_model", "study__field_t")
        .annotate(
            count=Count("pk"),
            green=Count("pk", filter=Q(light="green")),
            amber=Count("pk", filter=Q(light="amber")),
            red=Count("pk", filter=Q(light="red")),
        )
        .order_by("-count")[:_MOST]
    )
    return [
        {
            "name": " ".join(
                part
                for part in (
                    row["study__manufacturer"], row["study__scanner_model"],
                    f"{row['study__field_t']:g} T" if row["study__field_t"] else "",
                )
                if part
            ) or "not known",
            **{key: row[key] for key in ("count", "green", "amber", "red")},
        }
        for row in rows
    ]  # fmt: skip


def trusts(since: Any) -> list[dict[str, Any]]:
    """Use by trust: studies received, from upload to the first signature, readers."""
    found = []
    readers = _readers(since)
    for trust in Trust.objects.order_by("name"):
        received = Study.objects.filter(trust=trust, created_at__gte=since)
        signed = (
            Report.objects.filter(study__trust=trust, signed_at__gte=since)
            .order_by()
            .values("study", "study__created_at")
            .annotate(first=Min("signed_at"))
        )
        hours = [(row["first"] - row["study__created_at"]).total_seconds() / 3600 for row in signed]
        found.append(
            {
                "name": trust.name,
                "studies": received.count(),
                "signed": len(hours),
                "hours": median(hours) if hours else None,
                "readers": readers.get(trust.pk, 0),
            }
        )
    return found


def _readers(since: Any) -> dict[int | None, int]:
    """People who opened a study, by their trust."""
    actors = set(
        AuditEvent.objects.filter(at__gte=since, verb="study.view")
        .order_by()
        .values_list("actor", flat=True)
        .distinct()
    )
    found = set(User.objects.filter(public_id__in=actors).values_list("pk", "memberships__trust"))
    return dict(Counter(trust for _person, trust in found))

"""Figures for Prometheus, read from the database when they are asked for.

They are the same whichever process answers, so that no process keeps any: counters of requests are
the proxy's to tell.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any

from django.db.models import Count, QuerySet
from django.utils import timezone
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from accounts.models import AuditEvent
from processing import health, states
from processing.models import Run
from studies.models import Result, StoredFile, Study, Upload


class _Site(Collector):
    def collect(self) -> Iterator[Metric]:
        yield from _runs()
        yield _one("corecmr_studies", "Studies held", Study.objects.count())
        yield _one("corecmr_results", "Results held", Result.objects.count())
        yield _one("corecmr_stored_files", "Files in storage", StoredFile.objects.count())
        yield _by_state(
            "corecmr_uploads", "Uploads by state", Upload.objects.all(), Upload.State.values
        )
        since = timezone.now() - timedelta(minutes=30)
        people = AuditEvent.objects.filter(at__gte=since).exclude(actor="")
        active = people.order_by().values("actor").distinct().count()
        yield _one("corecmr_active_people", "People who did something in 30 minutes", active)
        yield from _checks()


def _one(name: str, words: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, words, value=value)


def _by_state(
    name: str, words: str, rows: QuerySet[Any], every: Iterable[str]
) -> GaugeMetricFamily:
    """How many of ``rows`` are in each state, those in which none is too."""
    held = dict(rows.order_by().values_list("state").annotate(Count("pk")))
    family = GaugeMetricFamily(name, words, labels=["state"])
    for state in every:
        family.add_metric([state], held.get(state, 0))
    return family


def _runs() -> Iterator[Metric]:
    yield _by_state("corecmr_runs", "Analyses by state", Run.objects.all(), states.MOVES)
    day = timezone.now() - timedelta(days=1)
    failed = Run.objects.filter(state=states.FAILED, finished_at__gte=day).count()
    yield _one("corecmr_runs_failed_day", "Analyses that failed within a day", failed)


def _checks() -> Iterator[Metric]:
    ok = GaugeMetricFamily("corecmr_check_ok", "1 well, 0 not", labels=["check"])
    value = GaugeMetricFamily(
        "corecmr_check_value", "What a check measured", labels=["check", "unit"]
    )
    for check in health.deep():
        if check.ok is not None:
            ok.add_metric([check.name], float(check.ok))
        if check.value is not None and check.unit:
            value.add_metric([check.name, check.unit], check.value)
    yield ok
    yield value


def text() -> bytes:
    """All figures in Prometheus' text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Site())
    return generate_latest(registry)

"""The nightly measurement of a phantom whose flow is known, by a worker like any analysis.

A drift shows in two ways: the error against the truth grows, or the same engine gives other numbers
than it gave before on this very site (a changed library, processor or setting).
"""

from __future__ import annotations

import json
import logging
from datetime import timedelta
from math import sqrt
from statistics import fmean
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts.letters import letter
from accounts.notices import tell_administrators
from corecmr import sandbox, temporary
from corecmr.queue import enqueue
from studies.models import SiteCheck

log = logging.getLogger(__name__)

#: The engine's errors on phantoms (docs/validation.md) with room for one phantom by itself.
MOST_BIAS, MOST_NRMSE = 0.15, 0.30
#: The same engine and version gives the same numbers; more is a change of the site.
MOST_DRIFT = 0.01
FEWEST_SEGMENTS = 24
WALL_SECONDS = 900


def due() -> bool:
    """Ask for the measurement if its time has come; says whether it was asked for.

    Of several workers that look at once one asks.
    """
    hours = settings.TRUTH_TEST_HOURS
    if not hours:
        return False
    now = timezone.now()
    SiteCheck.objects.get_or_create(kind=SiteCheck.Kind.TRUTH)
    with transaction.atomic():
        asked = SiteCheck.objects.filter(
            kind=SiteCheck.Kind.TRUTH, asked_at__lt=now - timedelta(hours=hours)
        ).update(asked_at=now)
        if asked:
            enqueue("truth", SiteCheck.objects.get(kind=SiteCheck.Kind.TRUTH).pk)
    return bool(asked)


def measure(pk: int) -> None:
    """What a worker does: the phantom as files, through the engine of record, judged and kept."""
    check = SiteCheck.objects.filter(pk=pk).first()
    if check is None:
        return
    told = _run()
    problem, figures = judge(told, check.detail)
    detail = {**figures, **({"problem": problem} if problem else {})}
    SiteCheck.keep(SiteCheck.Kind.TRUTH, passed=not problem, detail=detail)
    if problem:
        log.error("the measurement of the phantom failed: %s", problem)
        if check.passed is not False:
            _alarm(problem)


def _run() -> dict[str, Any]:
    """What the child told of the phantom; "ended" with a reason if it told nothing."""
    told: dict[str, Any] = {}

    def on_line(line: str) -> None:
        told.update(sandbox.parse_json_line(line))

    with temporary.scratch("truth-") as folder:
        outcome = sandbox.run(
            "processing.truth_entry",
            [],
            sandbox.Limits(
                memory_bytes=settings.RUN_MEMORY_BYTES,
                wall_seconds=WALL_SECONDS,
                cpu_seconds=2 * WALL_SECONDS,
            ),
            stdin=json.dumps({"folder": str(folder), "engine": settings.DEFAULT_ENGINE}),
            on_line=on_line,
        )
    if "segments" not in told:
        told["ended"] = outcome.ended_by or f"status {outcome.returncode}"
    return told


def judge(told: dict[str, Any], before: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """What is wrong, in a sentence, or ""; and the figures that are kept.

    told: of the child. before: what was kept the last time.
    """
    if "ended" in told:
        kept: dict[str, Any] = {
            name: before[name] for name in ("engine", "reference") if name in before
        }
        return f"the measurement did not come to its end ({told['ended']})", kept
    segments: dict[str, list[float]] = told["segments"]
    figures: dict[str, Any] = {
        "engine": told["engine"], "segments": segments, "count": len(segments),
        "seconds": told.get("seconds"),
    }  # fmt: skip
    if len(segments) < FEWEST_SEGMENTS:
        return f"only {len(segments)} segments were measured", figures
    true = fmean(value[0] for value in segments.values())
    bias = fmean(value[1] for value in segments.values()) / true - 1
    nrmse = sqrt(fmean((value[1] - value[0]) ** 2 for value in segments.values())) / true
    figures |= {"bias": round(bias, 4), "nrmse": round(nrmse, 4)}
    # The first good measurement of a version is what the later ones are compared with: slow
    # changes do not add up unseen, and what failed is no measure for the next.
    same = before.get("engine") == told["engine"]
    reference = before.get("reference") if same else None
    drift = _drift(segments, reference) if reference else 0.0
    figures["drift"] = round(drift, 5)
    problem = ""
    if abs(bias) > MOST_BIAS or nrmse > MOST_NRMSE:
        problem = (
            f"flow was {bias:+.0%} off on the mean, with an error of {nrmse:.0%}; allowed are "
            f"{MOST_BIAS:.0%} and {MOST_NRMSE:.0%}"
        )
    elif drift > MOST_DRIFT:
        problem = (
            "the engine gives other numbers than it gave before on this site: up to "
            f"{drift:.1%} in one segment"
        )
    if reference or not problem:
        figures["reference"] = reference or segments
    return problem, figures


def _drift(now: dict[str, list[float]], before: dict[str, list[float]]) -> float:
    """The largest relative change of a segment that was measured both times."""
    both = now.keys() & before.keys()
    if not both:
        return 1.0
    return max(abs(now[name][1] / max(before[name][1], 1e-6) - 1) for name in both)


def _alarm(problem: str) -> None:
    """Mail to the site's administrators, once until it passes again."""
    tell_administrators(*letter("processing/mail/truth", problem=problem))

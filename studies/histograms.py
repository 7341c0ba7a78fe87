"""Histograms as SVG: bars that are links, each of which is a filter."""

from __future__ import annotations

from typing import Any

from django.http import QueryDict
from django.urls import reverse

from studies.cohorts import LEAST, Histogram

WIDTH, HEIGHT = 300, 110
_GAP, _BASE = 2, 90


def drawn(histogram: Histogram, query: QueryDict) -> dict[str, Any]:
    """Bars of a histogram in a box of WIDTH × HEIGHT, with the address that each leads to.

    A count below five has no height of its own: it is drawn as a hollow bar, like one of four.
    """
    width = WIDTH / len(histogram.bins)
    most = max((one.count or 0 for one in histogram.bins), default=0) or LEAST
    bars = []
    for number, one in enumerate(histogram.bins):
        shown = LEAST - 1 if one.count is None else one.count
        height = max(_BASE * min(1, shown / most), 1 if shown else 0)
        bars.append(
            {
                "x": round(number * width + _GAP / 2, 2),
                "y": round(_BASE - height, 2),
                "width": round(width - _GAP, 2),
                "height": round(height, 2),
                "few": one.count is None,
                "count": one.count,
                "low": one.low,
                "high": one.high,
                "url": _with(query, histogram.name, one.low, one.high),
            }
        )
    return {
        "name": histogram.name,
        "label": histogram.label,
        "bars": bars,
        "most": max((one.count or 0 for one in histogram.bins), default=0),
        "any": any(bar["count"] != 0 for bar in bars),
        "low": histogram.bins[0].low,
        "high": histogram.bins[-1].high,
        "is_chosen": f"{histogram.name}_min" in query or f"{histogram.name}_max" in query,
        "without": _with(query, histogram.name, None, None),
    }


def _with(query: QueryDict, name: str, low: float | None, high: float | None) -> str:
    changed = query.copy()
    for end, value in (("min", low), ("max", high)):
        changed.pop(f"{name}_{end}", None)
        if value is not None:
            changed[f"{name}_{end}"] = f"{value:g}"
    return f"{reverse('research')}?{changed.urlencode()}"

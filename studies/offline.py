"""A result as files that open without the portal: its segments as CSV, and a page for a ZIP."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from django.template.loader import render_to_string

from corecmr.spreadsheet import csv_lines
from studies import readings
from studies.intended_use import INTENDED_USE
from studies.models import Result, StoredFile, Study
from studies.segments import AHA_NAMES

SEGMENTS = "segments.csv"
INDEX = "index.html"
_PICTURES = frozenset({"mbf.png", "cine.mp4", "original.mp4", "poster.png", "motion.png"})


def segments_csv(result: Result) -> Iterator[str]:
    """One line for each segment of each series; units stand in the names of the columns."""
    flows = result.segment_flows.order_by("folder", "segment")
    reserve, read = result.report.get("reserve") or {}, readings.of(result)
    yield from csv_lines(
        [
            (
                "reference", "result", "engine", "engine_version", "series", "state", "level",
                "segment", "segment_name", "mbf_ml_per_min_per_g", "mbf_low_90_ml_per_min_per_g",
                "mbf_high_90_ml_per_min_per_g", "marked_ischaemic", "reserve",
                "set_aside_by_reader",
            )
        ]
    )  # fmt: skip
    yield from csv_lines(
        (
            result.study.reference, result.number, result.engine, result.engine_version,
            one.folder, one.state, one.level, one.segment, str(AHA_NAMES.get(one.segment, "")),
            one.mbf, one.low, one.high,
            "" if one.ischaemic is None else str(one.ischaemic).lower(),
            reserve.get(str(one.segment), "") if one.state == "stress" else "",
            read.why(one.state, one.segment) if read else "",
        )
        for one in flows
    )  # fmt: skip


def index_html(study: Study, result: Result | None, files: Iterable[StoredFile]) -> bytes:
    """A page that shows the ZIP it lies in: no script, nothing fetched, pictures by their names."""
    held = {str(one) for one in files}
    series = [
        {
            "folder": entry["folder"],
            "state": entry["state"],
            "level": entry["level"],
            "mean": entry["mbf"]["global"],
            "pictures": sorted(
                name for name in _PICTURES if f"{entry['folder']}/{name}" in held
            ),
        }
        for entry in (result.report["series"] if result else [])
    ]  # fmt: skip
    rows = (
        [
            (flow, AHA_NAMES.get(flow.segment, ""))
            for flow in result.segment_flows.order_by("segment", "-state")
        ]
        if result
        else []
    )
    page = render_to_string(
        "studies/offline.html",
        {"study": study, "result": result, "series": series, "rows": rows,
         "intended_use": INTENDED_USE, "others": sorted(held)},
    )  # fmt: skip
    return page.encode()

"""The study's page, its files and its ZIP."""

from __future__ import annotations

from statistics import median
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_GET, require_safe

from accounts import audit
from accounts.person import person
from studies import access, archive, erasure, media, numbers, record
from studies.models import Result, Share, StoredFile, Study
from studies.models.studies import Level, State
from studies.pace import DOUBTS_OF_TIME, pace

LATEST_OPENINGS = 10

AHA_NAMES = {
    1: _("Basal anterior"),
    2: _("Basal anteroseptal"),
    3: _("Basal inferoseptal"),
    4: _("Basal inferior"),
    5: _("Basal inferolateral"),
    6: _("Basal anterolateral"),
    7: _("Mid anterior"),
    8: _("Mid anteroseptal"),
    9: _("Mid inferoseptal"),
    10: _("Mid inferior"),
    11: _("Mid inferolateral"),
    12: _("Mid anterolateral"),
    13: _("Apical anterior"),
    14: _("Apical septal"),
    15: _("Apical inferior"),
    16: _("Apical lateral"),
}


@require_GET
def show(request: HttpRequest, public_id: str) -> HttpResponse:
    study = access.get_visible_or_404(person(request), public_id)
    audit.record(person(request), "study.view", study)
    result = study.results.first()
    owner = access.is_owner(person(request), study)
    context: dict[str, Any] = {
        "study": study,
        "series": list(study.series.all()),
        "result": result,
        "is_owner": owner,
        "may_download": access.may(person(request), "download", study),
        "may_run": access.may(person(request), "run", study),
        **(_governance(study) if owner else {}),
        "shares": [grant for grant in _shares(study) if grant.is_live] if owner else [],
        "shared_by": None if owner else study.trust,
    }
    if result is not None:
        context |= _result_context(result)
    return render(request, "studies/study.html", context)


def _governance(study: Study) -> dict[str, Any]:
    """For owners: who opened it lately, until when it is kept, and whether its end is asked for."""
    return {
        "openings": record.openings(list(record.events_of(study)[:LATEST_OPENINGS])),
        "kept_until": erasure.kept_until(study),
        "erasure": study.erasures.filter(withdrawn_at=None, confirmed_at=None).first(),
    }


def _shares(study: Study) -> list[Share]:
    return list(study.shares.select_related("to_trust", "to_user", "by"))


def _result_context(result: Result) -> dict[str, Any]:
    files = list(result.files.all())
    by_place = {(stored.folder, stored.name): stored for stored in files}
    series = result.report["series"]
    return {
        "grid": _grid(series, by_place),
        "segments": _segments(result),
        "numbers": numbers.summary(result.report),
        "models": numbers.models(result.report, AHA_NAMES),
        "layers": numbers.layers(series, AHA_NAMES),
        "quality": _quality(series),
        "light": result.report.get("light"),
        "unused": result.report.get("unused") or [],
        "provenance": _provenance(result),
        "protocol": _protocol(result),
        "files": [stored for stored in files if stored.kind != StoredFile.Kind.POSTER],
    }


def _grid(
    series: list[dict[str, Any]], files: dict[tuple[str, str], StoredFile]
) -> list[dict[str, Any]]:
    """Rows by state, cells by slice level, in the order a reader expects."""
    rows = []
    for state in State:
        cells = [
            _cell(entry, files)
            for level in Level
            for entry in series
            if entry["state"] == state and entry["level"] == level
        ]
        if cells:
            rows.append({"state": state.value, "label": state.label, "cells": cells})
    return rows


def _cell(entry: dict[str, Any], files: dict[tuple[str, str], StoredFile]) -> dict[str, Any]:
    folder = entry["folder"]
    return {
        "folder": folder,
        "state_label": State(entry["state"]).label,
        "level_label": Level(entry["level"]).label,
        "repeat": folder.rsplit("_", 1)[-1] if folder.count("_") == 2 else "",
        "mbf_global": entry["mbf"]["global"],
        "segments": sorted(
            ((int(number), flow) for number, flow in entry["mbf"]["segments"].items()),
            key=lambda pair: pair[0],
        ),
        "frames": len(entry["frames"]),
        "frames_left_out": sum(
            1 for frame in entry["frames"] if frame["role"] == "dynamic" and not frame["used"]
        ),
        "duration_s": entry["frame_times_s"][-1] if entry["frame_times_s"] else None,
        "time_source": entry["time_source"],
        "quality": entry["quality"],
        "cine": files.get((folder, "cine.mp4")),
        "poster": files.get((folder, "poster.png")),
        "map": files.get((folder, "mbf.png")),
        # Results of earlier versions have none of these.
        "light": entry.get("light"),
        "motion": _motion(entry),
        "times": _times(entry),
        "displacement": files.get((folder, "motion.png")),
        "strip": files.get((folder, "strip.png")),
    }


def _times(entry: dict[str, Any]) -> dict[str, Any]:
    """What told the times of the frames, their pace, and what puts them in doubt."""
    # Results of earlier versions have no clock, but the times themselves.
    clock = entry.get("clock") or {}
    return {
        "source": entry["time_source"],
        "reason": clock.get("reason"),
        "given": clock.get("given"),
        "of_files": clock.get("of_files"),
        "pace": pace(entry["frame_times_s"]),
        "doubts": [flag["sentence"] for flag in entry["quality"] if flag["flag"] in DOUBTS_OF_TIME],
    }


def _protocol(result: Result) -> dict[str, Any]:
    """Which protocol a result was made with, its values, and what had to be assumed."""
    parameters = result.report.get("parameters") or {}
    values = dict(parameters.get("protocol") or {})
    aif = values.pop("aif", None) or {}
    told = {**values, **{f"aif.{key}": value for key, value in aif.items()}}
    assumed = [
        flag["sentence"]
        for entry in result.report["series"]
        for flag in entry["quality"]
        if flag["flag"].startswith("assumed_")
    ]
    return {
        "version": parameters.get("protocol_version"),
        "tie": parameters.get("protocol_tie"),
        "values": [(key, f"{v:g}" if isinstance(v, float) else v) for key, v in told.items()],
        "assumed": list(dict.fromkeys(assumed)),
    }


def _motion(entry: dict[str, Any]) -> dict[str, Any] | None:
    """What a reader is told of the motion: how far and where to, in mm, and how still it is now."""
    motion = entry.get("motion")
    if not motion:
        return None
    moved = [
        place
        for place, frame in zip(motion["displacement_mm"], entry["frames"], strict=False)
        if frame["used"]
    ]
    overlaps = [value for value in motion["overlap"] if value is not None]
    down, right = zip(*moved, strict=True) if moved else ((0.0,), (0.0,))
    return {
        "sentence": motion["sentence"],
        "up": max(0.0, -min(down)),
        "down": max(0.0, *down),
        "left": max(0.0, -min(right)),
        "right": max(0.0, *right),
        "folds": motion["folds"],
        "before": motion["roughness"]["before"],
        "after": motion["roughness"]["after"],
        "overlap": 100 * median(overlaps) if overlaps else None,
        "overlap_least": 100 * min(overlaps) if overlaps else None,
    }


def _segments(result: Result) -> list[dict[str, Any]]:
    """One row for each AHA segment; a repeat of a slice does not replace the first one."""
    flows: dict[tuple[str, int], Any] = {}
    for flow in result.segment_flows.all():
        flows.setdefault((flow.state, flow.segment), flow)
    reserve = result.report.get("reserve") or {}
    return [
        {
            "number": number,
            "name": name,
            "stress": flows.get((State.STRESS, number)),
            "rest": flows.get((State.REST, number)),
            "unknown": flows.get((State.UNKNOWN, number)),
            "reserve": reserve.get(str(number)),
        }
        for number, name in AHA_NAMES.items()
    ]


def _quality(series: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The findings of all series; one that several series share is said once, with their names."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for entry in series:
        name = f"{State(entry['state']).label}, {Level(entry['level']).label.lower()}"
        for flag in entry["quality"]:
            key = (flag["severity"], flag["flag"], flag["sentence"])
            found.setdefault(key, []).append(name)
    order = {"error": 0, "warning": 1, "info": 2}
    return [
        {"severity": severity, "flag": flag, "sentence": sentence, "where": where}
        for (severity, flag, sentence), where in sorted(
            found.items(), key=lambda pair: order.get(pair[0][0], 3)
        )
    ]


def _provenance(result: Result) -> dict[str, Any]:
    report = result.report
    apart = {"protocol", "protocol_version", "protocol_tie"}  # told by themselves
    return {
        "engine": result.engine,
        "version": result.engine_version,
        "created_at": result.created_at,
        "number": result.number,
        "seconds": (report.get("seconds") or {}).get("total"),
        "time_sources": sorted({_told_by(entry) for entry in report["series"]}),
        "parameters": {k: v for k, v in result.parameters.items() if k not in apart},
    }


def _told_by(entry: dict[str, Any]) -> str:
    given = (entry.get("clock") or {}).get("given")
    if given:
        words = _("given by a person") if given["by"] == "person" else _("given by the protocol")
        return str(words)
    return str(entry["time_source"] or _("unknown"))


@require_safe
def file(request: HttpRequest, public_id: str) -> HttpResponseBase:
    return media.serve(request, public_id)


@require_GET
def download(request: HttpRequest, public_id: str) -> HttpResponseBase:
    study = access.get_visible_or_404(person(request), public_id)
    access.require(person(request), "download", study)
    return archive.stream(study, study.results.first(), to=person(request))

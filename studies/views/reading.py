"""The study's page, its files and its ZIP."""

from __future__ import annotations

from itertools import groupby
from statistics import median
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_GET, require_http_methods, require_safe

from accounts import audit
from accounts.models import User
from accounts.person import person
from studies import (
    access,
    archive,
    corrections,
    edits,
    erasure,
    identity,
    media,
    naming,
    numbers,
    offline,
    openings,
    questions,
    readings,
    reporting,
    site_checks,
)
from studies import record as record_of
from studies import results as results_of
from studies.forms import SeriesForm
from studies.models import Result, Series, Share, StoredFile, Study
from studies.models.studies import Level, State
from studies.pace import DOUBTS_OF_TIME, pace
from studies.segments import AHA_NAMES
from studies.views.discussion import told

#: Shown elsewhere on the page than in the list of files.
_APART = frozenset({StoredFile.Kind.POSTER, StoredFile.Kind.OBJECTS, StoredFile.Kind.FRAMES})
LATEST_OPENINGS = 10


@require_GET
def show(request: HttpRequest, public_id: str) -> HttpResponse:
    study = access.get_visible_or_404(person(request), public_id)
    audit.record(person(request), "study.view", study)
    results = list(results_of.listed(study))
    result = _asked_for(results, request.GET.get("result"))
    owner = access.is_owner(person(request), study)
    series = list(study.series.all())
    context: dict[str, Any] = {
        "study": study,
        "series": [one for one in series if one.role != Series.Role.MAP],
        "scanner_maps": [one for one in series if one.role == Series.Role.MAP],
        "series_form": SeriesForm(series=series) if owner else None,
        "result": result,
        "results": results,
        "outdated": result is not None and _outdated(study, result),
        "is_owner": owner,
        "may_download": access.may(person(request), "download", study),
        "may_run": access.may(person(request), "run", study),
        **(_governance(study) if owner else {}),
        "shares": [grant for grant in _shares(study) if grant.is_live] if owner else [],
        "shared_by": None if owner else study.trust,
        "reports": reporting.signed_of(study),
        "earlier": _same_patient(study) if owner else [],
        "draft": reporting.draft_of(study) if owner else None,
    }
    if owner:
        context |= _patient(request, study)
    context |= told(study, person(request), owner=owner)
    context |= _questions(person(request), study, owner=owner)
    if result is not None:
        context |= result_context(result, readings.of(result))
    return render(request, "studies/study.html", context)


def _same_patient(study: Study) -> list[tuple[Study, Result | None]]:
    """The trust's other studies of the same patient, the newest first, each with its result."""
    if not study.patient_pseudonym:
        return []
    others = (
        Study.objects.filter(trust=study.trust_id, patient_pseudonym=study.patient_pseudonym)
        .exclude(pk=study.pk)
        .order_by("-study_date", "-created_at")[:20]
    )
    newest = {
        one.study_id: one
        for one in Result.objects.filter(study__in=[o.pk for o in others], is_newest=True).defer(
            "report", "parameters"
        )
    }
    return [(one, newest.get(one.pk)) for one in others]


def _questions(user: User, study: Study, *, owner: bool) -> dict[str, Any]:
    """Questions about the study: all for the owning trust, for a guest those that came to him."""
    mine = set(access.live_shares(user).filter(study=study).values_list("pk", flat=True))
    return {
        "questions": [one for one in questions.asked_in(study) if owner or one.pk in mine],
        "answerable": mine,
    }


def _asked_for(results: list[Result], number: str | None) -> Result | None:
    """The result of that number; the newest where none is asked for."""
    if number is None:
        return results[0] if results else None
    for result in results:
        if str(result.number) == number:
            return result
    raise Http404


def _outdated(study: Study, result: Result) -> list[Any]:
    """What a person said after this result was made, in words; the result knows nothing of it."""
    used = result.report.get("parameters") or {}
    told = []
    if (used.get("corrections") or []) != corrections.of(study):
        told.append(_("what was understood of its series was corrected"))
    record = {
        name: value for name, value in (used.get("record") or {}).items() if name in record_of.GIVEN
    }
    now = {name: getattr(study, name) for name in record_of.GIVEN[:3] if getattr(study, name)}
    if record != now:
        told.append(_("what was given to the patient was recorded differently"))
    return told


@require_http_methods(["GET", "POST"])
def series(request: HttpRequest, public_id: str) -> HttpResponse:
    """What each series is, corrected by the owning trust."""
    user = person(request)
    study = access.get_visible_or_404(user, public_id)
    access.require(user, "manage", study)
    form = SeriesForm(request.POST or None, series=study.series.all())
    if request.method == "POST" and form.is_valid():
        try:
            changed = corrections.correct(study, by=user, said=form.said())
        except corrections.CorrectionError as error:
            form.add_error(None, str(error))
        else:
            if changed:
                messages.success(request, _("Your corrections are kept, whatever is added later."))
            else:
                messages.info(request, _("Nothing was different, so nothing was changed."))
            return redirect(f"{reverse('study', args=[study.public_id])}#understood")
    if request.method == "GET":
        audit.record(user, "study.view", study)
    return render(request, "studies/series.html", {"study": study, "series_form": form})


def _patient(request: HttpRequest, study: Study) -> dict[str, Any]:
    """For the banner that only people of the owning trust see."""
    try:
        return {"patient": identity.view(person(request), study)}
    except identity.Unreadable:
        return {"patient_unreadable": True}


def _governance(study: Study) -> dict[str, Any]:
    """For owners: who opened it lately, until when it is kept, and whether its end is asked for."""
    return {
        "openings": openings.told(list(openings.events_of(study)[:LATEST_OPENINGS])),
        "kept_until": erasure.kept_until(study),
        "erasure": study.erasures.filter(withdrawn_at=None, confirmed_at=None).first(),
    }


def _shares(study: Study) -> list[Share]:
    return list(study.shares.select_related("to_trust", "to_user", "by"))


def result_context(result: Result, read: readings.Read | None) -> dict[str, Any]:
    """read: how its segments were read, as ``readings`` gives it."""
    files = list(result.files.all())
    by_place = {(stored.folder, stored.name): stored for stored in files}
    series = result.report["series"]
    edited = (result.report.get("parameters") or {}).get("edited")
    return {
        "site_warning": site_checks.warning(),
        "has_frames": any(stored.kind == StoredFile.Kind.FRAMES for stored in files),
        "edited": edited
        and {
            "from": edited["from_result"],
            "series": [(_called(folder, series), what) for folder, what in edits.told(edited)],
        },
        "grid": _grid(series, by_place),
        "segments": _segments(result, read),
        "read": read,
        "numbers": numbers.summary(readings.as_read(result.report, read)),
        "models": numbers.models(result.report, AHA_NAMES),
        "layers": numbers.layers(series, AHA_NAMES),
        "quality": _quality(series),
        "light": result.report.get("light"),
        "unused": result.report.get("unused") or [],
        "provenance": _provenance(result),
        "protocol": _protocol(result),
        "files": [stored for stored in files if stored.kind not in _APART],
        "objects": _objects(files, series),
        "no_objects": [
            (_called(one["folder"], series), one["reason"])
            for one in result.report.get("dicom") or []
            if "reason" in one
        ],
    }


def _called(folder: str, series: list[dict[str, Any]]) -> str:
    """What a reader calls the series of a folder."""
    entry = next((one for one in series if one["folder"] == folder), None)
    if entry is None:
        return str(_("The whole study"))
    return naming.called(entry)


def _objects(files: list[StoredFile], series: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Where the DICOM objects of each slice are to be had, in the order of the report."""
    order = [entry["folder"] for entry in series]
    stored = [one for one in files if one.kind == StoredFile.Kind.OBJECTS]
    stored.sort(key=lambda one: order.index(one.folder) if one.folder in order else len(order))
    return [{"name": _called(one.folder, series), "file": one} for one in stored]


def _grid(
    series: list[dict[str, Any]], files: dict[tuple[str, str], StoredFile]
) -> list[dict[str, Any]]:
    """Rows by state, cells by slice level, in the order a reader expects."""
    by_state = groupby(naming.in_order(series), key=lambda entry: entry["state"])
    return [
        {
            "state": state,
            "label": State(state).label,
            "cells": [_cell(entry, files) for entry in entries],
        }
        for state, entries in by_state
    ]


def _cell(entry: dict[str, Any], files: dict[tuple[str, str], StoredFile]) -> dict[str, Any]:
    folder = entry["folder"]
    return {
        "folder": folder,
        "state_label": State(entry["state"]).label,
        "level_label": Level(entry["level"]).label,
        "repeat": naming.repeat_of(folder),
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
        "original": files.get((folder, "original.mp4")),
        "curves": files.get((folder, "curves.json")),
        "poster": files.get((folder, "poster.png")),
        "map": files.get((folder, "mbf.png")),
        # Results of earlier versions have none of these.
        "light": entry.get("light"),
        "motion": _motion(entry),
        "times": _times(entry),
        "scanner_map": entry.get("scanner_map"),
        "scanner_picture": files.get((folder, "scanner_mbf.png")),
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


def _segments(result: Result, read: readings.Read | None) -> list[dict[str, Any]]:
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
            # Why a value does not count, by the name of its column.
            "aside": {name: read.why(name, number) for name in (*State, "reserve")} if read else {},
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
    # Told by themselves.
    apart = {"protocol", "protocol_version", "protocol_tie", "record", "corrections"}
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
def objects(request: HttpRequest, public_id: str) -> HttpResponseBase:
    result = _with_objects(request, public_id, "download")
    return archive.stream_objects(result, to=person(request))


@require_GET
def objects_for_archive(request: HttpRequest, public_id: str) -> HttpResponseBase:
    """For the trust's own archive: under the original identity, which only the trust may see."""
    result = _with_objects(request, public_id, "identify")
    try:
        known = identity.view(person(request), result.study)
    except identity.Unreadable:
        known = None
    if known is None or "uid" not in known.study:
        raise Http404
    return archive.stream_objects(result, to=person(request), identity=known)


def _with_objects(request: HttpRequest, public_id: str, verb: access.Verb) -> Result:
    """The newest result, if it has DICOM objects."""
    study = access.get_visible_or_404(person(request), public_id)
    access.require(person(request), verb, study)
    result = study.results.first()
    if result is None or not result.files.filter(kind=StoredFile.Kind.OBJECTS).exists():
        raise Http404
    return result


@require_GET
def segments(request: HttpRequest, public_id: str) -> HttpResponseBase:
    """Flow by segment as CSV, of the newest result or the one that is asked for."""
    user = person(request)
    study = access.get_visible_or_404(user, public_id)
    access.require(user, "download", study)
    result = results_of.asked_for(study, request.GET.get("result"))
    if result is None:
        raise Http404
    audit.record(user, "study.download", study, kind="segments")
    text = "".join(offline.segments_csv(result))
    response = HttpResponse(text, content_type="text/csv; charset=utf-8")
    name = f"corecmr-{study.reference}-segments-{result.number}.csv"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


@require_GET
def download(request: HttpRequest, public_id: str) -> HttpResponseBase:
    study = access.get_visible_or_404(person(request), public_id)
    access.require(person(request), "download", study)
    return archive.stream(study, study.results.first(), to=person(request))

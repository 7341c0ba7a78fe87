"""The workspace: a result's films frame by frame, with what is drawn over them."""

from __future__ import annotations

import json
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods

from accounts import audit
from accounts.person import person
from studies import access, bullseye, colours, edits, naming, results, workspace_words
from studies.models import ContourEdit, StoredFile
from studies.segments import AHA_NAMES

_MOST_BYTES = 2 * 1024**2


@require_GET
def show(request: HttpRequest, public_id: str) -> HttpResponse:
    user = person(request)
    study = access.get_visible_or_404(user, public_id)
    result = results.asked_for(study, request.GET.get("result"))
    if result is None:
        raise Http404
    audit.record(user, "study.workspace", study, result=result.number)
    files = {
        (stored.folder, stored.name): stored
        for stored in result.files.filter(
            name__in=("corrected.frames", "original.frames", "curves.json")
        )
    }
    series = [
        _series(entry, files)
        for entry in naming.in_order(result.report["series"])
        if (entry["folder"], "corrected.frames") in files
    ]
    may_run = access.may(user, "run", study)
    context = {
        "may_comment": access.may(user, "comment", study),
        "study": study, "result": result, "may_run": may_run,
        "series": series,
        "scale_steps": [colour for colour, _low in bullseye.legend(colours.MBF_HIGH, 24)],
        "workspace": {
            "series": series,
            "scale": {"low": colours.MBF_LOW, "high": colours.MBF_HIGH, "unit": colours.MBF_UNIT,
                      "colours": colours.table_hex(256)},
            "names": AHA_NAMES,
            "editAddress": (
                f"{reverse('study_drawing', args=[study.public_id])}?result={result.number}"
                if may_run else None
            ),
            "edit": _told(edits.of(result)) if may_run else None,
            "strings": workspace_words.strings(),
        },
    }  # fmt: skip
    return render(request, "studies/workspace.html", context)


def _series(entry: dict[str, Any], files: dict[tuple[str, str], StoredFile]) -> dict[str, Any]:
    folder = entry["folder"]

    def address(name: str) -> str | None:
        stored = files.get((folder, name))
        return reverse("file", args=[stored.public_id]) if stored else None

    return {
        "folder": folder,
        "label": naming.called(entry),
        "state": entry["state"],
        "level": entry["level"],
        "corrected": address("corrected.frames"),
        "original": address("original.frames"),
        "curves": address("curves.json"),
        "times": entry["frame_times_s"],
        "used": [frame["used"] for frame in entry["frames"]],
        "reasons": [frame["reason"] for frame in entry["frames"]],
        "dynamic": [frame["role"] == "dynamic" for frame in entry["frames"]],
        "spacing": entry["pixel_spacing_mm"] or [1, 1],
        "spacingIsKnown": entry["pixel_spacing_mm"] is not None,
        "contours": entry["contours"],
        "segments": entry["mbf"]["segments"],
        "light": entry.get("light"),
        "unit": entry.get("mbf_unit", colours.MBF_UNIT),
    }


@require_http_methods(["GET", "PUT", "DELETE"])
def drawing(request: HttpRequest, public_id: str) -> HttpResponse:
    """What is drawn over a result: read, kept, taken back."""
    user = person(request)
    study = access.get_visible_or_404(user, public_id)
    access.require(user, "run", study)
    result = results.asked_for(study, request.GET.get("result"))
    if result is None:
        raise Http404
    if request.method == "DELETE":
        edits.discard(result, by=user)
        return JsonResponse(_told(None))
    if request.method == "GET":
        audit.record_once(user, "study.workspace", study, result=result.number)
        return JsonResponse(_told(edits.of(result)))
    sent, reason = _sent(request)
    if sent is None:
        return JsonResponse({"reason": reason}, status=400)
    try:
        kept = edits.keep(result, sent["content"], version=sent["version"], by=user)
    except edits.BadEdit as error:
        return JsonResponse({"reason": str(error)}, status=400)
    except edits.Conflict as conflict:
        return JsonResponse(_told(conflict.edit), status=409)
    return JsonResponse(_told(kept))


def _sent(request: HttpRequest) -> tuple[dict[str, Any] | None, str]:
    if len(request.body) > _MOST_BYTES:
        return None, _("The drawing is too large to be kept.")
    try:
        sent = json.loads(request.body)
    except (ValueError, UnicodeDecodeError):
        sent = None
    if not isinstance(sent, dict) or not isinstance(sent.get("version"), int):
        return None, _("What was sent is no drawing. Load the page again.")
    return {"version": sent["version"], "content": sent.get("content")}, ""


def _told(edit: ContourEdit | None) -> dict[str, Any]:
    if edit is None:
        return {"version": 0, "content": {}, "by": "", "at": ""}
    return {
        "version": edit.version,
        "content": edit.content,
        "by": edit.by.name if edit.by else "",
        "at": date_format(edit.updated_at, "H:i"),
    }

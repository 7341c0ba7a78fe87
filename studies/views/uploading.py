"""The upload's pages: start, send files, complete, and what became of each."""

from __future__ import annotations

import re
from typing import Any

from django.contrib import messages
from django.core.files import File
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET, require_POST

from accounts import audit
from accounts.person import person
from corecmr.errors import wants_json
from studies import uploads
from studies.models import Series, Study, Upload, UploadItem
from studies.models.studies import Level, State
from studies.refusals import NoRoom, UploadError
from studies.views import deidentification

_SEXES = {"F": gettext_lazy("female"), "M": gettext_lazy("male")}


def _refused(error: UploadError) -> JsonResponse:
    return JsonResponse({"error": "upload_refused", "message": str(error)}, status=error.status)


def _sent_files(request: HttpRequest) -> list[tuple[str, File]]:
    files: list[tuple[str, File]] = []
    files += [(file.name or "", file) for file in request.FILES.getlist("files")]
    if getattr(request, "disk_full", False):
        raise NoRoom(uploads.DISK_FULL)
    return files


@require_POST
def create(request: HttpRequest) -> HttpResponse:
    """Start an upload (programs), or take a whole one (a plain form without JavaScript).

    A program that names the ``manifest`` of an upload that was interrupted is given that one.
    """
    if not person(request).can("upload"):
        raise Http404
    try:
        if wants_json(request):
            return _start(request)
        upload = uploads.receive(person(request), _sent_files(request))
    except UploadError as error:
        if wants_json(request):
            return _refused(error)
        messages.error(request, str(error))
        return redirect("home")
    return redirect("upload", upload.public_id)


def _start(request: HttpRequest) -> JsonResponse:
    manifest = request.POST.get("manifest", "")
    if not re.fullmatch(r"[0-9a-f]{64}|", manifest):
        raise UploadError(_("The manifest of an upload has 64 hexadecimal digits."))
    upload = uploads.start(person(request), manifest=manifest)
    place = [upload.public_id]
    return JsonResponse(
        {
            "url": reverse("upload", args=place),
            "files_url": reverse("upload_files", args=place),
            "parts_url": reverse("upload_parts", args=place),
            "complete_url": reverse("upload_complete", args=place),
            "withdraw_url": reverse("upload_withdraw", args=place),
            "parts": [
                {
                    "url": reverse("upload_part", args=[upload.public_id, part.public_id]),
                    "fingerprint": part.fingerprint,
                    "size": part.size,
                    "members": part.members,
                    "stored": part.item_id is not None,
                }
                for part in upload.parts.exclude(fingerprint="")
            ],
        },
        status=201,
    )


@require_POST
def files(request: HttpRequest, public_id: str) -> HttpResponse:
    upload = uploads.own_or_404(person(request), public_id)
    try:
        received = uploads.add_files(upload, _sent_files(request))
    except UploadError as error:
        return _refused(error)
    return JsonResponse({"received": received})


@require_POST
def complete(request: HttpRequest, public_id: str) -> HttpResponse:
    upload = uploads.own_or_404(person(request), public_id)
    sent = request.POST.get("sent", "")
    try:
        stored = uploads.complete(upload, sent=int(sent) if sent.isdecimal() else None)
    except UploadError as error:
        return _refused(error)
    return JsonResponse({"url": reverse("upload", args=[upload.public_id]), "stored": stored})


@require_POST
def withdraw(request: HttpRequest, public_id: str) -> HttpResponse:
    """Take an upload back at once, while it is sent, waits or is checked."""
    upload = uploads.own_or_404(person(request), public_id)
    gone = uploads.withdraw(upload)
    said = (
        _("The upload was withdrawn. Nothing of it is kept.")
        if gone
        else _("This upload has been checked already and can no longer be withdrawn.")
    )
    if wants_json(request):
        return JsonResponse({"url": reverse("home")}) if gone else _refused(UploadError(said))
    if gone:
        messages.success(request, said)
        return redirect("home")
    messages.error(request, said)
    return redirect("upload", upload.public_id)


@require_POST
def answer(request: HttpRequest, public_id: str) -> HttpResponse:
    """Which of several examinations to keep."""
    upload = uploads.own_or_404(person(request), public_id)
    try:
        taken = uploads.answer(upload, request.POST.getlist("keep"))
    except UploadError as error:
        context = {**_context(upload), "answer_error": str(error)}
        return render(request, "studies/upload.html", context)
    if not taken:
        messages.error(request, _("This upload has been answered already."))
    return redirect("upload", upload.public_id)


@require_GET
def show(request: HttpRequest, public_id: str) -> HttpResponse:
    upload = uploads.own_or_404(person(request), public_id)
    audit.record(person(request), "upload.view", upload)
    return render(request, "studies/upload.html", _context(upload))


@require_GET
def status(request: HttpRequest, public_id: str) -> HttpResponse:
    """The part of the page that changes, for htmx."""
    return render(
        request,
        "studies/_upload_status.html",
        _context(uploads.own_or_404(person(request), public_id)),
    )


@require_GET
def status_json(request: HttpRequest, public_id: str) -> HttpResponse:
    upload = uploads.own_or_404(person(request), public_id)
    return JsonResponse(
        {
            "state": upload.state,
            "done": upload.done,
            "total": upload.total,
            "reason": upload.reason,
            "studies": [
                {"url": reverse("study", args=[study.public_id])} for study in upload.studies.all()
            ],
        }
    )


def _context(upload: Upload) -> dict[str, object]:
    items = upload.items.exclude(reason="")
    studies = list(upload.studies.all())
    stored = [UploadItem.State.STORED, UploadItem.State.DUPLICATE]
    return {
        "upload": upload,
        "received": uploads.file_count(upload),
        "stored": upload.items.filter(state__in=stored).count(),
        "duplicates": upload.items.filter(state=UploadItem.State.DUPLICATE).count(),
        "opened": upload.items.filter(state=UploadItem.State.OPENED, holds=1).count(),
        "rejected": list(items.filter(state=UploadItem.State.REJECTED)),
        "unused": list(items.filter(state=UploadItem.State.UNUSED)),
        "left_out": [{**one, "kind": _KINDS.get(one["kind"], "")} for one in upload.left_out],
        "series": _series_rows(studies),
        "changes": deidentification.change_rows(upload.changes),
        "studies": studies,
        "error": upload.reason,
        "patients": len({one["patient"] for one in upload.examinations}),
        "examinations": [_examination(one) for one in upload.examinations],
    }


#: What a series is for, by the words of ``dicom.labels``.
_KINDS = {
    "flow map": gettext_lazy("Flow map"),
    "scanner map": gettext_lazy("Map by the scanner"),
    "late enhancement": gettext_lazy("Late enhancement"),
    "T2* map": gettext_lazy("T2* map"),
    "T2 map": gettext_lazy("T2 map"),
    "T1 map": gettext_lazy("T1 map"),
    "cine": gettext_lazy("Cine"),
    "localiser": gettext_lazy("Localiser"),
    "phase contrast": gettext_lazy("Phase contrast"),
    "proton density": gettext_lazy("Proton density"),
}


def _examination(one: dict[str, Any]) -> dict[str, Any]:
    """An examination that the sender is asked about, in words."""
    series = [
        {
            "state": State(film["state"]).label,
            "level": Level(film["level"]).label if film["level"] else "",
            "role": Series.Role(film["role"]).label,
            "frames": film["frames"],
        }
        for film in one["series"]
    ]
    return {**one, "series": series, "sex": _SEXES.get(one["sex"], "")}


def _series_rows(studies: list[Study]) -> list[dict[str, object]]:
    return [
        {
            "study": series.study,
            "state": series.get_state_display(),
            "level": series.get_level_display() or "",
            "role": series.get_role_display(),
            "frames": series.frames,
            "matrix": f"{series.cols} × {series.rows}",
            "time_source": series.time_source,
            "duration_s": series.duration_s,
            "reasons": series.reasons,
        }
        for series in Series.objects.filter(study__in=studies).select_related("study")
    ]

"""The upload's pages: start, send files, complete, and what became of each."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from accounts import audit
from accounts.person import person
from corecmr.errors import wants_json
from studies import uploads
from studies.models import Series, Study, Upload, UploadItem
from studies.views import deidentification


def _own_upload(request: HttpRequest, public_id: str) -> Upload:
    """An upload is its sender's until it is a study; anyone else meets the same 404 as nobody's."""
    upload = Upload.objects.filter(public_id=public_id, user=person(request)).first()
    if upload is None or not person(request).can("upload"):
        raise Http404
    return upload


def _refused(message: str) -> JsonResponse:
    return JsonResponse({"error": "upload_refused", "message": message}, status=400)


@require_POST
def create(request: HttpRequest) -> HttpResponse:
    """Start an upload (programs), or take a whole one (a plain form without JavaScript)."""
    if not person(request).can("upload"):
        raise Http404
    try:
        if wants_json(request):
            upload = uploads.start(person(request))
            return JsonResponse(
                {
                    "url": reverse("upload", args=[upload.public_id]),
                    "files_url": reverse("upload_files", args=[upload.public_id]),
                    "complete_url": reverse("upload_complete", args=[upload.public_id]),
                },
                status=201,
            )
        files = [(file.name or "", file) for file in request.FILES.getlist("files")]
        upload = uploads.receive(person(request), files)
    except uploads.UploadError as error:
        if wants_json(request):
            return _refused(str(error))
        messages.error(request, str(error))
        return redirect("home")
    return redirect("upload", upload.public_id)


@require_POST
def files(request: HttpRequest, public_id: str) -> HttpResponse:
    upload = _own_upload(request, public_id)
    sent = [(file.name or "", file) for file in request.FILES.getlist("files")]
    try:
        received = uploads.add_files(upload, sent)
    except uploads.UploadError as error:
        return _refused(str(error))
    return JsonResponse({"received": received})


@require_POST
def complete(request: HttpRequest, public_id: str) -> HttpResponse:
    upload = _own_upload(request, public_id)
    sent = request.POST.get("sent", "")
    try:
        uploads.complete(upload, sent=int(sent) if sent.isdecimal() else None)
    except uploads.UploadError as error:
        return _refused(str(error))
    return JsonResponse({"url": reverse("upload", args=[upload.public_id])})


@require_POST
def withdraw(request: HttpRequest, public_id: str) -> HttpResponse:
    upload = _own_upload(request, public_id)
    if upload.state != Upload.State.RECEIVING:
        return _refused("This upload is being checked already and can no longer be withdrawn.")
    uploads.withdraw(upload)
    return JsonResponse({"url": reverse("home")})


@require_GET
def show(request: HttpRequest, public_id: str) -> HttpResponse:
    upload = _own_upload(request, public_id)
    audit.record(person(request), "upload.view", upload)
    return render(request, "studies/upload.html", _context(upload))


@require_GET
def status(request: HttpRequest, public_id: str) -> HttpResponse:
    """The part of the page that changes, for htmx."""
    return render(request, "studies/_upload_status.html", _context(_own_upload(request, public_id)))


@require_GET
def status_json(request: HttpRequest, public_id: str) -> HttpResponse:
    upload = _own_upload(request, public_id)
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
        "received": upload.items.count(),
        "stored": upload.items.filter(state__in=stored).count(),
        "duplicates": upload.items.filter(state=UploadItem.State.DUPLICATE).count(),
        "rejected": list(items.filter(state=UploadItem.State.REJECTED)),
        "unused": list(items.filter(state=UploadItem.State.UNUSED)),
        "series": _series_rows(studies),
        "changes": deidentification.change_rows(upload.changes),
        "studies": studies,
        "error": upload.reason,
    }


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

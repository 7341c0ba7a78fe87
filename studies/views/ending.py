"""Holds, erasure with its certificate, and who opened a study: for those who decide on it."""

from __future__ import annotations

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts import audit
from accounts.person import person
from studies import access, erasure, openings
from studies.forms import ErasureForm, HoldForm
from studies.models import Study

PAGE = 50
#: What a certificate counts, in words; what is not here is shown by its own name.
KINDS = {
    "storedfile": gettext_lazy("Entries of files"),
    "files": gettext_lazy("Files deleted from storage"),
    "series": gettext_lazy("Series"),
    "result": gettext_lazy("Results"),
    "report": gettext_lazy("Reports"),
    "sourceidentity": gettext_lazy("Sealed identities"),
    "segmentflow": gettext_lazy("Flow values of segments"),
    "share": gettext_lazy("Shares"),
    "run": gettext_lazy("Analyses"),
    "runevent": gettext_lazy("Steps of analyses"),
    "upload": gettext_lazy("Uploads"),
    "uploaditem": gettext_lazy("Files of uploads"),
    "upload_studies": gettext_lazy("Links to uploads"),
    "queue": gettext_lazy("Messages in the queue"),
    "study": gettext_lazy("Studies"),
}


def _own_study(request: HttpRequest, public_id: str) -> Study:
    study = access.get_visible_or_404(person(request), public_id)
    access.require(person(request), "manage", study)
    return study


@require_GET
def opened(request: HttpRequest, public_id: str) -> HttpResponse:
    """Everybody who opened the study, for its owners."""
    study = _own_study(request, public_id)
    audit.record(person(request), "study.openings", study)
    page = Paginator(openings.events_of(study), PAGE).get_page(request.GET.get("page"))
    context = {"study": study, "page": page, "openings": openings.told(list(page))}
    return render(request, "studies/openings.html", context)


@require_http_methods(["GET", "POST"])
def hold(request: HttpRequest, public_id: str) -> HttpResponse:
    study = _own_study(request, public_id)
    user = person(request)
    if request.method == "POST" and "lift" in request.POST:
        erasure.lift_hold(study, by=user)
        messages.success(request, _("The hold is lifted."))
        return redirect("study", study.public_id)
    form = HoldForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        erasure.hold(study, by=user, reason=form.cleaned_data["reason"])
        messages.success(request, _("The study is on hold and will not be erased."))
        return redirect("study", study.public_id)
    if request.method == "GET":
        audit.record(user, "study.hold_form", study)
    return render(request, "studies/hold.html", {"study": study, "form": form})


@require_http_methods(["GET", "POST"])
def erase(request: HttpRequest, public_id: str) -> HttpResponse:
    """Ask for the erasure of a study."""
    study = _own_study(request, public_id)
    user = person(request)
    form = ErasureForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            asked = erasure.request(study, by=user, reason=form.cleaned_data["reason"])
        except erasure.ErasureError as error:
            form.add_error(None, str(error))
        else:
            messages.success(
                request, _("Asked for. A second person of your trust must confirm it.")
            )
            return redirect("erasure", asked.public_id)
    if request.method == "GET":
        audit.record(user, "study.erase_form", study)
    return render(request, "studies/erase.html", {"study": study, "form": form})


@require_GET
def index(request: HttpRequest) -> HttpResponse:
    """Requests and certificates of the person's trust."""
    user = person(request)
    if not access.decides_for(user).exists():
        raise Http404
    found = erasure.visible_to(user).select_related("trust", "requested_by", "confirmed_by")
    page = Paginator(found, PAGE).get_page(request.GET.get("page"))
    audit.record(user, "erasure.list", page=page.number)
    return render(request, "studies/erasures.html", {"page": page})


@require_GET
def show(request: HttpRequest, public_id: str) -> HttpResponse:
    user = person(request)
    found = erasure.get_visible_or_404(user, public_id)
    audit.record(user, "erasure.view", found)
    context = {
        "erasure": found,
        "counts": [(KINDS.get(kind, kind), number) for kind, number in found.counts.items()],
        "may_confirm": found.is_open and found.requested_by_id != user.pk,
        "sees_study": found.study is not None and access.may(user, "see", found.study),
    }
    return render(request, "studies/erasure.html", context)


@require_POST
def confirm(request: HttpRequest, public_id: str) -> HttpResponse:
    found = erasure.get_visible_or_404(person(request), public_id)
    try:
        erasure.confirm(found, by=person(request))
    except erasure.ErasureError as error:
        audit.record(person(request), "erasure.confirm_refused", found)
        messages.error(request, str(error))
    else:
        messages.success(request, _("The study is erased. This page is the certificate."))
    return redirect("erasure", found.public_id)


@require_POST
def withdraw(request: HttpRequest, public_id: str) -> HttpResponse:
    found = erasure.get_visible_or_404(person(request), public_id)
    erasure.withdraw(found, by=person(request))
    messages.success(request, _("The request is withdrawn. The study stays."))
    return redirect("erasure", found.public_id)

"""The record of a study: what DICOM does not say, asked on the upload's page and on the study's."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.dateparse import parse_date
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from accounts import audit
from accounts.person import person
from processing import protocols
from processing.forms import RecordForm
from studies import access, record, uploads


@require_http_methods(["GET", "POST"])
def study(request: HttpRequest, public_id: str) -> HttpResponse:
    user = person(request)
    found = access.get_visible_or_404(user, public_id)
    access.require(user, "manage", found)
    form = RecordForm(
        request.POST or None,
        initial=record.answers_of(found),
        protocols=protocols.of_trust(found),
        by_rule=_by_rule(protocols.fitting(found)),
    )
    if request.method == "POST" and form.is_valid():
        if record.answer(found, by=user, answers=form.cleaned_data):
            messages.success(request, _("The record is kept."))
        else:
            messages.info(request, _("Nothing was different, so nothing was changed."))
        return redirect("study", found.public_id)
    if request.method == "GET":
        audit.record_once(user, "study.record_view", found)
    return render(request, "processing/record.html", {"form": form, "study": found})


def _by_rule(choice: protocols.Choice) -> str:
    if choice.version is not None:
        return _("By its rule: %(name)s") % {"name": choice.version}
    if choice.tie:
        return _("By rule: none, as these fit equally: %(names)s") % {
            "names": ", ".join(choice.tie)
        }
    return _("By rule: none fits")


@require_http_methods(["GET", "POST"])
def upload(request: HttpRequest, public_id: str) -> HttpResponse:
    """The same for all studies of an upload, also while its files are still being checked."""
    user = person(request)
    found = uploads.own_or_404(user, public_id)
    form = RecordForm(
        request.POST or None,
        initial=_told(found.answers),
        protocols=protocols.of_trust(found),
        by_rule=_("The one whose rule fits the study"),
    )
    if request.method == "POST" and form.is_valid():
        record.answer_for_upload(found, by=user, answers=form.cleaned_data)
        messages.success(request, _("The record is kept."))
        return redirect("upload", found.public_id)
    return render(request, "processing/record.html", {"form": form, "upload": found})


def _told(answers: dict[str, Any]) -> dict[str, Any]:
    when = parse_date(answers.get("research_consent_on") or "")
    return {**answers, "research_consent_on": when}

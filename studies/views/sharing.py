"""Sharing a study, taking the share back, and releasing the study for research."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from accounts import audit
from accounts.person import person
from studies import access, sharing
from studies.forms import ShareForm
from studies.models import Share


@require_http_methods(["GET", "POST"])
def share(request: HttpRequest, public_id: str) -> HttpResponse:
    user = person(request)
    study = access.get_visible_or_404(user, public_id)
    access.require(user, "share", study)
    form = ShareForm(request.POST or None, study=study)
    if request.method == "GET":
        audit.record(user, "study.share_form", study)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        try:
            sharing.share(
                study,
                by=user,
                to_trust=data["to_trust"],
                to_user=data["to_user"],
                reason=data["reason"],
                days=data["days"],
                may_download=data["may_download"],
                may_comment=data["may_comment"],
                may_run=data["may_run"],
                question=data["question"],
                due_on=data["due_on"],
            )
        except sharing.SharingError as error:
            form.add_error(None, str(error))
        else:
            whom = data["to_trust"] or data["to_user"]
            messages.success(request, _("Shared with %(whom)s.") % {"whom": whom})
            return redirect("study", study.public_id)
    return render(request, "studies/share.html", {"study": study, "form": form})


@require_POST
def revoke(request: HttpRequest, public_id: str) -> HttpResponse:
    grant = Share.objects.select_related("study").filter(public_id=public_id).first()
    if grant is None:
        raise Http404
    sharing.revoke(grant, by=person(request))
    messages.success(request, _("The share has ended. The study is no longer visible to them."))
    return redirect("study", grant.study.public_id)


@require_POST
def research_permission(request: HttpRequest, public_id: str) -> HttpResponse:
    study = access.get_visible_or_404(person(request), public_id)
    allowed = request.POST.get("allowed") == "yes"
    try:
        sharing.set_research_permission(study, by=person(request), allowed=allowed)
    except sharing.SharingError as error:
        messages.error(request, str(error))
        return redirect("study", study.public_id)
    messages.success(
        request,
        _("This study may be used for research.")
        if allowed
        else _("This study is no longer used for research."),
    )
    return redirect("study", study.public_id)

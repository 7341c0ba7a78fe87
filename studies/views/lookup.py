"""A study by its reference, from the header of every page."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from accounts.person import person
from studies import lookup
from studies.forms import LookupForm


@require_http_methods(["GET", "POST"])
def find(request: HttpRequest) -> HttpResponse:
    user = person(request)
    if not user.can("read_studies"):
        raise Http404
    form = LookupForm(request.POST if request.method == "POST" else None)
    status = 200
    if request.method == "POST":
        status = 422
        if form.is_valid():
            answer = lookup.find(form.cleaned_data["reference"], by=user)
            if answer.study is not None:
                return redirect("study", answer.study.public_id)
            if answer.locked_until is not None:
                left = answer.locked_until - timezone.now()
                response = render(
                    request, "studies/lookup_locked.html", {"until": answer.locked_until},
                    status=429,
                )  # fmt: skip
                response["Retry-After"] = str(max(1, int(left.total_seconds())))
                return response
            form.add_error(
                "reference",
                _(
                    "No study that you may see has this reference. Check it with whoever gave it "
                    "to you; after five wrong ones the look-up is locked for a while."
                ),
            )
    return render(request, "studies/lookup.html", {"form": form}, status=status)

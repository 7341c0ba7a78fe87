"""The waiting page, and the policies as their versions stand."""

from __future__ import annotations

from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string

from accounts.models import Policy
from accounts.person import person


def waiting(request: HttpRequest) -> HttpResponse:
    if person(request).is_approved:
        return redirect("home")
    return render(request, "accounts/waiting.html")


@login_not_required
def policy(request: HttpRequest, kind: str) -> HttpResponse:
    if kind not in Policy.Kind.values:
        raise Http404
    current = Policy.current(kind)
    context = {
        "kind": current.kind,
        "version": current.version,
        "published_at": current.published_at,
        "title": current.get_kind_display(),
        "body_html": render_to_string(current.template),
    }
    return render(request, "accounts/policy.html", {"policy": context})

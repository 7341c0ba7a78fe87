"""On the way in: invitation, policies, consent, the waiting page; and register of interest."""

from __future__ import annotations

from allauth.core import ratelimit
from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods

from accounts import audit, invitations, registration
from accounts.forms import INVITATION_KEY, ConsentForm, InterestForm
from accounts.models import Interest, Policy
from accounts.person import person


def waiting(request: HttpRequest) -> HttpResponse:
    if person(request).is_approved:
        return redirect("home")
    return render(request, "accounts/waiting.html")


@login_not_required
def policy(request: HttpRequest, kind: str) -> HttpResponse:
    if kind not in Policy.Kind.values:
        raise Http404
    return render(request, "accounts/policy.html", {"policy": _shown(Policy.current(kind))})


@require_http_methods(["GET", "POST"])
def consent(request: HttpRequest) -> HttpResponse:
    """A policy has a new version: it is shown, and asked for once."""
    user = person(request)
    outstanding = Policy.outstanding(user)
    if not outstanding:
        return redirect("home")
    form = ConsentForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        registration.accept_policies(user)
        return redirect("home")
    policies = [_shown(policy) for policy in outstanding]
    return render(request, "accounts/consent.html", {"form": form, "policies": policies})


def _shown(policy: Policy) -> dict[str, object]:
    return {
        "kind": policy.kind,
        "version": policy.version,
        "published_at": policy.published_at,
        "title": policy.get_kind_display(),
        "body_html": render_to_string(policy.template),
    }


@login_not_required
@require_GET
def invited(request: HttpRequest, token: str) -> HttpResponse:
    """The link of an invitation: on to the registration form, or why it no longer works."""
    invitation = invitations.read(token)
    if invitation is None:
        return render(request, "accounts/invitation_ended.html")
    if request.user.is_authenticated:
        return redirect("home")
    request.session[INVITATION_KEY] = token
    return redirect("account_signup")


@login_not_required
@require_http_methods(["GET", "POST"])
def interest(request: HttpRequest) -> HttpResponse:
    form = InterestForm(request.POST if request.method == "POST" else None)
    if request.method == "POST":
        if answer := ratelimit.consume_or_429(request, action="interest"):
            return answer
        if form.is_valid():
            data = form.cleaned_data
            # Whether the address was there before is not told.
            Interest.objects.get_or_create(email=data.pop("email").lower(), defaults=data)
            audit.record(None, "interest.register")
            messages.success(request, _("Thank you. We will write to you."))
            return redirect("home" if not request.user.is_authenticated else "interest")
    return render(request, "accounts/interest.html", {"form": form})

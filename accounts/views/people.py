"""Colleagues: the directory of those who want to be found, and inviting one."""

from __future__ import annotations

from allauth.core import ratelimit
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods

from accounts import audit, invitations
from accounts.forms import DirectorySearchForm, InvitationForm
from accounts.models import User
from accounts.person import person

PAGE = 25


@require_GET
def directory(request: HttpRequest) -> HttpResponse:
    """Who opted in, of every trust; contact details only as far as each one shows them."""
    form = DirectorySearchForm(request.GET or None)
    words = form.cleaned_data["q"].split() if form.is_valid() else []
    page = Paginator(found_by(words), PAGE).get_page(request.GET.get("page"))
    audit.record(person(request), "directory.view", count=len(page.object_list))
    return render(request, "accounts/directory.html", {"form": form, "page": page, "words": words})


def found_by(words: list[str]) -> QuerySet[User]:
    """Approved people in the directory whose name or trust holds every word."""
    people = User.objects.filter(
        in_directory=True, status=User.Status.APPROVED, is_active=True
    ).prefetch_related("memberships__trust")
    for word in words:
        people = people.filter(
            Q(name__icontains=word) | Q(memberships__trust__name__icontains=word)
        )
    return people.distinct().order_by("name", "pk")


@require_http_methods(["GET", "POST"])
def invite(request: HttpRequest) -> HttpResponse:
    user = person(request)
    if not user.is_approved:
        raise PermissionDenied
    form = InvitationForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        if answer := ratelimit.consume_or_429(request, action="invite", user=user):
            return answer
        email, role = form.cleaned_data["email"], form.cleaned_data["role"]
        token = invitations.token(email, by=user, role=role)
        link = request.build_absolute_uri(reverse("invited", args=[token]))
        invitations.send(email, by=user, role=role, link=link)
        messages.success(request, _("The invitation is on its way."))
        return redirect("invite")
    return render(request, "accounts/invite.html", {"form": form, "days": invitations.DAYS})

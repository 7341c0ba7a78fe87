"""What somebody should know, on a page of its own."""

from __future__ import annotations

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from accounts import audit
from accounts.person import person
from studies import notifications
from studies.models import Notification

PAGE = 30


@require_GET
def index(request: HttpRequest) -> HttpResponse:
    user = person(request)
    found = notifications.of(user).select_related("study", "project", "by")
    page = Paginator(found, PAGE).get_page(request.GET.get("page"))
    audit.record(user, "notification.list", page=page.number)
    return render(
        request, "studies/notifications.html",
        {"page": page, "gone": Notification.Kind.UNSHARED.value},
    )  # fmt: skip


@require_POST
def read(request: HttpRequest) -> HttpResponse:
    """Mark everything as read."""
    user = person(request)
    audit.record(user, "notification.read", count=notifications.read_all(user))
    return redirect("notifications")

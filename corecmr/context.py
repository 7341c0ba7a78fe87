"""What every template may use."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _

from accounts import mfa
from accounts.models import User
from studies import notifications
from studies.intended_use import INTENDED_USE


def site(request: HttpRequest) -> dict[str, object]:
    user = getattr(request, "user", None)
    look_up = user is not None and user.is_authenticated and user.can("read_studies")
    return {
        "intended_use": INTENDED_USE,
        "nav": cache(lambda: list(_nav(request))),
        "may_look_up": look_up,
        # Asked for by whole pages alone, not by the parts that they load.
        "unread_notifications": cache(lambda: _unread(request)),
        "session_warning_seconds": settings.SESSION_WARNING_SECONDS,
        "second_factor_required": lambda: user is not None and mfa.is_required(user),
        "passkeys_need_a_name": _by_name(request),
    }


def _unread(request: HttpRequest) -> int | None:
    """How many notifications wait; None for whom there are none."""
    user = getattr(request, "user", None)
    if not isinstance(user, User) or not user.is_approved or getattr(request, "is_held", False):
        return None
    return notifications.unread(user)


def _by_name(request: HttpRequest) -> str:
    """The address of this machine by its name, where it was opened by its number."""
    host, _colon, port = request.META.get("HTTP_HOST", "").partition(":")
    return f"http://localhost:{port}/" if host == "127.0.0.1" and port.isdecimal() else ""


def _nav(request: HttpRequest) -> Iterator[dict[str, object]]:
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated or not user.is_approved:
        return
    links = []
    if user.can("read_studies"):
        links.append((_("Studies"), reverse("home")))
    if user.can("protocols"):
        links.append((_("Protocols"), reverse("protocols")))
    if user.can("read_studies") or user.can("administer_trust"):
        links.append((_("Erasures"), reverse("erasures")))
    if user.can("read_studies") or user.can("administer_trust"):
        links.append((_("Research"), reverse("project_requests")))
    if user.can("research"):
        links.append((_("Cohorts"), reverse("research")))
    if user.is_staff:
        links.append((_("Administration"), reverse("admin:index")))
    for label, url in links:
        yield {"label": label, "url": url, "current": request.path == url}

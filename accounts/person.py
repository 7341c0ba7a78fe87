"""The person behind a request, for views that only signed-in people reach."""

from __future__ import annotations

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest

from accounts.models import User


def person(request: HttpRequest) -> User:
    """Who is signed in. LoginRequiredMiddleware lets nobody else come as far as such a view."""
    if not isinstance(request.user, User):
        raise PermissionDenied
    return request.user

"""Refusals are recorded in one place: whoever asks for what is not theirs leaves a line."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from accounts import audit
from accounts.models import User

#: The kinds of id that name an object in an address.
_IDS = ("public_id", "object_id")


class RefusalsMiddleware:
    """Outside of the approval's middleware, so that its answers are seen too.

    What is another's and what is nobody's leave the same line: the record does not tell whether
    there was something to refuse, and neither does the time that writing it takes.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        match = request.resolver_match
        if match is None or response.status_code not in (302, 403, 404):
            return response  # an address that the site does not have refuses nobody
        user = request.user
        if isinstance(user, User) and _refused(user, match.view_name, response):
            asked = next((str(match.kwargs[name]) for name in _IDS if name in match.kwargs), "")
            audit.record_refusal(
                user,
                view=match.view_name[:60],
                asked=asked[:26],
                method=(request.method or "")[:10],
                status=response.status_code,
            )
        return response


def _refused(user: User, view: str, response: HttpResponse) -> bool:
    if response.status_code != 302:
        return True
    held = not user.is_approved and response.headers.get("Location") == reverse("waiting")
    return held and view != "home"  # where everybody lands who signs in

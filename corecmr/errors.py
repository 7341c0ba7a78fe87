"""Error answers: a page for people, JSON for programs, and never a trace."""

from __future__ import annotations

import sys

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.template.loader import render_to_string

from corecmr.database import went_away

_CODES = {
    400: ("bad_request", "400.html"),
    403: ("forbidden", "403.html"),
    404: ("not_found", "404.html"),
    429: ("too_many_requests", "429.html"),
    500: ("server_error", "500.html"),
    503: ("unavailable", "503.html"),
}
#: When something is broken, nothing is asked that may be broken too: neither session nor person.
_ALONE = frozenset({500, 503})
#: A browser or a program may try again after so many seconds.
RETRY_AFTER_SECONDS = 5


def wants_json(request: HttpRequest) -> bool:
    """Whether a program asks: it says so, or it uses the API."""
    if request.path.startswith("/api/"):
        return True
    return request.accepts("application/json") and not request.accepts("text/html")


def _answer(request: HttpRequest, status: int, **context: object) -> HttpResponse:
    code, template = _CODES[status]
    identifier = getattr(request, "request_id", "")
    if wants_json(request):
        return JsonResponse({"error": code, "id": identifier}, status=status)
    told = {"request_id": identifier, **context}
    if status in _ALONE:
        return HttpResponse(render_to_string(template, told), status=status)
    return render(request, template, told, status=status)


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return _answer(request, 400)


def permission_denied(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return _answer(request, 403)


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return _answer(request, 404)


def too_many_attempts(request: HttpRequest) -> HttpResponse:
    """For allauth, which counts attempts and asks for the handler of this number."""
    return _answer(request, 429)


def server_error(request: HttpRequest) -> HttpResponse:
    """The page for a fault of ours; where only the database is away, that the site is busy."""
    error = sys.exc_info()[1]
    if isinstance(error, Exception) and went_away(error):
        return unavailable(request)
    return _answer(request, 500)


def unavailable(request: HttpRequest) -> HttpResponse:
    response = _answer(request, 503)
    response["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return response


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    return _answer(request, 403, stale_form=True)

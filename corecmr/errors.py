"""Error answers: a page for people, JSON for programs, and never a trace."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render

_CODES = {
    400: ("bad_request", "400.html"),
    403: ("forbidden", "403.html"),
    404: ("not_found", "404.html"),
    429: ("too_many_requests", "429.html"),
    500: ("server_error", "500.html"),
}


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
    return render(request, template, {"request_id": identifier, **context}, status=status)


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
    return _answer(request, 500)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    return _answer(request, 403, stale_form=True)

"""What every answer carries: a request id, headers that keep pages out of caches, little weight."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from wsgiref.headers import Headers

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.middleware.gzip import GZipMiddleware

from corecmr import errors, logs

SIGN_OUT = frozenset({"/accounts/logout/", "/admin/logout/"})
GetResponse = Callable[[HttpRequest], HttpResponse]


class RequestIdMiddleware:
    """Our own id for each request, in the log and in the answer; never one the client sent."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        identifier = secrets.token_hex(8)
        request.request_id = identifier  # type: ignore[attr-defined]
        token = logs.request_id.set(identifier)
        try:
            response = self.get_response(request)
        finally:
            logs.request_id.reset(token)
        response["X-Request-ID"] = identifier
        return response


def _waited(came: str) -> float:
    """Seconds since a request came; 0 where that is not told.

    Proxies tell it in milliseconds (Caddy), or in seconds with an "s" behind, as our nginx.conf
    makes of what nginx knows.
    """
    told = came.removeprefix("t=")
    try:
        at = float(told[:-1]) if told.endswith("s") else float(told) / 1000
    except ValueError:
        return 0.0
    return time.time() - at


class ShedMiddleware:
    """Answers at once that the site is busy where a request has waited too long for its turn.

    Its reader has given up or pressed again by then; the work that it would cost is better spent on
    those who still wait. When it came is told by the proxy (X-Request-Start, milliseconds), and
    believed only where there is one.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        limit = settings.SHED_AFTER_SECONDS
        if limit and settings.ALLAUTH_TRUSTED_PROXY_COUNT:
            waited = _waited(request.headers.get("X-Request-Start", ""))
            if waited > limit:
                return errors.unavailable(request)
        return self.get_response(request)


class PrivacyHeadersMiddleware:
    """Pages are private: not cached, not indexed, and without the browser's sensors."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        response.setdefault("Cache-Control", "no-store")
        response.setdefault(
            "Permissions-Policy",
            "camera=(), geolocation=(), microphone=(), payment=(), usb=(), "
            "publickey-credentials-get=(self), publickey-credentials-create=(self)",
        )
        response.setdefault("Cross-Origin-Resource-Policy", "same-origin")
        response.setdefault("Cross-Origin-Embedder-Policy", "require-corp")
        if request.path in SIGN_OUT and request.method == "POST":
            # The browser forgets what it kept, so that "Back" shows nothing.
            response["Clear-Site-Data"] = '"cache", "storage"'
        if request.path != "/":
            response.setdefault("X-Robots-Tag", "noindex, nofollow")
        return response


def static_headers(headers: Headers, path: str, url: str) -> None:
    """For files that WhiteNoise serves: a page that embeds nothing foreign has such workers too."""
    headers["Cross-Origin-Embedder-Policy"] = "require-corp"
    headers["Cross-Origin-Resource-Policy"] = "same-origin"


class CompressedPagesMiddleware(GZipMiddleware):
    """Pages go compressed, padded at random so that their length tells nothing (BREACH).

    Only pages: films are asked for in parts, which compression would shift, and are small already.
    """

    def process_response(
        self, request: HttpRequest, response: HttpResponseBase
    ) -> HttpResponseBase:
        kind = response.get("Content-Type", "")
        if response.streaming or not kind.startswith("text/html"):
            return response
        return super().process_response(request, response)

"""What every answer carries: a request id, headers that keep pages out of caches, little weight."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from wsgiref.headers import Headers

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.middleware.gzip import GZipMiddleware

from corecmr import logs

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

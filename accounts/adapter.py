"""allauth's adapter: what is put on record, and which address limits are counted by."""

from __future__ import annotations

import ipaddress
from contextlib import suppress
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from django.conf import settings
from django.http import HttpRequest

from accounts import audit

#: A web server behind a Unix socket knows no neighbour's address.
_NOWHERE = "0.0.0.0"  # noqa: S104


class AccountAdapter(DefaultAccountAdapter):
    """Sign-in is recorded; access is decided by GateMiddleware at every request."""

    def post_login(self, request: HttpRequest, user: Any, **kwargs: Any) -> Any:
        audit.record(user, "account.sign_in", user)
        return super().post_login(request, user, **kwargs)

    def authentication_failed(self, request: HttpRequest, **credentials: Any) -> None:
        audit.record(None, "account.sign_in_failed")
        super().authentication_failed(request, **credentials)

    def get_client_ip(self, request: HttpRequest) -> str:
        """The address that the outermost trusted proxy saw.

        What stands further left in the header was written by whoever asks. With fewer entries
        than trusted proxies the request did not come through them all: then the next neighbour
        counts.
        """
        trusted = settings.ALLAUTH_TRUSTED_PROXY_COUNT
        hops = request.headers.get("X-Forwarded-For", "").split(",")
        told = hops[-trusted] if 0 < trusted <= len(hops) else ""
        for text in (told, request.META["REMOTE_ADDR"]):
            with suppress(ValueError):
                return str(ipaddress.ip_address(text.strip()))
        return _NOWHERE

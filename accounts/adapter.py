"""allauth's adapter: a person who is not approved gets as far as the waiting page."""

from __future__ import annotations

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from django.http import HttpRequest

from accounts import audit


class AccountAdapter(DefaultAccountAdapter):
    """Sign-in is recorded; access is decided by ApprovedOnlyMiddleware at every request."""

    def post_login(self, request: HttpRequest, user: Any, **kwargs: Any) -> Any:
        audit.record(user, "account.sign_in", user)
        return super().post_login(request, user, **kwargs)

    def authentication_failed(self, request: HttpRequest, **credentials: Any) -> None:
        audit.record(None, "account.sign_in_failed")
        super().authentication_failed(request, **credentials)

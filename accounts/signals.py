"""What allauth and Django tell of, put on record; and both clocks of a new session."""

from __future__ import annotations

from typing import Any

from allauth.account import signals as account
from allauth.mfa import signals as mfa
from django.contrib.auth.signals import user_logged_in, user_logged_out

from accounts import audit, notices, sessions

_RECORDED = (
    (account.password_changed, "account.password_change"),
    (account.password_set, "account.password_change"),
    (account.password_reset, "account.password_reset"),
    (account.email_changed, "account.email_change"),
    (account.email_added, "account.email_add"),
    (account.email_removed, "account.email_remove"),
    (mfa.authenticator_added, "account.factor_add"),
    (mfa.authenticator_removed, "account.factor_remove"),
    (mfa.authenticator_reset, "account.factor_renew"),
    (mfa.authentication_failed, "account.factor_failed"),
)


def connect() -> None:
    """Called once, when the app is ready."""
    for signal, verb in _RECORDED:
        signal.connect(_recorder(verb), weak=False, dispatch_uid=f"record {verb} {id(signal)}")
    user_logged_in.connect(_begin, dispatch_uid="begin session")
    user_logged_out.connect(_ended, dispatch_uid="record sign-out")
    account.email_confirmed.connect(_confirmed, dispatch_uid="tell administrators")


def _recorder(verb: str) -> Any:
    def record(sender: Any, **told: Any) -> None:
        user, factor = told.get("user"), told.get("authenticator")
        detail = {"type": factor.type} if factor is not None else {}
        audit.record(user, verb, user, **detail)

    return record


def _begin(sender: Any, request: Any, **told: Any) -> None:
    sessions.begin(request.session)


def _ended(sender: Any, request: Any, user: Any, **told: Any) -> None:
    if user is not None:
        by_limit = getattr(request, "ended_by", "") == "limit"
        audit.record(user, "account.session_ended" if by_limit else "account.sign_out", user)


def _confirmed(sender: Any, email_address: Any, **told: Any) -> None:
    notices.somebody_waits(email_address.user)

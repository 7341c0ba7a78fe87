"""Keys for programs: made, taken back, and turned into the person they stand for."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from datetime import timedelta

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import audit, mfa
from accounts.models import ApiToken, Policy, User

#: What a key begins with: a scanner for leaked secrets finds it.
PREFIX = "corecmr_"
MOST_DAYS = 365
DEFAULT_DAYS = 90
MOST_LIVE = 20


class TokenError(Exception):
    """Why no key was made; the text is for the person who asked."""


def create(user: User, *, name: str, scopes: Iterable[str], days: int) -> tuple[ApiToken, str]:
    """A new key, and its text, which is told this once."""
    live = user.api_tokens.filter(revoked_at=None, expires_at__gt=timezone.now())
    if live.count() >= MOST_LIVE:
        raise TokenError(
            _("You have %(most)s keys already. Take one back first.") % {"most": MOST_LIVE}
        )
    key = PREFIX + secrets.token_urlsafe(32)
    with transaction.atomic():
        token = ApiToken.objects.create(
            user=user, name=name, digest=_digest(key), scopes=sorted(scopes),
            expires_at=timezone.now() + timedelta(days=days),
        )  # fmt: skip
        audit.record(user, "token.create", token, days=days, scopes=" ".join(token.scopes))
    return token, key


def revoke(token: ApiToken) -> None:
    """Take a key back at once; doing it twice is one."""
    with transaction.atomic():
        if ApiToken.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=timezone.now()):
            audit.record(token.user, "token.revoke", token)


def owner_of(key: str) -> ApiToken | None:
    """The live key with this text, if its person may use the site at this moment.

    What a session is held back by holds a key back too: approval, consent, second factor.
    """
    token = ApiToken.objects.select_related("user").filter(digest=_digest(key)).first()
    if token is None or not token.is_live:
        return None
    user = token.user
    if not user.is_active or not user.is_approved:
        return None
    if Policy.outstanding(user) or mfa.is_missing(user):
        return None
    today = timezone.localdate()
    if token.used_on != today:
        ApiToken.objects.filter(pk=token.pk).update(used_on=today)
    return token


def _digest(key: str) -> str:
    # The key itself is random and long: a slow hash would protect nothing.
    return hashlib.sha256(key.encode()).hexdigest()

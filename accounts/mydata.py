"""What the site keeps about a person, for themselves."""

from __future__ import annotations

from typing import Any

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession

from accounts.models import AuditEvent, Feedback, User

_FIELDS = (
    "public_id", "email", "name", "status", "professional_number", "telephone", "time_zone",
    "in_directory", "shows_email", "shows_telephone", "mail_when_waiting", "mail_digest",
    "requested_role", "decision_reason",
)  # fmt: skip


def of(user: User) -> dict[str, Any]:
    """Everything but secrets: the password and the keys of the second factor are not readable."""
    return {
        "person": {name: getattr(user, name) for name in _FIELDS}
        | {
            "registered": user.joined_at,
            "last_sign_in": user.last_login,
            "decided": user.decided_at,
            "requested_trust": str(user.requested_trust or ""),
        },
        "addresses": list(
            EmailAddress.objects.filter(user=user).values("email", "verified", "primary")
        ),
        "roles": [
            {"role": one.role, "trust": str(one.trust or ""), "since": one.since}
            for one in user.memberships.select_related("trust")
        ],
        "keys_for_programs": list(
            user.api_tokens.values("name", "scopes", "created_at", "expires_at", "used_on")
        ),
        # Of the app above this one; by its name on the person alone.
        "notifications": list(user.notifications.values("kind", "created_at", "read_at")),
        "feedback": list(Feedback.objects.filter(by=user).values("at", "text")),
        "accepted": [
            {
                "policy": one.policy.kind,
                "version": one.policy.version,
                "at": one.accepted_at,
            }
            for one in user.consents.select_related("policy")
        ],
        "second_factors": list(
            Authenticator.objects.filter(user=user).values("type", "created_at", "last_used_at")
        ),
        "sessions": list(
            UserSession.objects.filter(user=user).values("created_at", "ip", "user_agent")
        ),
        "record": list(
            AuditEvent.objects.filter(actor=user.public_id)
            .order_by("pk")
            .values("at", "verb", "object_type", "object_id", "detail")
        ),
    }

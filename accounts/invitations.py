"""Invitations: a signed link to the registration form, filled in beforehand. It opens nothing.

Nothing is stored: the link holds who invites whom, to which trust and role, and ends by itself.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.core import signing
from django.core.mail import send_mail

from accounts import audit
from accounts.letters import letter
from accounts.models import Trust, User
from accounts.roles import REQUESTABLE, Role

DAYS = 14
_SALT = "corecmr.invitation"


@dataclass(frozen=True)
class Invitation:
    email: str
    role: str
    trust: Trust | None
    by: User


def token(email: str, *, by: User, role: str) -> str:
    trust = by.trust.public_id if by.trust else ""
    content = {"email": email, "role": role, "trust": trust, "by": by.public_id}
    return signing.dumps(content, salt=_SALT)


def send(email: str, *, by: User, role: str, link: str) -> None:
    """Mail the link. Whether the address has an account already is not told to anybody."""
    context = {"by": by, "role": Role(role).label, "trust": by.trust, "link": link, "days": DAYS}
    subject, body = letter("accounts/mail/invitation", **context)
    send_mail(subject, body, None, [email])
    audit.record(by, "account.invite", role=role)


def read(text: str) -> Invitation | None:
    """What the link says; None if it is forged, too old, or its sender is gone."""
    try:
        content = signing.loads(text, salt=_SALT, max_age=DAYS * 24 * 60 * 60)
    except signing.BadSignature:
        return None
    by = User.objects.filter(public_id=content["by"], status=User.Status.APPROVED).first()
    if by is None or content["role"] not in REQUESTABLE:
        return None
    trust = Trust.objects.filter(public_id=content["trust"]).first()
    return Invitation(content["email"], content["role"], trust, by)

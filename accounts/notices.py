"""Mail that people chose to get, and what each administrator must hear."""

from __future__ import annotations

import logging

from django.core.mail import send_mail
from django.db import transaction
from django.db.models import Q

from accounts.letters import letter
from accounts.models import User
from accounts.roles import Role

log = logging.getLogger(__name__)


def tell_administrators(subject: str, body: str) -> None:
    """Mail to each administrator of the site; what cannot be sent is put in the log."""
    for administrator in User.objects.who_may("administer"):
        try:
            send_mail(subject, body, None, [administrator.email])
        except OSError as error:
            log.error("an administrator was not told: %s", type(error).__name__)


def somebody_waits(user: User) -> None:
    """Tell those who may approve ``user``, if they want to be told."""
    if user.status != User.Status.PENDING:
        return
    may = Q(memberships__role=Role.ADMINISTRATOR)
    if user.requested_trust is not None:
        may |= Q(
            memberships__role=Role.TRUST_ADMINISTRATOR, memberships__trust=user.requested_trust
        )
    told = User.objects.filter(
        may, status=User.Status.APPROVED, is_active=True, mail_when_waiting=True
    ).distinct()
    addresses = list(told.values_list("email", flat=True))
    subject, body = letter("accounts/mail/waiting", user=user)

    def send() -> None:
        for address in addresses:  # one by one, so that nobody sees the others
            send_mail(subject, body, None, [address])

    transaction.on_commit(send)

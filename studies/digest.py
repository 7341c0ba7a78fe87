"""A mail a day of what is new, to those who want it: counts only, no study and no link."""

from __future__ import annotations

from datetime import datetime

from django.core.mail import send_mail
from django.db.models import Count
from django.utils import timezone

from accounts.letters import letter
from accounts.models import User
from studies import notifications, questions
from studies.models import Notification


def send(now: datetime | None = None) -> int:
    """Mail everybody for whom something is new since their last mail; says how many were sent."""
    now = now or timezone.now()
    people = User.objects.filter(
        mail_digest=True, status=User.Status.APPROVED, is_active=True
    ).order_by("pk")
    return sum(_to(user, now) for user in people)


def _to(user: User, now: datetime) -> bool:
    fresh = notifications.of(user).filter(read_at=None)
    if user.digest_sent_at is not None:
        fresh = fresh.filter(created_at__gt=user.digest_sent_at)
    held = dict(fresh.order_by().values_list("kind").annotate(Count("pk")))
    if not held:
        return False
    lines = [(Notification.Kind(kind).label, count) for kind, count in sorted(held.items())]
    subject, body = letter(
        "studies/mail/digest",
        lines=lines, waiting=questions.open_for(user).count(), overdue=questions.overdue(user),
    )  # fmt: skip
    # First the mail: one that could not be sent is tried again the next day.
    send_mail(subject, body, None, [user.email])
    User.objects.filter(pk=user.pk).update(digest_sent_at=now)
    return True

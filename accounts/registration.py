"""Approve, refuse, suspend, reactivate: the only writers of an account's status."""

from __future__ import annotations

from django.core.mail import send_mail
from django.db import transaction
from django.template.loader import render_to_string
from django.utils import timezone

from accounts import audit
from accounts.models import Consent, Membership, Policy, Trust, User
from accounts.roles import Role


class RegistrationError(Exception):
    """Why a decision about an account could not be taken; the text is for the administrator."""


@transaction.atomic
def register(user: User, *, name: str, trust: Trust, role: str) -> None:
    """Note what a new person asks for, and which policies were accepted."""
    user.name = name
    user.requested_trust = trust
    user.requested_role = role
    user.save(update_fields=["name", "requested_trust", "requested_role"])
    for kind in Policy.Kind.values:
        policy = Policy.current(kind)
        Consent.objects.get_or_create(user=user, policy=policy)
        audit.record(user, "policy.accept", user, kind=kind, version=policy.version)
    audit.record(user, "account.register", user, role=role)


def approve(user: User, *, by: User, trust: Trust | None = None, role: str = "") -> None:
    """Give ``user`` a role in a trust (what was asked for, unless told otherwise)."""
    role = role or user.requested_role
    trust = trust or user.requested_trust
    if role not in Role.values:
        raise RegistrationError(f"{user.email} asked for no role. Choose one first.")
    if trust is None and role != Role.ADMINISTRATOR:
        raise RegistrationError(f"{user.email} asked for no trust. Choose one first.")
    with transaction.atomic():
        locked = User.objects.select_for_update().get(pk=user.pk)
        Membership.objects.update_or_create(user=locked, role=role, defaults={"trust": trust})
        _move(locked, User.Status.APPROVED, by, role=role)
        _tell(locked, "approved")


def refuse(user: User, *, by: User, reason: str = "") -> None:
    """Turn a registration down; the person is told, with the reason if one is given."""
    with transaction.atomic():
        locked = User.objects.select_for_update().get(pk=user.pk)
        if locked.status != User.Status.PENDING:
            raise RegistrationError(
                f"{locked.email} is not waiting for approval. Suspend the account instead."
            )
        _move(locked, User.Status.REFUSED, by)
        _tell(locked, "refused", reason=reason)


def suspend(user: User, *, by: User) -> None:
    """Take access away; it works at the person's next request."""
    if user.pk == by.pk:
        raise RegistrationError("You cannot suspend your own account. Ask another administrator.")
    with transaction.atomic():
        _move(User.objects.select_for_update().get(pk=user.pk), User.Status.SUSPENDED, by)


def _move(user: User, status: User.Status, by: User, **detail: str) -> None:
    before = user.status
    user.status = status
    user.decided_at = timezone.now()
    user.save(update_fields=["status", "decided_at"])
    audit.record(by, f"account.{status.value}", user, before=before, **detail)


def _tell(user: User, what: str, **context: object) -> None:
    """The mail goes out only if the decision is committed."""
    body = render_to_string(f"accounts/mail/{what}.txt", {"user": user, **context})
    subject = render_to_string(f"accounts/mail/{what}_subject.txt").strip()
    transaction.on_commit(lambda: send_mail(subject, body, None, [user.email]))

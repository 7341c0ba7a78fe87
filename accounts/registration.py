"""Who gets in: the only writers of an account's status and of its roles.

Every decision checks here whether its maker may take it, locks the people it concerns, and leaves
its line in the record inside the same transaction.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.core.mail import send_mail
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import audit, sessions
from accounts.letters import letter
from accounts.models import Appointment, Consent, Membership, Policy, Trust, User
from accounts.roles import APPOINTED, Role

#: How long a request for an administrator waits for a second one.
APPOINTMENT_DAYS = 14


class RegistrationError(Exception):
    """Why a decision about an account could not be taken; the text is for the administrator."""


@transaction.atomic
def register(
    user: User,
    *,
    name: str,
    trust: Trust,
    role: str,
    professional_number: str = "",
    invited_by: User | None = None,
) -> None:
    """Note what a new person asks for, and which policies were accepted."""
    user.name = name
    user.requested_trust = trust
    user.requested_role = role
    user.professional_number = professional_number
    user.invited_by = invited_by
    user.save(
        update_fields=[
            "name", "requested_trust", "requested_role", "professional_number", "invited_by",
        ]
    )  # fmt: skip
    accept_policies(user)
    inviter = {"invited_by": invited_by.public_id} if invited_by else {}
    audit.record(user, "account.register", user, role=role, **inviter)


@transaction.atomic
def accept_policies(user: User) -> None:
    """Note that ``user`` accepts every policy as it stands now."""
    for policy in Policy.outstanding(user):
        Consent.objects.get_or_create(user=user, policy=policy)
        audit.record(user, "policy.accept", user, kind=policy.kind, version=policy.version)


def approve(user: User, *, by: User, trust: Trust | None = None, role: str = "") -> None:
    """Give ``user`` a role in a trust (what was asked for, unless told otherwise)."""
    role = role or user.requested_role
    trust = trust or user.requested_trust
    if role not in Role.values:
        raise RegistrationError(_("%s asked for no role. Choose one first.") % user.email)
    if role in APPOINTED:
        raise RegistrationError(
            _(
                "%s: an administrator is made by two administrators. Ask for it on the person's "
                "page; a second administrator then confirms."
            )
            % user.email
        )
    if trust is None:
        raise RegistrationError(_("%s asked for no trust. Choose one first.") % user.email)
    with transaction.atomic():
        locked, decider = _lock(user, by)
        _check_authority(decider, locked, trust)
        _refuse_closed(locked)
        _check_one_trust(locked, trust)
        Membership.objects.update_or_create(user=locked, role=role, defaults={"trust": trust})
        _move(locked, User.Status.APPROVED, by, role=role)
        _tell(locked, "approved")


def refuse(user: User, *, by: User, reason: str = "") -> None:
    """Turn a registration down; the person is told, with the reason if one is given."""
    with transaction.atomic():
        locked, decider = _lock(user, by)
        _check_authority(decider, locked)
        if locked.status != User.Status.PENDING:
            raise RegistrationError(
                _("%s is not waiting for approval. Suspend the account instead.") % locked.email
            )
        _move(locked, User.Status.REFUSED, by, reason)
        _tell(locked, "refused", reason=reason)


def suspend(user: User, *, by: User, reason: str = "") -> None:
    """Take access away; it works at the person's next request.

    Who was an administrator is none any more: only two administrators can give that back.
    """
    if user.pk == by.pk:
        raise RegistrationError(
            _("You cannot suspend your own account. Ask another administrator.")
        )
    with transaction.atomic():
        locked, decider = _lock(user, by)
        _check_authority(decider, locked)
        _refuse_closed(locked)
        Membership.objects.filter(user=locked, role__in=APPOINTED).delete()
        _move(locked, User.Status.SUSPENDED, by, reason)


def reactivate(user: User, *, by: User) -> None:
    """Let a suspended person in again, with the roles that were left."""
    with transaction.atomic():
        locked, decider = _lock(user, by)
        _check_authority(decider, locked)
        if locked.status != User.Status.SUSPENDED:
            raise RegistrationError(_("%s is not suspended.") % locked.email)
        if not Membership.objects.filter(user=locked).exists():
            raise RegistrationError(
                _("%s has no role any more. Approve with a role.") % locked.email
            )
        _move(locked, User.Status.APPROVED, by)
        _tell(locked, "approved")


def move_trust(user: User, *, by: User, trust: Trust) -> None:
    """All roles of ``user`` are in ``trust`` from now on; studies stay with the trust they are of.

    Who administered the old trust does not administer the new one.
    """
    with transaction.atomic():
        locked, decider = _lock(user, by)
        _check_authority(decider, locked, trust)
        _refuse_closed(locked)
        before = locked.trust
        if before is None:
            raise RegistrationError(_("%s belongs to no trust. Approve with one.") % locked.email)
        if before == trust:
            raise RegistrationError(
                _("%(who)s is at %(trust)s already.") % {"who": locked.email, "trust": trust}
            )
        held = Membership.objects.filter(user=locked, trust__isnull=False)
        held.filter(role=Role.TRUST_ADMINISTRATOR).delete()
        held.update(trust=trust)
        if not Membership.objects.filter(user=locked).exists():
            raise RegistrationError(_("%s would be left without a role.") % locked.email)
        audit.record(
            by, "account.move_trust", locked, before=before.public_id, after=trust.public_id
        )


def give_role(user: User, *, by: User, role: str) -> None:
    """One more role in the person's trust; roles add up."""
    with transaction.atomic():
        locked, decider = _lock(user, by)
        _check_authority(decider, locked)
        _refuse_closed(locked)
        if role in APPOINTED or role not in Role.values:
            raise RegistrationError(_("An administrator is made by two administrators."))
        if locked.trust is None:
            raise RegistrationError(_("%s belongs to no trust. Approve with one.") % locked.email)
        Membership.objects.get_or_create(user=locked, role=role, defaults={"trust": locked.trust})
        audit.record(by, "account.give_role", locked, role=role)


def take_role(user: User, *, by: User, role: str) -> None:
    """One role less. Nobody takes their own administration away by mistake."""
    with transaction.atomic():
        locked, decider = _lock(user, by)
        _check_authority(decider, locked)
        if locked.pk == by.pk and role in APPOINTED:
            raise RegistrationError(_("Ask another administrator to end your own administration."))
        Membership.objects.filter(user=locked, role=role).delete()
        audit.record(by, "account.take_role", locked, role=role)


def remove_factors(user: User, *, by: User) -> None:
    """For who has lost device and recovery codes: at the next sign-in new ones are set up.

    The password stays, and whoever is signed in as this person is signed out.
    """
    if user.pk == by.pk:
        raise RegistrationError(_("Remove your own second factor on your account page."))
    with transaction.atomic():
        locked, decider = _lock(user, by)
        _check_authority(decider, locked)
        removed, _models = Authenticator.objects.filter(user=locked).delete()
        sessions.end_all(locked)
        audit.record(by, "account.factors_removed", locked, count=removed)
        _tell(locked, "factors_removed")


# --- administrators: two of them make one --------------------------------------------------------


def ask_for_administrator(
    user: User, *, by: User, role: str = Role.ADMINISTRATOR, trust: Trust | None = None
) -> Appointment:
    """The first of two steps: ``by`` wants ``user`` to be an administrator."""
    if role not in APPOINTED:
        raise RegistrationError(_("This role needs no second administrator."))
    with transaction.atomic():
        locked, decider = _lock(user, by)
        _check_appointer(decider, role, trust)
        _refuse_closed(locked)
        if (role == Role.TRUST_ADMINISTRATOR) == (trust is None):
            raise RegistrationError(
                _("A trust administrator is of one trust, an administrator of none.")
            )
        if trust is not None:
            _check_one_trust(locked, trust)
        _check_address(locked)
        oldest = timezone.now() - timedelta(days=APPOINTMENT_DAYS)
        lapsed = Appointment.objects.filter(
            user=locked, role=role, outcome=Appointment.Outcome.OPEN, requested_at__lt=oldest
        )
        lapsed.update(outcome=Appointment.Outcome.DECLINED, decided_at=timezone.now())
        try:
            with transaction.atomic():
                appointment = Appointment.objects.create(
                    user=locked, role=role, trust=trust, requested_by=decider
                )
        except IntegrityError:
            raise RegistrationError(
                _("It was asked for already. Another administrator confirms %s.") % locked.email
            ) from None
        audit.record(by, "appointment.request", appointment, role=role, user=locked.public_id)
        return appointment


def confirm_administrator(appointment: Appointment, *, by: User) -> None:
    """The second step, by somebody else, while the first one is still an administrator."""
    with transaction.atomic():
        asked = _lock_appointment(appointment)
        locked, decider, requester = _lock(asked.user, by, asked.requested_by)
        if decider.pk in {requester.pk, locked.pk}:
            raise RegistrationError(
                _("It takes a second administrator: neither who asked for it nor the person.")
            )
        if asked.requested_at < timezone.now() - timedelta(days=APPOINTMENT_DAYS):
            raise RegistrationError(_("This request is too old. Ask for it again."))
        for appointer in (decider, requester):
            _check_appointer(appointer, asked.role, asked.trust)
        _refuse_closed(locked)
        if asked.trust is not None:
            _check_one_trust(locked, asked.trust)
        _settle(asked, decider, Appointment.Outcome.CONFIRMED)
        Membership.objects.update_or_create(
            user=locked, role=asked.role, defaults={"trust": asked.trust}
        )
        audit.record(
            by, "appointment.confirm", asked, role=asked.role, user=locked.public_id,
            requested_by=requester.public_id,
        )  # fmt: skip
        _move(locked, User.Status.APPROVED, by, role=asked.role)
        _tell(locked, "approved")


def decline_administrator(appointment: Appointment, *, by: User) -> None:
    """Turn a request down; who asked for it may take it back like this."""
    with transaction.atomic():
        asked = _lock_appointment(appointment)
        (decider,) = _lock(by)
        _check_appointer(decider, asked.role, asked.trust)
        _settle(asked, decider, Appointment.Outcome.DECLINED)
        audit.record(by, "appointment.decline", asked, role=asked.role)


def _lock_appointment(appointment: Appointment) -> Appointment:
    asked = Appointment.objects.select_for_update().get(pk=appointment.pk)
    if asked.outcome != Appointment.Outcome.OPEN:
        raise RegistrationError(_("This request has been decided already."))
    return asked


def _settle(asked: Appointment, by: User, outcome: Appointment.Outcome) -> None:
    asked.outcome = outcome
    asked.decided_by = by
    asked.decided_at = timezone.now()
    asked.save(update_fields=["outcome", "decided_by", "decided_at"])


# --- the end of an account -----------------------------------------------------------------------


def close(user: User) -> None:
    """The person's own wish: no way in is left and nothing that names them but in the record.

    The row stays, nameless, because studies and shares say who sent them. The record holds no
    names, so it stays as it is.
    """
    with transaction.atomic():
        (locked,) = _lock(user)
        _refuse_closed(locked)
        others = User.objects.who_may("administer").exclude(pk=locked.pk)
        if locked.can("administer") and others.count() < 2:
            raise RegistrationError(
                _("You are one of the last two administrators. Find another one first.")
            )
        Membership.objects.filter(user=locked).delete()
        Authenticator.objects.filter(user=locked).delete()
        EmailAddress.objects.filter(user=locked).delete()
        Appointment.objects.filter(user=locked).delete()
        locked.email = f"closed-{locked.public_id}@closed.invalid"
        locked.name = _("Closed account")
        for field in ("telephone", "professional_number", "decision_reason"):
            setattr(locked, field, "")
        locked.in_directory = locked.shows_email = locked.shows_telephone = False
        locked.invited_by = locked.requested_trust = None
        locked.is_active = False
        locked.set_unusable_password()
        locked.save()
        _move(locked, User.Status.CLOSED, locked)
        sessions.end_all(locked)


# --- shared --------------------------------------------------------------------------------------


def _lock(*people: User) -> tuple[User, ...]:
    """The people as they are now, locked in one order so that two decisions cannot block."""
    keys = [one.pk for one in people]
    rows = User.objects.select_for_update().filter(pk__in=keys).order_by("pk")
    found = {row.pk: row for row in rows}
    return tuple(found[key] for key in keys)


def _check_authority(by: User, user: User, trust: Trust | None = None) -> None:
    """Administrators decide on everybody; those of a trust on its own people alone."""
    if by.can("administer"):
        return
    own = by.trust if by.can("administer_trust") else None
    if own is None:
        raise RegistrationError(_("Only an administrator may decide this."))
    theirs = user.trust or user.requested_trust
    if theirs != own or trust not in {None, own} or Role.ADMINISTRATOR in user.roles:
        raise RegistrationError(_("You may decide on people of %s only.") % own)


def _check_appointer(by: User, role: str, trust: Trust | None) -> None:
    if by.can("administer"):
        return
    of_trust = role == Role.TRUST_ADMINISTRATOR and by.can("administer_trust")
    if not (of_trust and trust is not None and by.trust == trust):
        raise RegistrationError(_("Only administrators make administrators."))


def _check_one_trust(user: User, trust: Trust) -> None:
    if user.trust is not None and user.trust != trust:
        raise RegistrationError(
            _("%(who)s is at %(trust)s. Move the person first.")
            % {"who": user.email, "trust": user.trust}
        )


def _check_address(user: User) -> None:
    if not EmailAddress.objects.filter(user=user, verified=True).exists():
        raise RegistrationError(_("%s has not been confirmed by its owner.") % user.email)


def _refuse_closed(user: User) -> None:
    if user.status == User.Status.CLOSED:
        raise RegistrationError(_("This account has been closed by its owner."))


def _move(user: User, status: User.Status, by: User, reason: str = "", **detail: str) -> None:
    before = user.status
    user.status = status
    user.decided_at = timezone.now()
    user.decision_reason = reason[:300]
    user.save(update_fields=["status", "decided_at", "decision_reason"])
    audit.record(by, f"account.{status.value}", user, before=before, **detail)


def _tell(user: User, what: str, **context: Any) -> None:
    """The mail goes out only if the decision is committed."""
    subject, body = letter(f"accounts/mail/{what}", user=user, **context)
    transaction.on_commit(lambda: send_mail(subject, body, None, [user.email]))

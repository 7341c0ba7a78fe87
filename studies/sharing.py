"""Share a study with a person or a trust, and take it back. A share copies nothing."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import audit
from accounts.models import Trust, User
from studies import access
from studies.models import Notification, Share, Study
from studies.models.studies import AGAINST_RESEARCH
from studies.notifications import notify, people_of

DEFAULT_DAYS = 30
MOST_DAYS = 365


class SharingError(Exception):
    """Why a study could not be shared; the text is for the person who asked."""


def share(
    study: Study,
    *,
    by: User,
    to_trust: Trust | None = None,
    to_user: User | None = None,
    reason: str,
    days: int = DEFAULT_DAYS,
    may_download: bool = True,
    may_comment: bool = False,
    may_run: bool = False,
    question: str = "",
    due_on: date | None = None,
) -> Share:
    """Grant a person or a trust sight of ``study`` for ``days``.

    question: what they are asked, see ``questions``; due_on: until when, within the share's time.
    """
    access.require(by, "share", study)
    if (to_trust is None) == (to_user is None):
        raise SharingError(_("Choose a trust or a person to share with, one of the two."))
    if to_trust is not None and to_trust.pk == study.trust_id:
        raise SharingError(
            _("%(trust)s owns this study; its consultants see it already.") % {"trust": to_trust}
        )
    if to_user is not None and access.may(to_user, "manage", study):
        raise SharingError(_("This person works in the owning trust and sees the study already."))
    if not within_partners(study.trust, to_trust=to_trust, to_user=to_user):
        raise SharingError(
            _(
                "%(trust)s shares studies with its partner trusts only. Ask an administrator of "
                "your trust to add one."
            )
            % {"trust": study.trust}
        )
    if not 1 <= days <= MOST_DAYS:
        raise SharingError(_("A share lasts 1 to %(most)s days.") % {"most": MOST_DAYS})
    question = question.replace("\r\n", "\n").strip()
    if due_on is not None and not question:
        raise SharingError(_("A day until when was given, but no question. Write the question."))
    today = timezone.localdate()
    if due_on is not None and not today <= due_on <= today + timedelta(days=days):
        raise SharingError(
            _("The answer is due on a day on which the study is shared: today or within %(days)s "
              "days.") % {"days": days}
        )  # fmt: skip
    with transaction.atomic():
        grant = Share.objects.create(
            study=study,
            by=by,
            to_trust=to_trust,
            to_user=to_user,
            reason=reason,
            may_download=may_download,
            may_comment=may_comment,
            may_run=may_run,
            expires_at=timezone.now() + timedelta(days=days),
            question=question,
            due_on=due_on,
        )
        verbs = " ".join(sorted(grant.verbs))
        audit.record(by, "study.share", study, share=grant.public_id, days=days, verbs=verbs)
        kind = Notification.Kind.ASKED if question else Notification.Kind.SHARED
        notify(_receivers(grant), kind, study=study, by=by)
    return grant


def within_partners(
    trust: Trust, *, to_trust: Trust | None = None, to_user: User | None = None
) -> bool:
    """Whether ``trust`` may share with these, where it shares with partners only."""
    if not trust.partners_only:
        return True
    if to_trust is not None:
        return trust.partners.filter(pk=to_trust.pk).exists()
    return (
        to_user is not None and to_user.memberships.filter(trust__in=trust.partners.all()).exists()
    )


def revoke(grant: Share, *, by: User) -> None:
    """End a share at once; doing it twice is one."""
    access.require(by, "share", grant.study)
    with transaction.atomic():
        if Share.objects.filter(pk=grant.pk, revoked_at=None).update(revoked_at=timezone.now()):
            audit.record(by, "study.unshare", grant.study, share=grant.public_id)
            notify(_receivers(grant), Notification.Kind.UNSHARED, study=grant.study, by=by)


def _receivers(grant: Share) -> Iterable[User]:
    """Who has the share: a person, or the consultants of a trust."""
    if grant.to_user is not None:
        return [grant.to_user]
    return [] if grant.to_trust is None else people_of(grant.to_trust)


def set_research_permission(study: Study, *, by: User, allowed: bool) -> None:
    """Release a study for research, or take it back; the owning trust decides.

    Raises SharingError where the patient has said no.
    """
    access.require(by, "manage", study)
    with transaction.atomic():
        locked = Study.objects.select_for_update().get(pk=study.pk)
        if allowed and locked.research_consent in AGAINST_RESEARCH:
            raise SharingError(
                _(
                    "The patient’s record says no to research, so this study cannot be released. "
                    "If that has changed, correct the research consent in the study’s record first."
                )
            )
        if (
            Study.objects.filter(pk=study.pk)
            .exclude(research_permission=allowed)
            .update(research_permission=allowed)
        ):
            audit.record(by, "study.research_permission", study, allowed=allowed)

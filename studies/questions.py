"""A question to another trust, and its signed answer. Identity never goes along."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import audit
from accounts.models import User
from studies import access
from studies.models import Answer, Notification, Report, Share, Study
from studies.notifications import notify
from studies.segments import AHA_NAMES

MOST_CHARACTERS = 4000


class QuestionError(Exception):
    """Why an answer was not taken; the text is for the person who gave it."""


def open_for(user: User) -> QuerySet[Share]:
    """Questions that wait for the person's answer, the most urgent first."""
    return (
        access.live_shares(user)
        .exclude(question="")
        .filter(answer=None)
        .select_related("study", "study__trust", "by")
        .order_by("due_on", "created_at")
    )


def to_answer(user: User, public_id: str) -> Share | None:
    """The share whose question the person may answer or has seen answered."""
    return (
        access.live_shares(user)
        .exclude(question="")
        .filter(public_id=public_id)
        .select_related("study", "study__trust", "by")
        .first()
    )


def asked_in(study: Study) -> QuerySet[Share]:
    """All questions that were asked about a study, with their answers."""
    return (
        study.shares.exclude(question="")
        .select_related("by", "to_user", "to_trust", "answer")
        .order_by("created_at")
    )


def answers_for(report: Report) -> list[Answer]:
    """What stands in a report: all for a draft; for a signed one, what was there when signed."""
    answers = Answer.objects.filter(share__study=report.study).select_related("share")
    if report.signed_at is not None:
        answers = answers.filter(signed_at__lte=report.signed_at)
    return list(answers)


def answer(
    share: Share,
    *,
    by: User,
    finding: str,
    quality: str,
    segments: Iterable[int] = (),
    text: str = "",
) -> Answer:
    """Sign the answer to a share's question: once, by one who has the share at this moment.

    Raises QuestionError.
    """
    text = text.replace("\r\n", "\n").strip()
    numbers = sorted(set(segments))
    if to_answer(by, share.public_id) is None:
        raise QuestionError(
            _("The study is no longer shared with you, so that no answer can be given.")
        )
    if finding == Answer.Finding.DEFECT and not numbers and not text:
        raise QuestionError(_("Say where the defect is: choose segments, or write it down."))
    if len(text) > MOST_CHARACTERS:
        raise QuestionError(
            _("The answer may have %(most)s characters. Shorten it.") % {"most": MOST_CHARACTERS}
        )
    if not set(numbers) <= set(AHA_NAMES):
        raise QuestionError(_("There is no such segment. Choose from 1 to 16."))
    with transaction.atomic():
        # The share's row is the lock: of two colleagues who answer at once one comes first.
        locked = Share.objects.select_for_update().get(pk=share.pk)
        if Answer.objects.filter(share=locked).exists():
            raise QuestionError(
                _("A colleague has answered this question already. Say more in a comment.")
            )
        newest = share.study.results.only("number").first()
        given = Answer.objects.create(
            share=locked, finding=finding, quality=quality, segments=numbers, text=text,
            result_number=newest.number if newest else None,
            signed_by=by, signed_name=str(by), signed_trust=str(by.trust or ""),
            asked_name=str(share.by or ""),
        )  # fmt: skip
        audit.record(by, "question.answer", share.study, share=share.public_id)
        if share.by is not None:
            notify([share.by], Notification.Kind.ANSWERED, study=share.study, by=by)
    return given


def is_overdue(share: Share) -> bool:
    return share.due_on is not None and share.due_on < timezone.localdate()


def overdue(user: User) -> int:
    today = timezone.localdate()
    return open_for(user).filter(Q(due_on__lt=today)).count()

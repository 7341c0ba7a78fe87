"""What waits for a person: questions, uploads, failed analyses, drafts, comments that call."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import cast

from django.db.models import Exists, OuterRef, Q
from django.urls import reverse
from django.utils.translation import gettext as _

from accounts.models import User
from processing import states
from processing.models import Run
from studies import access, questions
from studies.models import Notification, Report, Study, Upload

#: Of each kind; what is more stands in the list below it.
_MOST = 10


@dataclass(frozen=True)
class Need:
    """One thing to do: what, where, and until when. detail: a plain reason, if there is one."""

    text: str
    address: str
    reference: str = ""
    detail: str = ""
    due_on: date | None = None
    is_overdue: bool = False


def of(user: User) -> list[Need]:
    """What waits for ``user``, the most pressing first."""
    return [*_questions(user), *_uploads(user), *_failed(user), *_drafts(user), *_calls(user)]


def _questions(user: User) -> list[Need]:
    return [
        Need(
            _("Question from %(trust)s") % {"trust": share.study.trust},
            reverse("question", args=[share.public_id]),
            share.study.reference,
            share.question.splitlines()[0][:160],
            share.due_on,
            questions.is_overdue(share),
        )
        for share in questions.open_for(user)[:_MOST]
    ]


def _uploads(user: User) -> list[Need]:
    return [
        Need(_("An upload has a question for you"), reverse("upload", args=[upload.public_id]))
        for upload in Upload.objects.filter(user=user, state=Upload.State.ASKED)[:_MOST]
    ]


def _failed(user: User) -> list[Need]:
    """Analyses that failed last, of what the person sent or asked for."""
    later = Run.objects.filter(study=OuterRef("study"), created_at__gt=OuterRef("created_at"))
    runs = list(
        Run.objects.filter(Q(requested_by=user) | Q(study__uploaded_by=user), state=states.FAILED)
        .filter(~Exists(later))
        .select_related("study")
        .order_by("-finished_at")
    )
    seen = access.seen_by(user, (run.study_id for run in runs))
    return [
        Need(
            _("An analysis failed"), reverse("study", args=[run.study.public_id]),
            run.study.reference, run.reason,
        )
        for run in runs
        if run.study_id in seen
    ][:_MOST]  # fmt: skip


def _drafts(user: User) -> list[Need]:
    drafts = list(Report.objects.filter(written_by=user, signed_at=None).select_related("study"))
    seen = access.seen_by(user, (draft.study_id for draft in drafts))
    return [
        Need(
            _("Your draft report is not signed"),
            reverse("report_write", args=[draft.study.public_id]),
            draft.study.reference,
        )
        for draft in drafts
        if draft.study_id in seen
    ][:_MOST]


def _calls(user: User) -> list[Need]:
    called = list(
        Notification.objects.filter(
            to=user, kind=Notification.Kind.MENTIONED, read_at=None, study__isnull=False
        ).select_related("study", "by")
    )
    seen = access.seen_by(user, (one.study_id for one in called if one.study_id))
    found: dict[str, Need] = {}
    for one in [one for one in called if one.study_id in seen][:_MOST]:
        study = cast(Study, one.study)
        found.setdefault(
            study.reference,
            Need(
                _("%(name)s calls you in a comment")
                % {"name": one.by.name if one.by else _("Somebody")},
                f"{reverse('study', args=[study.public_id])}#discussion",
                study.reference,
            ),
        )
    return list(found.values())

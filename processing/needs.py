"""What waits for a person: questions, uploads, failed analyses, drafts, comments that call."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from django.db.models import OuterRef, Subquery
from django.urls import reverse
from django.utils.translation import gettext as _

from accounts.models import User
from processing import states
from processing.models import Run
from studies import access, notifications, questions
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
    latest = Run.objects.filter(study=OuterRef("study")).order_by("-created_at").values("pk")[:1]
    runs = (
        Run.objects.filter(state=states.FAILED, pk=Subquery(latest))
        .filter(study__in=access.visible_to(user))
        .select_related("study")
        .order_by("-finished_at")
    )
    return [
        Need(
            _("An analysis failed"), reverse("study", args=[run.study.public_id]),
            run.study.reference, run.reason,
        )
        for run in runs
        if user.pk in (run.requested_by_id, run.study.uploaded_by_id)
    ][:_MOST]  # fmt: skip


def _drafts(user: User) -> list[Need]:
    drafts = Report.objects.filter(
        written_by=user, signed_at=None, study__in=access.visible_to(user)
    ).select_related("study")
    return [
        Need(
            _("Your draft report is not signed"),
            reverse("report_write", args=[draft.study.public_id]),
            draft.study.reference,
        )
        for draft in drafts[:_MOST]
    ]


def _calls(user: User) -> list[Need]:
    called = (
        notifications.of(user)
        .filter(kind=Notification.Kind.MENTIONED, read_at=None)
        .select_related("study", "by")
    )
    found: dict[str, Need] = {}
    for one in called[:_MOST]:
        study: Study | None = one.study
        if study is None:
            continue
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

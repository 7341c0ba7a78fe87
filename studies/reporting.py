"""Write, sign and amend a study's report: the only writers of reports.

There is one draft at a time. A signature closes it for good; what is to be said after that is a
new version, which begins as a copy.
"""

from __future__ import annotations

from django.db import transaction
from django.db.models import Max
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import audit
from accounts.models import User
from studies import access, readings, report_text
from studies.models import Reading, Report, Result, Study
from studies.segments import AHA_NAMES

MOST_CHARACTERS = 20_000


class ReportError(Exception):
    """Why a report was not saved or signed; the text is for the person who wrote it."""


class ChangedMeanwhile(ReportError):
    """Somebody saved the draft after this person had opened it."""


def draft_of(study: Study) -> Report | None:
    return study.reports.filter(signed_at=None).first()


def signed_of(study: Study) -> list[Report]:
    """Signed versions, the latest first."""
    return list(study.reports.exclude(signed_at=None).select_related("result", "signed_by"))


def beginning(result: Result) -> str:
    """The text a new draft begins with: the last signed version, else sentences from the values."""
    last = next(iter(signed_of(result.study)), None)
    if last is not None and last.result_id == result.pk:
        return last.text
    read = readings.of(result)
    return report_text.sentences(
        readings.as_read(result.report, read), AHA_NAMES, number=result.number,
        set_aside=read.told() if read else (),
    )  # fmt: skip


def save(study: Study, *, by: User, text: str, seen: int | None) -> Report:
    """Save the draft; where there is none, it is made on the study's latest result.

    seen: the draft's count of saves that the person's page was made from; ``None`` for no draft.
    Raises ChangedMeanwhile if there is a later one, ReportError for what cannot be saved.
    """
    access.require(by, "manage", study)
    text = text.replace("\r\n", "\n").strip()
    if not text:
        raise ReportError(_("The report is empty. Write it, or leave this page."))
    if len(text) > MOST_CHARACTERS:
        raise ReportError(
            _("The report may have %(most)s characters. Shorten it.")
            % {"most": f"{MOST_CHARACTERS:,}"}
        )
    with transaction.atomic():
        # The study's row is the lock: two first drafts must not be made at once.
        locked = Study.objects.select_for_update().get(pk=study.pk)
        result = locked.results.first()
        if result is None:
            raise ReportError(_("There is no result to report on. Wait for the analysis."))
        draft = draft_of(locked)
        if (draft.saves if draft else None) != seen:
            raise ChangedMeanwhile(
                _(
                    "Somebody else has saved this report since you opened it. Your text is below "
                    "and not saved; theirs stands under it. Bring the two together and save again."
                )
            )
        if draft is None:
            last = locked.reports.aggregate(last=Max("version"))["last"] or 0
            draft = Report(study=locked, result=result, version=last + 1, saves=0)
        # A draft stays with the result it was written on: another one needs to be read anew.
        draft.text, draft.written_by = text, by
        draft.saves, draft.saved_at = draft.saves + 1, timezone.now()
        draft.save()
        audit.record(by, "report.save", draft, version=draft.version)
    return draft


def sign(draft: Report, *, by: User) -> None:
    """Close the draft under the person's name. Doing it twice is one."""
    access.require(by, "manage", draft.study)
    with transaction.atomic():
        reading = Reading.objects.filter(result=draft.result_id).first()
        signed = Report.objects.filter(pk=draft.pk, signed_at=None, saves=draft.saves).update(
            signed_by=by, signed_name=str(by), signed_at=timezone.now(),
            reading=readings.frozen(reading) if reading else None,
        )  # fmt: skip
        if signed:
            audit.record(by, "report.sign", draft, version=draft.version)
        elif not Report.objects.filter(pk=draft.pk, signed_by=by).exists():
            raise ChangedMeanwhile(
                _(
                    "Somebody else has saved or signed this report since you opened it. Read it "
                    "again."
                )
            )


def discard(draft: Report, *, by: User) -> None:
    """Throw an unsigned draft away."""
    access.require(by, "manage", draft.study)
    with transaction.atomic():
        if Report.objects.filter(pk=draft.pk, signed_at=None).delete()[0]:
            audit.record(by, "report.discard", draft, version=draft.version)


def readable(user: User, public_id: str) -> Report | None:
    """A signed report of a study the person sees; a draft only in the owning trust."""
    report = (
        Report.objects.filter(public_id=public_id, study__in=access.visible_to(user))
        .select_related("study", "study__trust", "result")
        .first()
    )
    if report is None or (not report.is_signed and not access.may(user, "manage", report.study)):
        return None
    return report

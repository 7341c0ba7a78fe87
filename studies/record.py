"""What a study's record needs and DICOM lacks: what was given, which protocol, the patient's word.

The person who sends the study may answer while its files are still being checked: the answers wait
with the upload, and ingest hands them to its studies.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from django.db import transaction
from django.utils.dateparse import parse_date

from accounts import audit
from accounts.models import User
from studies import access
from studies.models import Study, Upload
from studies.models.studies import AGAINST_RESEARCH, ResearchConsent

GIVEN = ("agent", "dose_mmol_per_kg", "stressor", "protocol_wanted")
_EMPTY = ("", None)
CONSENT = ("research_consent", "research_consent_on")


def answers_of(study: Study) -> dict[str, Any]:
    """The answers as ``answer`` takes them."""
    return {name: getattr(study, name) for name in (*GIVEN, *CONSENT)}


def answer(study: Study, *, by: User, answers: Mapping[str, Any]) -> bool:
    """Keep the answers of the owning trust; says whether anything is different now."""
    access.require(by, "manage", study)
    with transaction.atomic():
        return _keep(Study.objects.select_for_update().get(pk=study.pk), by, answers)


def answer_for_upload(upload: Upload, *, by: User, answers: Mapping[str, Any]) -> None:
    """Keep the answers for all studies of an upload, now or when they are there.

    What was left empty says nothing of a study that has an answer already, unless this very upload
    had said something before.
    """
    with transaction.atomic():
        locked = Upload.objects.select_for_update().get(pk=upload.pk, user=by)
        said = {
            name: value
            for name, value in answers.items()
            if value not in _EMPTY or locked.answers.get(name) not in _EMPTY
        }
        locked.answers = {
            name: value.isoformat() if isinstance(value, date) else value
            for name, value in answers.items()
        }
        locked.save(update_fields=["answers"])
        audit.record(by, "upload.answer", locked)
        for study in locked.studies.select_for_update(of=("self",)):
            if access.is_owner(by, study):
                _keep(study, by, said)


def from_upload(study: Study, upload: Upload) -> None:
    """Hand a study what was answered while its files were checked; within ingest's transaction."""
    told = {name: value for name, value in upload.answers.items() if value not in _EMPTY}
    if told.get("research_consent"):
        told["research_consent_on"] = parse_date(told.get("research_consent_on") or "")
    if told:
        _keep(study, upload.user, told)


def _keep(study: Study, by: User, answers: Mapping[str, Any]) -> bool:
    told = {name: value for name, value in answers.items() if name in (*GIVEN, *CONSENT)}
    if told.get("research_consent") == ResearchConsent.NOT_ASKED:
        told["research_consent_on"] = None
    changed = [name for name, value in told.items() if getattr(study, name) != value]
    if not changed:
        return False
    for name in changed:
        setattr(study, name, told[name])
    if set(changed) & set(GIVEN):
        names = ",".join(name for name in changed if name in GIVEN)
        audit.record(by, "study.record", study, changed=names)
    if set(changed) & set(CONSENT):
        audit.record(
            by, "study.research_consent", study, consent=study.research_consent or "not_asked"
        )
        if study.research_consent in AGAINST_RESEARCH and study.research_permission:
            # The patient's word goes before the trust's.
            study.research_permission = False
            changed.append("research_permission")
            audit.record(by, "study.research_permission", study, allowed=False)
    study.save(update_fields=changed)
    return True

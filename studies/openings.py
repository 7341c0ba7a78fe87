"""What the record says of one study, for its owner, and by its reference for administrators."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from itertools import chain

from django.db.models import Q, QuerySet
from django.utils.translation import gettext_lazy as _

from accounts.identifiers import clean_reference
from accounts.models import AuditEvent, User
from studies.models import Erasure, Study

#: What counts as opening a study, in the words that its owner reads. Pictures and films are part
#: of the page, so their own lines would only repeat it.
OPENINGS = {
    "study.view": _("Opened the study"),
    "study.workspace": _("Opened the workspace"),
    "result.draw": _("Drew over a result"),
    "question.answer": _("Answered a question"),
    "comment.write": _("Wrote a comment"),
    "study.download": _("Downloaded everything"),
    "file.download": _("Downloaded a file"),
    "objects.download": _("Downloaded DICOM objects"),
    "objects.download_identified": _("Downloaded DICOM objects for the archive"),
    "report.view": _("Read a report"),
    "report.download": _("Downloaded a report"),
    "study.run_options": _("Opened the choices of an analysis"),
    "run.submit": _("Started an analysis"),
    "lookup.found": _("Found it by its reference"),
}


@dataclass(frozen=True)
class Opening:
    """Who opened the study; ``person`` is ``None`` for somebody whose account is gone."""

    person: User | None
    trust: str
    what: str
    at: datetime


def object_ids(study: Study) -> set[str]:
    """The ids under which the record knows the study and all that belongs to it."""
    parts = (study.files, study.results, study.reports, study.shares, study.runs)
    return {study.public_id, *chain(*(part.values_list("public_id", flat=True) for part in parts))}


def ids_of_reference(text: str) -> set[str]:
    """The ids of the study with this reference; of an erased one, what its certificate keeps."""
    reference = clean_reference(text)
    if not reference:
        return set()
    found: set[str] = set()
    for study in Study.objects.filter(reference=reference):
        found |= object_ids(study)
    for erasure in Erasure.objects.filter(reference=reference):
        found |= {erasure.public_id, erasure.study_public_id, *erasure.object_ids}
    return found


def events_of(study: Study) -> QuerySet[AuditEvent]:
    """The lines of the record that tell of the study being opened, the newest first."""
    about = Q(object_id=study.public_id)
    for part in (study.files, study.runs, study.reports):
        about |= Q(object_id__in=part.values("public_id"))
    return AuditEvent.objects.filter(about, verb__in=OPENINGS).exclude(actor="")


def told(events: list[AuditEvent]) -> list[Opening]:
    """The lines with the people behind them."""
    people = User.objects.filter(public_id__in={event.actor for event in events}).prefetch_related(
        "memberships__trust"
    )
    known = {person.public_id: person for person in people}
    return [
        Opening(
            person=known.get(event.actor),
            trust=_trust(known.get(event.actor)),
            what=str(OPENINGS[event.verb]),
            at=event.at,
        )
        for event in events
    ]


def _trust(person: User | None) -> str:
    held = person.memberships.all() if person is not None else []
    return next((str(one.trust) for one in held if one.trust), "")

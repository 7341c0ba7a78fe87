"""Whom a study is of: kept sealed, and opened for people of the owning trust only.

``view`` is the one way to read it. Shares, researchers and administrators never pass it, and
nothing that it gives may be written into files that leave without asking it again.
"""

from __future__ import annotations

import hmac
import json
import logging
import re
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from accounts import audit
from accounts.models import Trust, User
from studies import access, vault
from studies.models import SourceIdentity, Study

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Identity:
    """A patient and a study as their hospital knows them.

    ``patient``: number, issuer, name, birth_date, sex. ``study``: uid, date, time,
    accession_number, id. What the files did not say is absent. ``uids``: by the uid in our files
    (series, image, frame of reference), the one in the hospital's.
    """

    patient: Mapping[str, str]
    study: Mapping[str, str]
    uids: Mapping[str, str]

    @property
    def number(self) -> str:
        return self.patient.get("number", "")

    @property
    def birth_date(self) -> date | None:
        return _day(self.patient.get("birth_date", ""))

    @property
    def study_date(self) -> date | None:
        return _day(self.study.get("date", ""))

    @property
    def accession_number(self) -> str:
        return self.study.get("accession_number", "")

    @property
    def name(self) -> str:
        """As patient banners write it: FAMILY, Given Middle (Title)."""
        told = self.patient.get("name", "").split("=")[0]
        family, given, middle, title, suffix = [*told.split("^"), *[""] * 5][:5]
        called = " ".join(part.strip() for part in (given, middle, suffix) if part.strip())
        shown = ", ".join(part for part in (family.strip().upper(), called) if part)
        return f"{shown} ({title.strip()})" if title.strip() else shown


def _day(text: str) -> date | None:
    try:
        return date(int(text[:4]), int(text[4:6]), int(text[6:8]))
    except ValueError:
        return None


class Unreadable(Exception):
    """An identity is kept, but no key of this site opens it."""


def view(user: User, study: Study) -> Identity | None:
    """Whom ``study`` is of, for a person of the owning trust; ``None`` where nothing is kept.

    404 for anybody else. Each reading is on record. Raises Unreadable.
    """
    access.require(user, "identify", study)
    row = SourceIdentity.objects.filter(study=study).first()
    if row is None:
        return None
    audit.record(user, "identity.view", study)
    try:
        return _opened(row, study)
    except vault.CannotOpen:
        log.error("the identity of study %s does not open with the keys of this site",
                  study.public_id)  # fmt: skip
        raise Unreadable from None


def with_number(user: User, number: str) -> QuerySet[Study]:
    """Studies of the person's own trust whose patient has this local number there."""
    trust = user.trust
    wanted = _number_hash(trust, number) if trust is not None else ""
    found = access.visible_to(user).filter(
        trust=trust, source_identity__number_hash=wanted, source_identity__number_hash__gt=""
    )
    audit.record(user, "identity.search", found=found.count())
    return found


@transaction.atomic
def record(study: Study, told: Iterable[Mapping[str, Any]]) -> None:
    """Keep what files of ``study`` said of their patient, beside what is kept already.

    told: of each file the patient, the study and the uids, as ``studies.dicom.identity`` gives.
    What is kept of the patient is not written over by a later upload.
    """
    Study.objects.select_for_update().get(pk=study.pk)
    row = SourceIdentity.objects.filter(study=study).first() or SourceIdentity(study=study)
    kept = _opened(row, study) if row.pk else Identity({}, {}, {})
    patient, of_study, uids = dict(kept.patient), dict(kept.study), dict(kept.uids)
    for one in told:
        patient = {**one["patient"], **patient}
        of_study = {**one["study"], **of_study}
        uids |= one["uids"]
    merged = Identity(patient, of_study, uids)
    if merged == kept:
        return
    row.number_hash = _number_hash(study.trust, merged.number)
    row.sealed = _sealed(merged, study)
    row.save()


def reseal() -> int:
    """Seal every identity with the first key; how many there are. Raises vault.CannotOpen."""
    rows = SourceIdentity.objects.select_related("study")
    for row in rows.iterator(100):
        with transaction.atomic():
            locked = SourceIdentity.objects.select_for_update().get(pk=row.pk)
            locked.sealed = _sealed(_opened(locked, row.study), row.study)
            locked.save(update_fields=["sealed"])
    return rows.count()


def _sealed(identity: Identity, study: Study) -> bytes:
    content = {"patient": identity.patient, "study": identity.study, "uids": identity.uids}
    return vault.seal(zlib.compress(json.dumps(content).encode()), f"study {study.public_id}")


def _opened(row: SourceIdentity, study: Study) -> Identity:
    data = vault.unseal(bytes(row.sealed), f"study {study.public_id}")
    return Identity(**json.loads(zlib.decompress(data)))


def _number_hash(trust: Trust, number: str) -> str:
    """Blanks and dashes are how people write a number, not part of it."""
    plain = re.sub(r"[\s-]", "", number).upper()
    if not plain:
        return ""
    message = f"number:{trust.public_id}:{plain}".encode()
    return hmac.digest(settings.DEIDENTIFICATION_KEY.encode(), message, "sha256").hex()

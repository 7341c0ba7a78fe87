"""Corrections by a person of what sorting understood; kept with the series, used by each run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import audit
from accounts.models import User
from studies import access
from studies.dicom.correct import FILE_NAME
from studies.models import Series, Study

FIELDS = ("state", "level", "role")
#: Where an export has them: beside the images that they are about.
EXPORTED_AS = f"source/{FILE_NAME}"


class CorrectionError(Exception):
    """Why a correction could not be kept; the text is for the person who made it."""


def correct(study: Study, *, by: User, said: Mapping[str, Mapping[str, str]]) -> int:
    """Keep what a person says of series, by their public ids; gives how many are different now.

    What agrees with sorting is no correction: it follows sorting again. Raises CorrectionError.
    """
    access.require(by, "manage", study)
    with transaction.atomic():
        Study.objects.select_for_update().get(pk=study.pk)
        rows = [row for row in study.series.select_for_update() if row.role != Series.Role.MAP]
        changed = [row for row in rows if _changed(row, said.get(row.public_id, {}))]
        if not any(row.role == Series.Role.PERFUSION for row in rows):
            raise CorrectionError(
                _("No series would be left to analyse. Use at least one as perfusion.")
            )
        for row in changed:
            row.corrected_by = by if row.corrected else None
            row.corrected_at = timezone.now() if row.corrected else None
            row.save()
        if changed:
            audit.record(by, "study.correct", study, series=len(changed))
    return len(changed)


def _changed(row: Series, said: Mapping[str, str]) -> bool:
    """Put what was said into the row; whether it is different from what the row had."""
    found = row.understood or {name: getattr(row, name) for name in FIELDS}
    now = {name: said.get(name) or getattr(row, name) for name in FIELDS}
    corrected = {name: value for name, value in now.items() if value != found.get(name)}
    if corrected == row.corrected:
        return False
    row.understood, row.corrected = found, corrected
    for name, value in {**found, **corrected}.items():
        setattr(row, name, value)
    return True


def of(study: Study) -> list[dict[str, Any]]:
    """The study's corrections as a run and ``analyse`` take them, in an order of their own."""
    told = [row.correction for row in study.series.all() if row.correction]
    return sorted(told, key=lambda one: (one["sop_instance_uid"], one["frame_number"]))


def as_file(study: Study) -> bytes | None:
    """The corrections as the file that an export holds; ``None`` where there are none."""
    told = of(study)
    return json.dumps({"corrections": told}, indent=1).encode() if told else None

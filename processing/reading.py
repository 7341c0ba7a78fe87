"""Keep what a reader accepts of a result and what not: the only writer of readings.

It lies here and not in ``studies`` because the numbers of the study are reckoned anew, as the
engine reckons them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import audit
from accounts.models import User
from processing.mcaq import summary
from processing.mcaq.series import SegmentFlow
from studies import access, readings
from studies.models import Reading, Result
from studies.models.readings import SetAside


class ReadingError(Exception):
    """Why a reading was not kept; the text is for the person who read."""


def keep(
    result: Result, set_aside: Mapping[tuple[str, int], str], *, version: int, by: User
) -> Reading:
    """Accept all values of ``result`` but those set aside, by state and AHA segment.

    version: of the reading that the person's page was made from; 0 for none. Raises ReadingError.
    """
    access.require(by, "manage", result.study)
    unknown = set_aside.keys() - readings.values(result.report)
    if unknown or set(set_aside.values()) - set(SetAside.values):
        raise ReadingError(_("This result has no such value. Load the page again."))
    kept: dict[str, dict[str, str]] = {}
    for (state, number), reason in sorted(set_aside.items()):
        kept.setdefault(state, {})[str(number)] = reason
    with transaction.atomic():
        # The result's row is the lock: two first readings at once meet here.
        Result.objects.select_for_update().only("pk").get(pk=result.pk)
        reading = Reading.objects.filter(result=result).first()
        if (reading.version if reading else 0) != version:
            raise ReadingError(
                _(
                    "Somebody else has gone through these segments since you opened the page. "
                    "Theirs is shown now, yours was not kept: look, and keep it again."
                )
            )
        if reading is None:
            reading = Reading(result=result, version=0)
        reading.set_aside, reading.version = kept, reading.version + 1
        reading.summary = _without(result.report, set_aside)
        reading.by, reading.by_name, reading.at = by, str(by), timezone.now()
        reading.save()
        audit.record(by, "result.read", result, set_aside=len(set_aside))
    return reading


def _without(report: Mapping[str, Any], set_aside: Mapping[tuple[str, int], str]) -> dict[str, Any]:
    """The report's summary, reckoned without what was set aside."""
    told = dict(report.get("summary") or {})
    cut = (told.get("ischaemic_burden") or {}).get("cut_ml_per_min_per_g")
    series = [
        (
            entry["state"],
            entry["level"],
            {
                int(number): SegmentFlow(flow["mbf"], flow.get("low"), flow.get("high"), None)
                for number, flow in entry["mbf"]["segments"].items()
                if (entry["state"], int(number)) not in set_aside
            },
        )
        for entry in report["series"]
    ]
    return told | summary.of_study(series, cut).content

"""Outlines that a person draws over a result: what may be kept, and who kept it last.

Points are (row, column) in pixels of the source grid, as the engine takes them. Nothing here
changes a result: an analysis with the outlines makes a new one beside it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import audit
from accounts.models import User
from studies import access
from studies.models import ContourEdit, Result

#: Outlines, and the points where the right ventricle's wall meets the septum.
OUTLINES = ("endocardium", "epicardium", "aif_region")
POINTS = ("rv_insertion_anterior", "rv_insertion_inferior")
_FEWEST, _MOST, _FARTHEST = 8, 720, 4096.0
#: An outline encloses at least so many pixels.
_SMALLEST_AREA = {"endocardium": 12.0, "epicardium": 30.0, "aif_region": 4.0}


class BadEdit(Exception):
    """Why the outlines cannot be kept; the text is for the person who drew them."""


class Conflict(Exception):
    """Somebody else kept other outlines meanwhile."""

    def __init__(self, edit: ContourEdit) -> None:
        super().__init__()
        self.edit = edit


def of(result: Result) -> ContourEdit | None:
    return ContourEdit.objects.select_related("by").filter(result=result).first()


def keep(result: Result, content: object, *, version: int, by: User) -> ContourEdit:
    """Keep outlines over ``result`` in place of those of ``version`` (0: there were none).

    Raises BadEdit, Conflict.
    """
    access.require(by, "run", result.study)
    checked = check(content, {entry["folder"] for entry in result.report["series"]})
    with transaction.atomic():
        # The result's row is the lock: two first edits at once meet here.
        Result.objects.select_for_update().only("pk").get(pk=result.pk)
        edit = ContourEdit.objects.filter(result=result).first()
        if (edit.version if edit else 0) != version:
            raise Conflict(edit or ContourEdit(result=result, version=0))
        if edit is None:
            edit = ContourEdit(result=result, version=0)
        if edit.content == checked and edit.pk:
            return edit
        edit.content, edit.version = checked, edit.version + 1
        edit.by, edit.updated_at = by, timezone.now()
        edit.save()
        audit.record_once(by, "result.draw", result)
    return edit


def discard(result: Result, *, by: User) -> None:
    """Take back all that was drawn over ``result``."""
    access.require(by, "run", result.study)
    with transaction.atomic():
        if ContourEdit.objects.filter(result=result).delete()[0]:
            audit.record(by, "result.draw_discard", result)


def check(content: object, folders: set[str]) -> dict[str, Any]:
    """What was drawn, by folder name, to a hundredth of a pixel. Raises BadEdit."""
    if not isinstance(content, Mapping):
        raise BadEdit(_("What was sent is no drawing. Load the page again."))
    checked: dict[str, Any] = {}
    for folder, drawn in content.items():
        if folder not in folders or not isinstance(drawn, Mapping):
            raise BadEdit(_("This result has no such series. Load the page again."))
        if set(drawn) - {*OUTLINES, *POINTS}:
            raise BadEdit(_("What was sent holds something that cannot be drawn."))
        found: dict[str, Any] = {
            name: _outline(name, drawn[name]) for name in OUTLINES if name in drawn
        }
        found |= {name: _point(drawn[name]) for name in POINTS if name in drawn}
        if ("endocardium" in found) != ("epicardium" in found):
            raise BadEdit(_("The inner and the outer outline belong together: send both."))
        if len([name for name in POINTS if name in found]) == 1:
            raise BadEdit(_("The two insertion points belong together: send both."))
        if "rv_insertion_anterior" in found and "endocardium" not in found:
            raise BadEdit(_("Insertion points belong to outlines: send the outlines as well."))
        if "endocardium" in found and _area(found["endocardium"]) >= _area(found["epicardium"]):
            raise BadEdit(
                _("The inner outline is larger than the outer one. Draw the wall between them.")
            )
        if found:
            checked[folder] = found
    return checked


def _outline(name: str, points: object) -> list[list[float]]:
    if not isinstance(points, list) or not _FEWEST <= len(points) <= _MOST:
        raise BadEdit(
            _("An outline needs %(fewest)s to %(most)s points.")
            % {"fewest": _FEWEST, "most": _MOST}
        )
    found = [_point(point) for point in points]
    if _area(found) < _SMALLEST_AREA[name]:
        raise BadEdit(_("An outline is too small: it encloses hardly a pixel. Draw it larger."))
    return found


def _point(point: object) -> list[float]:
    if (
        not isinstance(point, list)
        or len(point) != 2
        or not all(
            isinstance(value, int | float) and not isinstance(value, bool) for value in point
        )
        or not all(math.isfinite(value) and -_FARTHEST < value < _FARTHEST for value in point)
    ):
        raise BadEdit(_("A point lies nowhere in the picture. Load the page again."))
    return [round(float(value), 2) for value in point]


def _area(points: list[list[float]]) -> float:
    """Pixels within a closed outline, whichever way round it is drawn."""
    pairs = zip(points, [*points[1:], points[0]], strict=True)
    return abs(sum(a[0] * b[1] - b[0] * a[1] for a, b in pairs)) / 2


def told(edited: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    """A report's ``parameters.edited`` for the reader: each series, and what was drawn in it."""
    words = {
        "endocardium": _("outlines of the wall"),
        "rv_insertion_anterior": _("insertion points"),
        "aif_region": _("region of the input function"),
    }
    return [
        (folder, [word for name, word in words.items() if name in drawn])
        for folder, drawn in (edited.get("series") or {}).items()
    ]

"""What de-identification does: the public page of its rules, and what it did to one upload."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET
from pydicom.datadict import dictionary_description

from studies.dicom.changes import PREAMBLE, PRIVATE, UNKNOWN
from studies.dicom.deidentify import METHOD, OLDEST_AGE_YEARS, PRIVATE_CODE, PROFILE_CODES
from studies.dicom.rules import PRIVATE as PRIVATE_NUMBERS
from studies.dicom.rules import RULES


def _groups() -> list[dict[str, Any]]:
    texts = {
        "pseudonym": (
            _("Replaced by a stand-in"),
            _("A keyed code that is the same for the same patient, scanner or identifier within a "
              "trust, and different in every other trust. Without the key nobody can trace it."),
        ),
        "emptied": (_("Emptied"), _("The attribute is there, because DICOM wants it, and empty.")),
        "moved": (
            _("Moved dates"),
            _("All dates of a patient move back by the same number of days, one to ten years. "
              "Intervals stay; no true date does."),
        ),
        "limited": (
            _("Kept within limits"),
            _("What the patient’s body tells, where it has a possible value. Ages above %(oldest)d "
              "are written as %(oldest)d.") % {"oldest": OLDEST_AGE_YEARS},
        ),
        "words": (
            _("Written anew in our own words"),
            _("A few fixed words, such as “stress perfusion mid”, chosen by what stood there. "
              "Nothing of the original text is taken over."),
        ),
        "checked": (
            _("Kept if it is a code of the standard"),
            _("Each value is compared with a list of codes; any other value is removed."),
        ),
        "kept": (
            _("Kept if it is a number or a time of day"),
            _("Anything else in their place is removed, and numbers with ten digits or more."),
        ),
        "cleared": (
            _("Pictures"),
            _("Decoded and written anew without compression; bits that hold no measurement are "
              "cleared."),
        ),
        "entered": (
            _("Sequences that are entered"),
            _("Inside them the same lists hold. Every other sequence is removed whole."),
        ),
    }  # fmt: skip
    return [
        {
            "title": title,
            "text": text,
            "rules": [
                {"name": rule.name, "shown_tag": shown(rule.tag)}
                for rule in RULES
                if rule.action == action
            ],
        }
        for action, (title, text) in texts.items()
    ]


@login_not_required
@require_GET
def show(request: HttpRequest) -> HttpResponse:
    context = {
        "groups": _groups(),
        "profile": [*PROFILE_CODES, PRIVATE_CODE],
        "private": PRIVATE_NUMBERS,
    }
    return render(request, "studies/deidentification.html", context)


@login_not_required
@require_GET
def rules_json(request: HttpRequest) -> HttpResponse:
    """The same for programs: by tag the keyword, the name and the action; the rest is removed."""
    return JsonResponse(
        {
            "method": METHOD,
            "attributes": {
                rule.tag: {"keyword": rule.keyword, "name": rule.name, "action": rule.action}
                for rule in RULES
            },
            "private": [
                {"group": group, "element": element, "creator": creator, "action": "kept"}
                for group, element, creator in PRIVATE_NUMBERS
            ],
            "otherwise": "removed",
        }
    )


def shown(tag: str) -> str:
    """A tag as the standard writes it, from eight hexadecimal digits."""
    return f"({tag[:4]},{tag[4:]})"


def change_rows(changes: Mapping[str, int]) -> list[dict[str, Any]]:
    """What an upload's files lost, for its page: what names people first."""
    said = {
        "pseudonym": _("Replaced by a stand-in"),
        "emptied": _("Emptied"),
        "moved": _("Date moved back"),
        "words": _("Written anew in our own words"),
        "removed": _("Removed"),
    }
    order = list(said)
    rows = []
    for key, count in changes.items():
        tag, _blank, action = key.partition(" ")
        rows.append((order.index(action), tag, count))
    return [
        {
            "name": _name(tag),
            "tag": shown(tag) if len(tag) == 8 and tag not in _WITHOUT_TAG else "",
            "action": said[order[place]],
            "count": count,
        }
        for place, tag, count in sorted(rows)
    ]


_WITHOUT_TAG = frozenset({PRIVATE, UNKNOWN, PREAMBLE})


def _name(tag: str) -> str:
    names = {
        PRIVATE: _("Elements of the scanner’s maker"),
        UNKNOWN: _("Elements that the standard does not know"),
        PREAMBLE: _("Bytes before the image"),
    }
    return names.get(tag) or dictionary_description(int(tag, 16))

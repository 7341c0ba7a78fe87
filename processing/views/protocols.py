"""Pages of a trust's protocols: the list, one version with the history, and the form."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods

from accounts import audit
from accounts.person import person
from processing import protocols
from processing.forms import ProtocolForm
from processing.models import ProtocolVersion
from processing.protocol_words import rows


@require_GET
def index(request: HttpRequest) -> HttpResponse:
    user = person(request)
    trust = protocols.trust_of(user)
    audit.record(user, "protocol.list")
    versions = list(protocols.newest(protocols.visible_to(user)))
    context = {"trust": trust, "versions": [(one, _fits(one)) for one in versions]}
    return render(request, "processing/protocols/list.html", context)


@require_GET
def show(request: HttpRequest, public_id: str, number: int | None = None) -> HttpResponse:
    """One version, the newest unless another is asked for, and all there were."""
    user = person(request)
    protocol = protocols.get_visible_or_404(user, public_id)
    versions = list(protocol.versions.select_related("made_by"))
    wanted = versions[0].number if number is None else number
    shown = next((one for one in versions if one.number == wanted), None)
    if shown is None:
        raise Http404
    audit.record(user, "protocol.view", protocol, version=shown.number)
    context = {
        "protocol": protocol,
        "version": shown,
        "newest": versions[0],
        "fits": _fits(shown),
        "values": rows(shown.values),
        "history": _history(versions),
    }
    return render(request, "processing/protocols/show.html", context)


@require_http_methods(["GET", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    user = person(request)
    form = ProtocolForm(request.POST or None, trust=protocols.trust_of(user))
    if request.method == "POST" and form.is_valid():
        try:
            protocol = protocols.create(by=user, content=form.content())
        except protocols.ProtocolError as error:
            form.add_error(error.field, str(error))
        else:
            messages.success(request, _("The protocol is saved as version 1."))
            return redirect("protocol", protocol.public_id)
    return render(request, "processing/protocols/form.html", {"form": form, "protocol": None})


@require_http_methods(["GET", "POST"])
def edit(request: HttpRequest, public_id: str) -> HttpResponse:
    user = person(request)
    protocol = protocols.get_visible_or_404(user, public_id)
    last = protocol.versions.latest("number")
    form = ProtocolForm(request.POST or None, trust=protocol.trust, version=last)
    if request.method == "POST" and form.is_valid():
        seen = form.cleaned_data["seen"] or 0
        try:
            number = protocols.change(protocol, by=user, content=form.content(), seen=seen)
        except protocols.ProtocolError as error:
            form.add_error(error.field, str(error))
        else:
            _tell(request, number, seen)
            return redirect("protocol", protocol.public_id)
    else:
        audit.record(user, "protocol.view", protocol, version=last.number)
    return render(request, "processing/protocols/form.html", {"form": form, "protocol": protocol})


def _tell(request: HttpRequest, number: int, seen: int) -> None:
    if number == seen:
        messages.info(request, _("Nothing was different, so no new version was made."))
        return
    said = _(
        "Saved as version %(number)d. Results made before keep the version they were made with; "
        "analyse a study again to use this one."
    )
    messages.success(request, said % {"number": number})


def _fits(version: ProtocolVersion) -> str:
    """For which studies a version is taken, in words."""
    if version.use == ProtocolVersion.Use.RETIRED:
        return _("No longer used")
    if version.use == ProtocolVersion.Use.CHOSEN:
        return _("Only when a person chooses it")
    parts = [f"{version.manufacturer} {version.scanner_model}".strip()]
    if version.field_t is not None:
        parts.append(f"{version.field_t:g} T")
    if version.scanner_pseudonym:
        parts.append(_("scanner %(code)s") % {"code": version.scanner_pseudonym})
    scanner = ", ".join(part for part in parts if part) or _("any scanner")
    input_series = {
        ProtocolVersion.InputSeries.WITH.value: _(", with an input series"),
        ProtocolVersion.InputSeries.WITHOUT.value: _(", without an input series"),
    }.get(version.input_series, "")
    if not any(parts) and not input_series:
        return _("Every study of your trust")
    return _("Studies from %(scanner)s") % {"scanner": scanner} + input_series


def _history(versions: list[ProtocolVersion]) -> list[dict[str, Any]]:
    """The versions from the newest on, each with what it changed."""
    told = [
        {"version": later, "changes": _changes(earlier, later)}
        for later, earlier in pairwise(versions)
    ]
    return [*told, {"version": versions[-1], "changes": [_("First version")]}]


def _changes(earlier: ProtocolVersion, later: ProtocolVersion) -> list[str]:
    before, after = _told(earlier), _told(later)
    return [
        f"{label}: {before.get(label, _('not given'))} → {after.get(label, _('not given'))}"
        for label in dict.fromkeys([*before, *after])
        if before.get(label) != after.get(label)
    ]


def _told(version: ProtocolVersion) -> dict[str, str]:
    return {
        _("Name"): version.name,
        _("Used for"): _fits(version),
        **{row["label"]: row["value"] for row in rows(version.values)},
    }

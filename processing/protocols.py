"""A trust's protocols: who sees them, the only writer of their versions, which one fits a study.

A protocol belongs to one trust and is seen by nobody else. Each change is a new version.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from django.db import transaction
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import Http404
from django.utils.translation import gettext as _

from accounts import audit
from accounts.models import Trust, User
from processing.models import Protocol, ProtocolVersion
from processing.protocol import BadProtocol, check
from studies.models import Series, Study, Upload

Use, InputSeries = ProtocolVersion.Use, ProtocolVersion.InputSeries
#: Scanners write 1.494 or 2.893 where their name says 1.5 or 3.
_FIELD_TOLERANCE = 0.1
_RULE = ("manufacturer", "scanner_model", "scanner_pseudonym", "field_t", "input_series")
#: What the record of one study may say itself, by the keys of a protocol.
_OF_THE_RECORD = ("agent", "dose_mmol_per_kg", "stressor")
_CONTENT = ("name", "use", *_RULE, "values")


class ProtocolError(Exception):
    """Why a protocol could not be saved; the text is for the person who tried.

    field: the part of the content that it is about, if it is about one.
    """

    def __init__(self, text: str, field: str | None = None) -> None:
        super().__init__(text)
        self.field = field


# --- who sees what ----------------------------------------------------------------------------


def visible_to(user: User) -> QuerySet[Protocol]:
    """Protocols of the person's own trust."""
    if not user.is_authenticated or not user.can("protocols"):
        return Protocol.objects.none()
    return Protocol.objects.filter(trust__in=user.trusts_where("protocols"))


def get_visible_or_404(user: User, public_id: str) -> Protocol:
    """The protocol, or the same 404 whether it is another trust's or nobody's."""
    found = visible_to(user).select_related("trust").filter(public_id=public_id).first()
    if found is None:
        raise Http404
    return found


def trust_of(user: User) -> Trust:
    """The trust whose protocols the person writes; 404 where there is none."""
    if not user.can("protocols") or user.trust is None:
        raise Http404
    return user.trust


def newest(protocols: QuerySet[Protocol]) -> QuerySet[ProtocolVersion]:
    """The version that holds now of each of these protocols, by name."""
    last = (
        ProtocolVersion.objects.filter(protocol=OuterRef("protocol"))
        .order_by("-number")
        .values("pk")[:1]
    )
    return (
        ProtocolVersion.objects.filter(protocol__in=protocols, pk=Subquery(last))
        .select_related("protocol", "made_by")
        .order_by("name")
    )


# --- writing ----------------------------------------------------------------------------------


def create(*, by: User, content: Mapping[str, Any]) -> Protocol:
    """A new protocol of the person's trust, with its first version."""
    trust = trust_of(by)
    with transaction.atomic():
        # One at a time within a trust: names and rules are compared with the others'.
        Trust.objects.select_for_update().get(pk=trust.pk)
        _check(trust, content, None)
        protocol = Protocol.objects.create(trust=trust, name=content["name"])
        _add(protocol, 1, by, content)
        audit.record(by, "protocol.create", protocol, version=1)
    return protocol


def change(protocol: Protocol, *, by: User, content: Mapping[str, Any], seen: int) -> int:
    """Save a new version; gives its number, or the old one where nothing is different.

    seen: the version that the person had before them. Somebody else's later one is not overwritten.
    """
    get_visible_or_404(by, protocol.public_id)
    with transaction.atomic():
        Trust.objects.select_for_update().get(pk=protocol.trust_id)
        last = protocol.versions.select_related("made_by").latest("number")
        if last.number != seen:
            who = last.made_by or _("somebody who has left")
            raise ProtocolError(
                _(
                    "%(who)s saved version %(number)s while you were writing. Nothing of yours was "
                    "saved. Open the protocol again, look at that version, and make your change "
                    "there."
                )
                % {"who": who, "number": last.number}
            )
        if all(getattr(last, key) == content[key] for key in _CONTENT):
            return last.number
        _check(protocol.trust, content, protocol)
        Protocol.objects.filter(pk=protocol.pk).update(name=content["name"])
        _add(protocol, last.number + 1, by, content)
        audit.record(by, "protocol.change", protocol, version=last.number + 1)
    return last.number + 1


def _add(protocol: Protocol, number: int, by: User, content: Mapping[str, Any]) -> None:
    fields = {key: content[key] for key in _CONTENT}
    ProtocolVersion.objects.create(protocol=protocol, number=number, made_by=by, **fields)


def _check(trust: Trust, content: Mapping[str, Any], itself: Protocol | None) -> None:
    """Raises ProtocolError. The caller holds the lock on the trust."""
    try:
        check(content["values"])
    except BadProtocol as error:
        raise ProtocolError(str(error)) from None
    others = Protocol.objects.filter(trust=trust)
    if itself is not None:
        others = others.exclude(pk=itself.pk)
    if others.filter(name__iexact=content["name"]).exists():
        raise ProtocolError(
            _(
                "Your trust has a protocol named %(name)s already. Give this one another name, or "
                "change that one."
            )
            % {"name": content["name"]},
            "name",
        )
    if content["use"] != Use.FITTING:
        return
    for other in newest(others).filter(use=Use.FITTING):
        if all(getattr(other, key) == content[key] for key in _RULE):
            raise ProtocolError(
                _(
                    "%(name)s fits the very same studies, so neither could be chosen by itself. "
                    "Say more of the scanner here, or let one of the two be used only when a "
                    "person chooses it."
                )
                % {"name": other.name},
                "use",
            )


# --- choosing ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Choice:
    """A protocol's version or none, who chose, and the names of those that fit equally well."""

    version: ProtocolVersion | None
    by: Literal["rule", "person"]
    tie: tuple[str, ...] = ()


def of_trust(study: Study | Upload) -> QuerySet[ProtocolVersion]:
    """What may be chosen for a study: its own trust's protocols that are in use."""
    return newest(Protocol.objects.filter(trust=study.trust_id)).exclude(use=Use.RETIRED)


def fitting(study: Study) -> Choice:
    """The protocol whose rule fits best: of the one scanner before of a model before the rest.

    A rule with more conditions comes before one with fewer. Of two that fit equally well none is
    taken, for a wrong protocol is worse than stated assumptions.
    """
    has_input = study.series.filter(role=Series.Role.AIF).exists()
    fits = [one for one in of_trust(study).filter(use=Use.FITTING) if _fits(one, study, has_input)]
    if not fits:
        return Choice(None, "rule")
    best = max(_weight(one) for one in fits)
    equal = [one for one in fits if _weight(one) == best]
    if len(equal) > 1:
        return Choice(None, "rule", tuple(one.name for one in equal))
    return Choice(equal[0], "rule")


def _fits(rule: ProtocolVersion, study: Study, has_input: bool) -> bool:
    wanted_input = {InputSeries.WITH: True, InputSeries.WITHOUT: False}.get(rule.input_series)  # type: ignore[call-overload]
    return (
        rule.manufacturer in {"", study.manufacturer}
        and rule.scanner_model in {"", study.scanner_model}
        and rule.scanner_pseudonym in {"", study.scanner_pseudonym}
        and (rule.field_t is None or _near(rule.field_t, study.field_t))
        and wanted_input in {None, has_input}
    )


def _near(wanted_t: float, found_t: float | None) -> bool:
    return found_t is not None and abs(found_t - wanted_t) <= _FIELD_TOLERANCE * wanted_t


def _weight(rule: ProtocolVersion) -> tuple[bool, bool, int]:
    conditions = sum(bool(getattr(rule, key)) for key in _RULE)
    return bool(rule.scanner_pseudonym), bool(rule.scanner_model), conditions


def named(study: Study, asked: str) -> Choice:
    """What a person asked for: "" the rule, "none", or the id of a protocol. 404 for another's."""
    if not asked:
        return fitting(study)
    if asked == "none":
        return Choice(None, "person")
    version = of_trust(study).filter(protocol__public_id=asked).first()
    if version is None:
        raise Http404
    return Choice(version, "person")


def wanted(study: Study) -> Choice:
    """What the study's record asks for; the rule where that protocol is no longer in use."""
    try:
        return named(study, study.protocol_wanted)
    except Http404:
        return fitting(study)


def parameters(
    choice: Choice, times: Mapping[str, Any] | None = None, study: Study | None = None
) -> dict[str, Any]:
    """What a run is told: the values as in a protocol file, and which version they are.

    What the record of ``study`` says was given comes before the protocol's word: that is of the
    usual patient, the record of this one.
    """
    told: dict[str, Any] = {}
    record = {} if study is None else {
        key: getattr(study, key) for key in _OF_THE_RECORD if getattr(study, key)
    }  # fmt: skip
    if record:
        told["record"] = record
    if choice.version is not None or record:
        values = {} if choice.version is None else choice.version.values
        told["protocol"] = {**values, **record}
    if choice.version is not None:
        told["protocol_version"] = {
            "name": choice.version.name,
            "version": choice.version.number,
            "id": choice.version.protocol.public_id,
            "chosen_by": choice.by,
        }
    if choice.tie:
        told["protocol_tie"] = list(choice.tie)
    if times:
        told["times"] = dict(times)
    return told


def scanners_of(trust: Trust) -> Iterator[tuple[str, str]]:
    """The scanners that the trust's studies come from: the code, and what a reader calls it."""
    rows = (
        Study.objects.filter(trust=trust)
        .exclude(scanner_pseudonym="")
        .order_by("scanner_pseudonym", "-created_at")
        .distinct("scanner_pseudonym")
    )
    for study in rows:
        field = "" if study.field_t is None else f", {study.field_t:.2g} T"
        code = study.scanner_pseudonym
        yield code, f"{study.manufacturer} {study.scanner_model}{field} ({code})".strip()

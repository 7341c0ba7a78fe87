"""Who may do what with a study in each of its states: a table, and a site to ask it of.

The table is written from the rules of the house, not from the views: relation of a person to a
study, the verbs that it gives, and for each address and method the verb that it takes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import product
from typing import Any

from allauth.mfa.models import Authenticator
from django.db import transaction
from django.test import Client, override_settings
from django.utils import timezone

from accounts.models import AuditEvent, Consent, Membership, User
from accounts.roles import Role
from processing import runs
from studies import comments, erasure, identity, sharing
from studies.models import Share, StoredFile, Study
from tests.people import make_administrator, make_result, make_study, make_trust, make_user
from tests.site.world import EMPTY_ZIP, flow_map, store

ABSENT = "0" * 26
METHODS = ("get", "head", "post", "put", "delete")
STATES = ("new", "analysed", "running", "held", "asked", "released", "erased", "absent")

OWNER = frozenset({"see", "download", "comment", "run", "share", "manage", "decide"})
#: What each kind of person may do with the study; None: not let in at all, and where to instead.
PEOPLE: dict[str, frozenset[str] | None] = {
    "visitor": None,
    "pending": None,
    "suspended": None,
    "refused": None,
    "without consent": None,
    "without second factor": None,
    "sender": OWNER,
    "colleague": OWNER | {"own comment"},
    "viewer": frozenset({"see"}),
    "grantee": frozenset({"see", "download", "answer"}),
    "grantee by trust": frozenset({"see", "download"}),
    "runner": frozenset({"see", "run"}),
    "commenter": frozenset({"see", "comment"}),
    "expired": frozenset(),
    "revoked": frozenset(),
    "stranger": frozenset(),
    "moved away": frozenset(),
    "researcher": frozenset(),
    "administrator": frozenset(),
    "trust administrator": frozenset({"decide"}),
    "foreign trust administrator": frozenset(),
}
VERBS_OF_SHARES = {
    "viewer": {"may_download": False},
    "grantee": {},
    "grantee by trust": {},
    "runner": {"may_download": False, "may_run": True},
    "commenter": {"may_download": False, "may_comment": True},
    "expired": {"may_run": True},
    "revoked": {"may_run": True},
}


@dataclass(frozen=True)
class Row:
    """An address, the verb that each of its methods takes, and the status of an answer."""

    route: str
    path: str
    verbs: dict[str, str]
    status: dict[str, int]
    data: dict[str, Any]


def row(route: str, path: str = "", *, data: dict[str, Any] | None = None, **methods: Any) -> Row:
    """Each method as ``get=("see", 200)``."""
    verbs = {method: verb for method, (verb, _) in methods.items()}
    status = {method: status for method, (_, status) in methods.items()}
    path = path or "/" + re.sub("<public_id:public_id>", "{study}", route)
    return Row(route, path, verbs, status, data or {})


_STUDY = "studies/<public_id:public_id>/"
TABLE = [
    row(_STUDY, get=("see", 200)),
    row(f"{_STUDY}everything.zip", get=("download", 200)),
    row(f"{_STUDY}segments.csv", get=("download", 200)),
    row(f"{_STUDY}dicom.zip", get=("download", 200)),
    row(f"{_STUDY}dicom-for-archive.zip", get=("manage", 200)),
    row(f"{_STUDY}compare/", get=("see", 200)),
    row(
        f"{_STUDY}compare/<slug:folder>.png",
        "/studies/{study}/compare/stress_mid.png?first=1&second=2", get=("see", 200),
    ),
    row(
        f"{_STUDY}comments/", get=("see", 200), post=("comment", 302),
        data={"text": "Look at the septum."},
    ),
    row(
        "comments/<public_id:public_id>/change/", "/comments/{comment}/change/",
        get=("own comment", 200), post=("own comment", 302), data={"text": "Look again."},
    ),
    row(
        "comments/<public_id:public_id>/take-back/", "/comments/{comment}/take-back/",
        post=("own comment", 302),
    ),
    row(
        "questions/<public_id:public_id>/", "/questions/{share}/",
        get=("answer", 200), post=("answer", 302),
        data={"quality": "good", "finding": "no_defect"},
    ),
    row(f"{_STUDY}workspace/", get=("see", 200)),
    row(
        f"{_STUDY}drawing/", get=("run", 200), put=("run", 400), delete=("run", 200),
    ),
    row(f"{_STUDY}run/drawn/", post=("run", 302), data={"result": "2"}),
    row("files/<public_id:public_id>/", "/files/{curves}/", get=("see", 200), head=("see", 200)),
    row(f"{_STUDY}series/", get=("manage", 200), post=("manage", 200)),
    row(f"{_STUDY}segments/", get=("manage", 200), post=("manage", 302), data={"version": "0"}),
    row(
        f"{_STUDY}record/", get=("manage", 200), post=("manage", 302), data={"agent": "gadoterate"},
    ),
    row(
        f"{_STUDY}report/", get=("manage", 200), post=("manage", 302),
        data={"text": "Flow is even.", "do": "save"},
    ),
    row(
        f"{_STUDY}share/", get=("share", 200), post=("share", 302),
        data={"to_email": "reader@hospital.example", "reason": "opinion", "days": "3"},
    ),
    row(f"{_STUDY}research/", post=("manage", 302), data={"allowed": "yes"}),
    row(f"{_STUDY}openings/", get=("manage", 200)),
    row(f"{_STUDY}hold/", get=("manage", 200), post=("manage", 302), data={"reason": "court"}),
    row(f"{_STUDY}erase/", get=("manage", 200), post=("manage", 302), data={"reason": "over"}),
    row(f"{_STUDY}run/", get=("see", 200)),
    row(f"{_STUDY}run/submit/", post=("run", 302)),
    row(f"{_STUDY}run/options/", get=("run", 200), post=("run", 302), data={"protocol": ""}),
    row(f"{_STUDY}status.json", get=("see", 200)),
    row("files/<public_id:public_id>/", "/files/{picture}/", get=("see", 200), head=("see", 200)),
    row(
        "files/<public_id:public_id>/", "/files/{picture}/?download",
        get=("download", 200), head=("download", 200),
    ),
    row(
        "files/<public_id:public_id>/", "/files/{data}/",
        get=("download", 200), head=("download", 200),
    ),
    row("shares/<public_id:public_id>/revoke/", "/shares/{share}/revoke/", post=("share", 302)),
    row("runs/<public_id:public_id>/cancel/", "/runs/{run}/cancel/", post=("manage", 302)),
    row("erasures/<public_id:public_id>/", "/erasures/{erasure}/", get=("decide", 200)),
    row(
        "erasures/<public_id:public_id>/confirm/", "/erasures/{erasure}/confirm/",
        post=("decide", 302),
    ),
    row(
        "erasures/<public_id:public_id>/withdraw/", "/erasures/{erasure}/withdraw/",
        post=("decide", 302),
    ),
]  # fmt: skip


def expected(who: str, state: str, row: Row, method: str) -> int:
    """The status that the rules ask for."""
    verbs = PEOPLE[who]
    if verbs is None:
        return 302
    if method not in row.verbs:
        return 405
    there = state in ("asked", "erased") if "{erasure}" in row.path else state in STATES[:-2]
    if not there or row.verbs[method] not in verbs:
        return 404
    needs_result = ("/workspace/", "/drawing/", "/drawn/", "/segments.csv", "/segments/")
    if row.route.endswith(needs_result) and state in ("new", "running"):
        return 404  # there is no result to be opened
    if "/compare/" in row.route and state in ("new", "running"):
        return 404  # there is nothing to compare
    if row.route.endswith((".zip", "/report/")) and "everything" not in row.route and state in (
        "new", "running",
    ):  # fmt: skip
        return 302 if row.route.endswith("/report/") else 404  # there is no result yet
    if state == "held" and row.route.endswith("/erase/") and method == "post":
        return 200  # the form says that the study must be kept
    if state == "held" and row.route.endswith("/hold/") and method == "post":
        return 302
    return row.status[method]


# --- the site -----------------------------------------------------------------------------------


@dataclass
class Site:
    """People by kind, and the ids of what belongs to the study of each state."""

    people: dict[str, User]
    objects: dict[str, dict[str, str]]

    def clients(self) -> dict[str, Client]:
        made = {who: Client() for who in PEOPLE}
        for who, user in self.people.items():
            made[who].force_login(user)
        return made


def make_site() -> Site:
    trust = make_trust("Owning Trust", research_allowed=True)
    make_user(make_trust(), email="reader@hospital.example")
    status = {one: {"status": one} for one in ("pending", "suspended", "refused")}
    people = {who: make_user(trust, **status[who]) for who in status}
    people |= {who: make_user(trust) for who in ("sender", "colleague", "moved away")}
    people |= {who: make_user(make_trust()) for who in (*VERBS_OF_SHARES, "stranger")}
    people["researcher"] = make_user(trust, Role.RESEARCHER)
    people["administrator"] = make_administrator()
    people["trust administrator"] = make_user(trust, Role.TRUST_ADMINISTRATOR)
    people["foreign trust administrator"] = make_user(make_trust(), Role.TRUST_ADMINISTRATOR)
    people |= {who: make_user(trust) for who in ("without consent", "without second factor")}
    Consent.objects.filter(user=people["without consent"]).delete()
    for who in people.keys() - {"without second factor"}:
        Authenticator.objects.create(user=people[who], type=Authenticator.Type.TOTP, data={})
    site = Site(people, {})
    for state in STATES[:-1]:
        site.objects[state] = _study(state, people)
    site.objects["absent"] = dict.fromkeys(site.objects["new"], ABSENT)
    Membership.objects.filter(user=people["moved away"]).update(trust=make_trust())
    return site


def _study(state: str, people: dict[str, User]) -> dict[str, str]:
    owner = people["sender"]
    study = make_study(owner.trust, hold_reason="court order" if state == "held" else "")
    results = [] if state in ("new", "running") else [make_result(study), make_result(study)]
    for one in results:
        store(study, "mbf.npy", "application/octet-stream", flow_map(one.number), result=one)
    result = results[-1] if results else None
    # Its sender has moved away since: a run of the past is no claim on the study.
    run = runs.submit(study, engine="mcaq", by=people["moved away"])
    if state != "running":
        runs.cancel(run, by=owner)
    grants = {
        who: sharing.share(
            study, by=owner, reason="opinion", **verbs,
            question="Is it a defect?" if who == "grantee" else "",
            **({"to_trust": people[who].trust} if who == "grantee by trust"
               else {"to_user": people[who]}),
        )
        for who, verbs in VERBS_OF_SHARES.items()
    }  # fmt: skip
    past = timezone.now() - timedelta(seconds=1)
    Share.objects.filter(pk=grants["expired"].pk).update(expires_at=past)
    sharing.revoke(grants["revoked"], by=owner)
    if state == "released":
        sharing.set_research_permission(study, by=owner, allowed=True)
    made = {
        "study": study.public_id,
        "run": run.public_id,
        "share": grants["grantee"].public_id,
        "picture": store(study, "mbf.png", "image/png", result=result).public_id,
        "curves": store(study, "curves.json", "application/json", b"{}", result=result).public_id,
        "data": store(study, "aif.csv", "text/csv", result=result).public_id,
        "erasure": ABSENT,
        "comment": comments.write(
            study, by=people["colleague"], text="Look here.", place={}
        ).public_id,
    }
    identity.record(study, [{"patient": {"number": "INV 1"}, "study": {"uid": "1.2"}, "uids": {}}])
    if result is not None:
        store(
            study, "dicom.zip", "application/zip", EMPTY_ZIP,
            result=result, kind=StoredFile.Kind.OBJECTS,
        )  # fmt: skip
    if state in ("asked", "erased"):
        asked = erasure.request(study, by=owner, reason="patient")
        made["erasure"] = asked.public_id
    if state == "erased":
        erasure.confirm(asked, by=people["colleague"])
        erasure.finish(asked.pk)
        assert not Study.objects.filter(public_id=study.public_id).exists()
    return made


# --- asking -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Answer:
    status: int
    headers: tuple[tuple[str, str], ...]
    body: str
    verbs: tuple[str, ...]


def ask(client: Client, method: str, path: str, data: dict[str, Any]) -> Answer:
    """Ask once; what it changed is undone."""
    last = AuditEvent.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    with transaction.atomic():
        cookies = client.cookies.copy()
        response = getattr(client, method)(path, data if method == "post" else {})
        content = b"".join(response) if response.streaming else response.content
        verbs = tuple(AuditEvent.objects.filter(pk__gt=last).values_list("verb", flat=True))
        transaction.set_rollback(True)
    client.cookies = cookies
    text = content.decode("utf-8", "replace").replace(response["X-Request-ID"], "")
    text = re.sub(r'(?<=name="csrfmiddlewaretoken" value=")\w+', "", text)
    headers = tuple(item for item in response.items() if item[0] != "X-Request-ID")
    return Answer(response.status_code, headers, text, verbs)


def cells(
    people: tuple[str, ...], states: tuple[str, ...], methods: tuple[str, ...]
) -> Iterator[tuple[str, Row, str, str]]:
    """Person, row, method and state, with the states of one row and method together."""
    for who, line, method in product(people, TABLE, methods):
        for state in states:
            yield who, line, method, state


@dataclass
class Tally:
    """How many were asked, and what was wrong: the status, a difference of refusals, no record."""

    asked: int = 0
    status: list[tuple[Any, ...]] = field(default_factory=list)
    telling: list[tuple[Any, ...]] = field(default_factory=list)
    unrecorded: list[tuple[Any, ...]] = field(default_factory=list)


@override_settings(REQUIRE_MFA=True)
def go_through(
    site: Site,
    people: tuple[str, ...] = tuple(PEOPLE),
    states: tuple[str, ...] = STATES,
    methods: tuple[str, ...] = METHODS,
) -> Tally:
    """Ask every cell. All refusals of one row to one person must be the same, byte for byte."""
    tally = Tally()
    clients = site.clients()
    refusals: dict[tuple[str, str, str], Answer] = {}
    for who, line, method, state in cells(people, states, methods):
        path = line.path.format_map(site.objects[state])
        answer = ask(clients[who], method, path, line.data)
        tally.asked += 1
        wanted = expected(who, state, line, method)
        cell = (who, state, method, line.path)
        if answer.status != wanted:
            tally.status.append((*cell, answer.status, wanted))
        elif wanted == 404:
            key = (who, line.path, method)
            if refusals.setdefault(key, answer) != answer:
                tally.telling.append(cell)
            if answer.verbs != ("access.refused",):
                tally.unrecorded.append((*cell, answer.verbs))
        elif wanted == 200 and method in ("get", "head") and not answer.verbs:
            tally.unrecorded.append(cell)
    return tally


def undeclared(routes: set[str]) -> set[str]:
    """Addresses of a study or of what belongs to it that have no row here."""
    ours = {line.route for line in TABLE}
    about = re.compile(r"^(studies|files|shares|runs|erasures)/<")
    return {route for route in routes if about.match(route)} - ours

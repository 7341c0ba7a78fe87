"""One study with all that belongs to it, and a person of every kind who may ask for it."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
from django.core.files.base import ContentFile
from django.test import Client
from django.utils import timezone

from accounts import tokens
from accounts.models import Trust, User
from accounts.roles import Role
from processing import protocols, runs
from studies import comments, erasure, identity, reporting, sharing, uploads
from studies.models import Retention, Share, StoredFile, Study
from tests.people import (
    make_administrator,
    make_project,
    make_released,
    make_result,
    make_series,
    make_study,
    make_trust,
    make_user,
    protocol_content,
)

UNAPPROVED = frozenset({"pending", "suspended", "refused"})
EMPTY_ZIP = b"PK\5\6" + b"\0" * 18
OWNERS = frozenset({"sender", "colleague"})
#: Those with a live share who may take the data away, and all who may look.
TAKERS = OWNERS | {"grantee", "grantee by trust"}
SEERS = TAKERS | {"viewer"}
CONSULTANTS = SEERS | {"stranger", "expired", "revoked"}
APPROVED = CONSULTANTS | {"researcher", "trust administrator", "administrator"}
EVERYBODY = APPROVED | UNAPPROVED | {"visitor"}


@dataclass(frozen=True)
class World:
    """Addresses of objects by name, for ``own`` and ``foreign``, and the people by name."""

    own: dict[str, str]
    foreign: dict[str, str]
    people: dict[str, User]

    def client(self, who: str, **options: object) -> Client:
        client = Client(**options)
        if who in self.people:
            client.force_login(self.people[who])
        return client


def make_world() -> World:
    trust = make_trust("Owning Trust", research_allowed=True)
    people = {
        "sender": make_user(trust),
        "colleague": make_user(trust),
        "researcher": make_user(trust, Role.RESEARCHER),
        "trust administrator": make_user(trust, Role.TRUST_ADMINISTRATOR),
        "administrator": make_administrator(),
        "pending": make_user(trust, status=User.Status.PENDING),
        "suspended": make_user(trust, status=User.Status.SUSPENDED),
        "refused": make_user(trust, status=User.Status.REFUSED),
        "stranger": make_user(make_trust()),
        "grantee": make_user(make_trust()),
        "viewer": make_user(make_trust()),
        "grantee by trust": make_user(make_trust()),
        "expired": make_user(make_trust()),
        "revoked": make_user(make_trust()),
    }
    study, own = _objects(trust, people["sender"])
    grants = {
        who: sharing.share(
            study, by=people["sender"], reason="opinion", may_download=who != "viewer",
            **_to(people[who], by_trust=who == "grantee by trust"),
            question="Is it a defect?" if who == "grantee" else "",
        )
        for who in ("grantee", "viewer", "grantee by trust", "expired", "revoked")
    }  # fmt: skip
    past = timezone.now() - timedelta(seconds=1)
    Share.objects.filter(pk=grants["expired"].pk).update(expires_at=past)
    sharing.revoke(grants["revoked"], by=people["sender"])
    own["key"] = _key(people["sender"])
    own["share"] = grants["grantee"].public_id

    elsewhere = make_trust()
    owner = make_user(elsewhere)
    other, foreign = _objects(elsewhere, owner)
    receiver = make_user(make_trust())
    foreign["key"] = _key(owner)
    foreign["share"] = sharing.share(
        other, by=owner, to_user=receiver, reason="x", question="?"
    ).public_id
    giving = make_trust(research_allowed=True)
    make_released(giving, 5)
    own |= _project(people["researcher"], giving, trust)
    foreign |= _project(make_user(elsewhere, Role.RESEARCHER), giving, elsewhere)
    return World(own, foreign, people)


def _project(researcher: User, giving: Trust, asked: Trust) -> dict[str, str]:
    project = make_project(researcher, giving, asked)
    return {
        "project": project.public_id,
        "project_trust": project.trusts.get(trust=asked).public_id,
    }


def _key(user: User) -> str:
    token, _text = tokens.create(user, name="script", scopes=["read"], days=1)
    return token.public_id


def _to(user: User, *, by_trust: bool) -> dict[str, object]:
    return {"to_trust": user.trust} if by_trust else {"to_user": user}


def _objects(trust: Trust, user: User) -> tuple[Study, dict[str, str]]:
    study = make_study(trust, research_permission=True)
    identity.record(study, [{"patient": {"number": "INV 1"}, "study": {"uid": "1.2"}, "uids": {}}])
    earlier, result = make_result(study), make_result(study)
    for one in (earlier, result):
        store(study, "mbf.npy", "application/octet-stream", flow_map(one.number), result=one)
    make_series(study)
    upload = uploads.start(user)
    uploads.add_files(upload, [("IM_0001", ContentFile(b"some bytes"))])
    sending = uploads.start(user)
    part = uploads.expect(sending, name="IM_0002", size=5)
    protocol = protocols.create(by=user, content=protocol_content())
    asked = erasure.request(study, by=user, reason="patient")
    Retention.objects.create(trust=trust, days=3650)
    run = runs.submit(study, engine="mcaq", parameters={"protocol": {"field_t": 3.0}}, by=user)
    report = reporting.save(study, by=user, text="Flow is even.", seen=None)
    reporting.sign(report, by=user)
    draft = reporting.save(study, by=user, text="Flow is uneven.", seen=None)
    return study, {
        "report": report.public_id,
        "draft": draft.public_id,
        "study": study.public_id,
        "result": result.public_id,
        "reference": study.reference,
        "erasure": asked.public_id,
        "run": run.public_id,
        "protocol": protocol.public_id,
        "upload": upload.public_id,
        "sending": sending.public_id,
        "part": part.public_id,
        "comment": comments.write(study, by=user, text="Look here.", place={}).public_id,
        "picture": store(study, "mbf.png", "image/png", result=result).public_id,
        "data": store(study, "aif.csv", "text/csv", result=result).public_id,
        "curves": store(study, "curves.json", "application/json", b"{}", result=result).public_id,
        "objects": store(
            study,
            "dicom.zip",
            "application/zip",
            EMPTY_ZIP,
            result=result,
            kind=StoredFile.Kind.OBJECTS,
        ).public_id,
    }


def flow_map(mbf: float) -> bytes:
    """A map of flow as an engine writes it."""
    out = io.BytesIO()
    np.save(out, np.full((4, 5), mbf, np.float32))
    return out.getvalue()


def store(
    study: Study, name: str, content_type: str, body: bytes = b"", **fields: object
) -> StoredFile:
    """A stored file, with some bytes of its own if no others are given."""
    body = body or f"{study.public_id} {name}".encode()
    stored = StoredFile(
        **{
            "study": study, "kind": StoredFile.Kind.DATA, "folder": "stress_mid", "name": name,
            "size": len(body), "content_type": content_type,
            "sha256": hashlib.sha256(body).hexdigest(), **fields,
        }
    )  # fmt: skip
    stored.file.save(name, ContentFile(body), save=True)
    return stored

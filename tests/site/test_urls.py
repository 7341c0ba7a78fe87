"""Every address of the site, who may use it, and that nobody else learns anything from it.

Each pattern is declared below. A new one fails the first test until somebody has decided who may
use it; then it is asked for by a person of every kind.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import transaction
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from accounts import registration
from accounts.models import Appointment, AuditEvent, Feedback, Interest, Policy, Trust, User
from accounts.roles import Role
from processing.models import EngineCard, EngineUse, ProtocolVersion
from studies.models import Project, Retention, Series
from tests.people import make_trust, make_user
from tests.site.world import (
    APPROVED,
    CONSULTANTS,
    EVERYBODY,
    OWNERS,
    SEERS,
    TAKERS,
    UNAPPROVED,
    World,
    make_world,
)

pytestmark = pytest.mark.django_db

JSON = {"Accept": "application/json"}
TUS = {"Tus-Resumable": "1.0.0"}
ABSENT = "0" * 26
#: The line that a refusal leaves, whatever was asked for.
REFUSED = ["access.refused"]


@dataclass(frozen=True)
class Use:
    """One way to use an address.

    path: with the names of objects in braces. who: the people it serves; the others meet the
    usual answers. answers: where the answer depends on who asks. verb: the line in the record
    that each use leaves; "" for what leaves none, such as the polls behind a page that did.
    otherwise: the line of those who get an answer that is neither what they asked for nor a 404.
    """

    path: str
    who: frozenset[str] = frozenset()
    method: str = "get"
    data: Callable[[], dict[str, Any]] = dict
    headers: dict[str, str] = field(default_factory=dict)
    ok: int = 200
    verb: str = ""
    answers: dict[str, int] = field(default_factory=dict)
    otherwise: str = ""

    def expected(self, who: str) -> int:
        if who in self.answers:
            return self.answers[who]
        if who in self.who:
            return self.ok
        if who in UNAPPROVED and self.headers == JSON:
            return 403
        return 302 if who in UNAPPROVED or who == "visitor" else 404


def post(path: str, who: frozenset[str], **options: Any) -> Use:
    return Use(path, who, method="post", **options)


def each(people: frozenset[str], status: int) -> dict[str, int]:
    return dict.fromkeys(people, status)


SENDER = frozenset({"sender"})
RESEARCHER = frozenset({"researcher"})
ADMINISTRATOR = frozenset({"administrator"})
OF_TRUST = frozenset({"trust administrator"})
#: Who decides for a trust; each sees what is asked of the own one.
DECIDERS = CONSULTANTS | OF_TRUST
SIGNED_IN = APPROVED | UNAPPROVED
VISITOR = frozenset({"visitor"})


def own_project() -> str:
    return Project.objects.get(members__memberships__trust__name="Owning Trust").public_id


SITE: dict[str, list[Use]] = {
    "": [
        Use(
            "/", VISITOR | CONSULTANTS, answers=each(RESEARCHER | ADMINISTRATOR | OF_TRUST, 302),
            verb="study.list",
        ),
    ],
    "progress/": [
        Use("/progress/", CONSULTANTS, answers=each(RESEARCHER | ADMINISTRATOR | OF_TRUST, 204)),
    ],
    "find/": [
        post("/find/", CONSULTANTS, verb="identity.search", data=lambda: {"number": "INV 0001"}),
        post("/find/", CONSULTANTS, ok=422),
    ],
    "uploads/": [
        post("/uploads/", CONSULTANTS, headers=JSON, ok=201, verb="upload.start"),
        post(
            "/uploads/", CONSULTANTS, ok=302, verb="upload.complete",
            data=lambda: {"files": [SimpleUploadedFile("IM_0001", b"bytes")]},
        ),
    ],
    "uploads/<public_id:public_id>/": [Use("/uploads/{upload}/", SENDER, verb="upload.view")],
    "uploads/<public_id:public_id>/files/": [
        post(
            "/uploads/{upload}/files/", SENDER,
            data=lambda: {"files": [SimpleUploadedFile("IM_0002", b"bytes")]},
        ),
    ],
    "uploads/<public_id:public_id>/parts/": [
        post("/uploads/{sending}/parts/", SENDER, headers={**TUS, "Upload-Length": "5"}, ok=201),
        Use("/uploads/{sending}/parts/", SENDER, method="options", ok=204),
    ],
    "uploads/<public_id:public_id>/parts/<public_id:part_id>/": [
        Use("/uploads/{sending}/parts/{part}/", SENDER, method="head", headers=TUS),
        Use("/uploads/{sending}/parts/{part}/", SENDER, method="delete", headers=TUS, ok=204),
        Use("/uploads/{sending}/parts/{part}/", SENDER, method="options", ok=204),
        Use("/uploads/{sending}/parts/{part}/", SENDER, method="patch", headers=TUS, ok=415),
        post(
            "/uploads/{sending}/parts/{part}/", SENDER, ok=415,
            headers={**TUS, "X-HTTP-Method-Override": "PATCH"},
        ),
    ],
    "uploads/<public_id:public_id>/complete/": [
        post("/uploads/{upload}/complete/", SENDER, verb="upload.complete"),
    ],
    "uploads/<public_id:public_id>/answer/": [
        post("/uploads/{upload}/answer/", SENDER, ok=302),
    ],
    "uploads/<public_id:public_id>/withdraw/": [
        post("/uploads/{upload}/withdraw/", SENDER, ok=302, verb="upload.withdraw"),
    ],
    "uploads/<public_id:public_id>/status/": [Use("/uploads/{upload}/status/", SENDER)],
    "uploads/<public_id:public_id>/status.json": [Use("/uploads/{upload}/status.json", SENDER)],
    "studies/<public_id:public_id>/": [Use("/studies/{study}/", SEERS, verb="study.view")],
    "studies/<public_id:public_id>/everything.zip": [
        Use("/studies/{study}/everything.zip", TAKERS, verb="study.download"),
    ],
    "studies/<public_id:public_id>/dicom.zip": [
        Use("/studies/{study}/dicom.zip", TAKERS, verb="objects.download"),
    ],
    "studies/<public_id:public_id>/dicom-for-archive.zip": [
        Use(
            "/studies/{study}/dicom-for-archive.zip", OWNERS, verb="objects.download_identified"
        ),
    ],
    "studies/<public_id:public_id>/comments/": [
        Use("/studies/{study}/comments/", SEERS, verb="comment.list"),
        post(
            "/studies/{study}/comments/", OWNERS, ok=302, verb="comment.write",
            data=lambda: {"text": "Look at the septum."},
        ),
    ],
    "comments/<public_id:public_id>/change/": [
        Use("/comments/{comment}/change/", SENDER, verb="comment.list"),
        post(
            "/comments/{comment}/change/", SENDER, ok=302, verb="comment.change",
            data=lambda: {"text": "Look again."},
        ),
    ],
    "comments/<public_id:public_id>/take-back/": [
        post("/comments/{comment}/take-back/", SENDER, ok=302, verb="comment.take_back"),
    ],
    "questions/<public_id:public_id>/": [
        Use("/questions/{share}/", frozenset({"grantee"}), verb="question.view"),
        post(
            "/questions/{share}/", frozenset({"grantee"}), ok=302, verb="question.answer",
            data=lambda: {"quality": "good", "finding": "no_defect"},
        ),
    ],
    "studies/<public_id:public_id>/segments.csv": [
        Use("/studies/{study}/segments.csv", TAKERS, verb="study.download"),
    ],
    "admin/overview/": [Use("/admin/overview/", ADMINISTRATOR, verb="site.overview")],
    "studies/<public_id:public_id>/workspace/": [
        Use("/studies/{study}/workspace/", SEERS, verb="study.workspace"),
    ],
    "studies/<public_id:public_id>/drawing/": [
        Use("/studies/{study}/drawing/", OWNERS, verb="study.workspace"),
        Use("/studies/{study}/drawing/", OWNERS, method="put", ok=400),
        Use("/studies/{study}/drawing/", OWNERS, method="delete"),
    ],
    "studies/<public_id:public_id>/run/drawn/": [
        post("/studies/{study}/run/drawn/", OWNERS, data=lambda: {"result": "1"}, ok=302),
    ],
    "studies/<public_id:public_id>/compare/": [
        Use("/studies/{study}/compare/", SEERS, verb="study.compare"),
    ],
    "studies/<public_id:public_id>/compare/<slug:folder>.png": [
        Use("/studies/{study}/compare/stress_mid.png?first=1&second=2", SEERS,
            verb="study.compare"),
    ],
    "studies/<public_id:public_id>/series/": [
        Use("/studies/{study}/series/", OWNERS, verb="study.view"),
        post(
            "/studies/{study}/series/", OWNERS, ok=302, verb="study.correct",
            data=lambda: {f"{Series.objects.earliest('pk').public_id}-state": "rest"},
        ),
    ],
    "studies/<public_id:public_id>/segments/": [
        Use("/studies/{study}/segments/", OWNERS, verb="study.view"),
        post(
            "/studies/{study}/segments/", OWNERS, ok=302, verb="result.read",
            data=lambda: {"version": "0"},
        ),
    ],
    "studies/<public_id:public_id>/record/": [
        Use("/studies/{study}/record/", OWNERS, verb="study.record_view"),
        post(
            "/studies/{study}/record/", OWNERS, ok=302, verb="study.record",
            data=lambda: {"agent": "gadoterate"},
        ),
    ],
    "uploads/<public_id:public_id>/record/": [
        Use("/uploads/{upload}/record/", SENDER),
        post(
            "/uploads/{upload}/record/", SENDER, ok=302, verb="upload.answer",
            data=lambda: {"agent": "gadoterate"},
        ),
    ],
    "studies/<public_id:public_id>/report/": [
        Use("/studies/{study}/report/", OWNERS, verb="report.write"),
        post(
            "/studies/{study}/report/", OWNERS, ok=302, verb="report.save",
            data=lambda: {"text": "Flow is even.", "do": "save", "seen": "1"},
        ),
        post(
            "/studies/{study}/report/", OWNERS, ok=302, verb="report.sign",
            data=lambda: {"text": "Flow is even.", "do": "sign", "seen": "1"},
        ),
    ],
    "reports/<public_id:public_id>/": [
        Use("/reports/{report}/", SEERS, verb="report.view"),
        Use("/reports/{draft}/", OWNERS, verb="report.view"),
    ],
    "reports/<public_id:public_id>/report.pdf": [
        Use("/reports/{report}/report.pdf", TAKERS, verb="report.download"),
    ],
    "reports/<public_id:public_id>/report.txt": [
        Use("/reports/{report}/report.txt", TAKERS, verb="report.download"),
        Use("/reports/{draft}/report.txt", OWNERS, verb="report.download"),
    ],
    "studies/<public_id:public_id>/share/": [
        Use("/studies/{study}/share/", OWNERS, verb="study.share_form"),
        post(
            "/studies/{study}/share/", OWNERS, ok=302, verb="study.share",
            data=lambda: {"to_email": "reader@hospital.example", "reason": "opinion", "days": 3},
        ),
    ],
    "studies/<public_id:public_id>/research/": [
        post(
            "/studies/{study}/research/", OWNERS, ok=302, verb="study.research_permission",
            data=lambda: {"allowed": "no"},
        ),
    ],
    "studies/<public_id:public_id>/openings/": [
        Use("/studies/{study}/openings/", OWNERS, verb="study.openings"),
    ],
    "studies/<public_id:public_id>/hold/": [
        Use("/studies/{study}/hold/", OWNERS, verb="study.hold_form"),
        post(
            "/studies/{study}/hold/", OWNERS, ok=302, verb="study.hold",
            data=lambda: {"reason": "court order"},
        ),
    ],
    "studies/<public_id:public_id>/erase/": [
        Use("/studies/{study}/erase/", OWNERS, verb="study.erase_form"),
        # It has been asked for: asking again is the same request, and the page is its own.
        post(
            "/studies/{study}/erase/", OWNERS, ok=302, data=lambda: {"reason": "patient"},
        ),
    ],
    "erasures/": [Use("/erasures/", CONSULTANTS | OF_TRUST, verb="erasure.list")],
    "erasures/<public_id:public_id>/": [
        Use("/erasures/{erasure}/", OWNERS | OF_TRUST, verb="erasure.view"),
    ],
    "erasures/<public_id:public_id>/confirm/": [
        # Who asked for it is told that a second person must confirm.
        post(
            "/erasures/{erasure}/confirm/", (OWNERS | OF_TRUST) - SENDER, ok=302,
            verb="erasure.confirm", answers=each(SENDER, 302),
            otherwise="erasure.confirm_refused",
        ),
    ],
    "erasures/<public_id:public_id>/withdraw/": [
        post("/erasures/{erasure}/withdraw/", OWNERS | OF_TRUST, ok=302, verb="erasure.withdraw"),
    ],
    "look-up/": [
        Use("/look-up/", CONSULTANTS),
        post("/look-up/", SEERS, ok=302, verb="lookup.found",
             data=lambda: {"reference": "{reference}"},
             answers=each(CONSULTANTS - SEERS, 422), otherwise="lookup.invalid"),
    ],
    "shares/<public_id:public_id>/revoke/": [
        post("/shares/{share}/revoke/", OWNERS, ok=302, verb="study.unshare"),
    ],
    "files/<public_id:public_id>/": [
        Use("/files/{picture}/", SEERS, verb="file.view"),
        Use("/files/{curves}/", SEERS, verb="file.view"),
        Use("/files/{picture}/?download", TAKERS, verb="file.download"),
        Use("/files/{data}/", TAKERS, verb="file.download"),
        Use("/files/{data}/", TAKERS, method="head", verb="file.download"),
    ],
    "de-identification/": [Use("/de-identification/", EVERYBODY)],
    "de-identification/rules.json": [Use("/de-identification/rules.json", EVERYBODY)],
    "api/v1/schema/": [Use("/api/v1/schema/?format=json", EVERYBODY)],
    "api/v1/docs/": [Use("/api/v1/docs/", EVERYBODY)],
    "notifications/": [Use("/notifications/", APPROVED, verb="notification.list")],
    "notifications/read/": [
        post("/notifications/read/", APPROVED, ok=302, verb="notification.read"),
    ],
    "research/": [Use("/research/", RESEARCHER, verb="research.view")],
    "research/engines/": [Use("/research/engines/", RESEARCHER, verb="research.view")],
    "research/export/": [
        post(
            "/research/export/", RESEARCHER, verb="research.export",
            data=lambda: {
                "purpose": "Study of 40 letters", "level": "study", "contents": "csv",
                "project": own_project(),
            },
        ),
    ],
    "research/cohorts/": [
        post(
            "/research/cohorts/", RESEARCHER, ok=302, verb="cohort.save",
            data=lambda: {"name": "All", "project": own_project()},
        ),
    ],
    "research/projects/": [Use("/research/projects/", RESEARCHER, verb="project.list")],
    "research/projects/new/": [
        Use("/research/projects/new/", RESEARCHER, verb="project.form"),
        post("/research/projects/new/", RESEARCHER),
    ],
    "research/projects/<public_id:public_id>/": [
        Use("/research/projects/{project}/", RESEARCHER, verb="project.view"),
    ],
    "research/projects/<public_id:public_id>/members/": [
        post("/research/projects/{project}/members/", RESEARCHER, ok=422, verb=""),
    ],
    "research/projects/<public_id:public_id>/close/": [
        post("/research/projects/{project}/close/", RESEARCHER, ok=302, verb="project.close"),
    ],
    "research/requests/": [Use("/research/requests/", DECIDERS, verb="project.requests")],
    "research/requests/<public_id:public_id>/decide/": [
        post(
            "/research/requests/{project_trust}/decide/", OWNERS | OF_TRUST, ok=302,
            verb="project.decide",
            data=lambda: {"do": "refuse"},
        ),
    ],
    "studies/<public_id:public_id>/run/": [
        Use("/studies/{study}/run/", SEERS, verb="study.run_state"),
    ],
    "studies/<public_id:public_id>/run/submit/": [
        post("/studies/{study}/run/submit/", OWNERS, ok=302, verb="run.submit"),
    ],
    "studies/<public_id:public_id>/run/options/": [
        Use("/studies/{study}/run/options/", OWNERS, verb="study.run_options"),
        post(
            "/studies/{study}/run/options/", OWNERS, ok=302, verb="run.submit",
            data=lambda: {"stress_mid-interval": "0.9"},
        ),
    ],
    "protocols/": [Use("/protocols/", CONSULTANTS, verb="protocol.list")],
    "protocols/new/": [
        Use("/protocols/new/", CONSULTANTS),
        post(
            "/protocols/new/", CONSULTANTS, ok=302, verb="protocol.create",
            data=lambda: {"name": "Single sequence", "use": "chosen"},
        ),
    ],
    "protocols/<public_id:public_id>/": [
        Use("/protocols/{protocol}/", OWNERS, verb="protocol.view"),
    ],
    "protocols/<public_id:public_id>/edit/": [
        Use("/protocols/{protocol}/edit/", OWNERS, verb="protocol.view"),
        post(
            "/protocols/{protocol}/edit/", OWNERS, ok=302, verb="protocol.change",
            data=lambda: {"name": "Dual sequence", "use": "fitting", "seen": 1, "field_t": "3"},
        ),
    ],
    "protocols/<public_id:public_id>/versions/<int:number>/": [
        Use("/protocols/{protocol}/versions/1/", OWNERS, verb="protocol.view"),
    ],
    "studies/<public_id:public_id>/status.json": [
        Use("/studies/{study}/status.json", SEERS, verb="study.run_state"),
    ],
    "runs/<public_id:public_id>/cancel/": [
        post("/runs/{run}/cancel/", OWNERS, ok=302, verb="run.cancel"),
    ],
    "intended-use/": [Use("/intended-use/", EVERYBODY)],
    "cookies/": [Use("/cookies/", EVERYBODY)],
    "accessibility/": [Use("/accessibility/", EVERYBODY)],
}  # fmt: skip

ACCOUNTS: dict[str, list[Use]] = {
    # For people who are not signed in; who is, is sent home.
    "accounts/login/": [Use("/accounts/login/", VISITOR, answers=each(SIGNED_IN, 302))],
    "accounts/signup/": [Use("/accounts/signup/", VISITOR, answers=each(SIGNED_IN, 302))],
    # Signing in with a code by mail is not switched on: nothing to confirm for anybody.
    "accounts/login/code/confirm/": [
        Use("/accounts/login/code/confirm/", answers=each(EVERYBODY, 302)),
    ],
    "accounts/logout/": [Use("/accounts/logout/", SIGNED_IN)],
    "accounts/inactive/": [Use("/accounts/inactive/", EVERYBODY)],
    "accounts/confirm-email/": [Use("/accounts/confirm-email/", EVERYBODY)],
    "accounts/^confirm-email/(?P<key>[-:\\w]+)/$": [Use("/accounts/confirm-email/x/", EVERYBODY)],
    "accounts/password/reset/": [Use("/accounts/password/reset/", EVERYBODY)],
    "accounts/password/reset/done/": [Use("/accounts/password/reset/done/", EVERYBODY)],
    "accounts/^password/reset/key/(?P<uidb36>[0-9A-Za-z]+)-(?P<key>.+)/$": [
        Use("/accounts/password/reset/key/1-abc/", EVERYBODY),
    ],
    "accounts/password/reset/key/done/": [Use("/accounts/password/reset/key/done/", EVERYBODY)],
    "accounts/reauthenticate/": [Use("/accounts/reauthenticate/", APPROVED)],
    "accounts/email/": [Use("/accounts/email/", APPROVED)],
    "accounts/password/change/": [Use("/accounts/password/change/", APPROVED)],
    # Everybody has a password: it is changed instead.
    "accounts/password/set/": [Use("/accounts/password/set/", APPROVED, ok=302)],
    # A person's own matters, approved or not.
    "accounts/profile/": [Use("/accounts/profile/", SIGNED_IN)],
    "accounts/my-data.json": [Use("/accounts/my-data.json", SIGNED_IN)],
    "accounts/close/": [Use("/accounts/close/", SIGNED_IN)],
    "accounts/session/": [Use("/accounts/session/", EVERYBODY)],
    "accounts/keys/": [Use("/accounts/keys/", APPROVED)],
    "accounts/keys/<public_id:public_id>/revoke/": [
        post("/accounts/keys/{key}/revoke/", SENDER, ok=302, verb="token.revoke"),
    ],
    "accounts/sessions/": [Use("/accounts/sessions/", APPROVED)],
    "accounts/directory/": [Use("/accounts/directory/", APPROVED)],
    "accounts/invite/": [Use("/accounts/invite/", APPROVED)],
    "accounts/invited/<str:token>/": [Use("/accounts/invited/forged/", EVERYBODY)],
    "accounts/interest/": [Use("/accounts/interest/", EVERYBODY)],
    "accounts/feedback/": [
        Use("/accounts/feedback/", APPROVED),
        post(
            "/accounts/feedback/",
            APPROVED,
            ok=302,
            verb="feedback.send",
            data=lambda: {"text": "The films are small."},
        ),
    ],
    # These people have accepted everything, so there is nothing to ask.
    "accounts/consent/": [Use("/accounts/consent/", answers=each(EVERYBODY, 302))],
    "accounts/2fa/": [Use("/accounts/2fa/", APPROVED)],
    # Only between the password and the second factor, where none of these people is.
    "accounts/2fa/authenticate/": [
        Use("/accounts/2fa/authenticate/", answers=each(EVERYBODY, 302)),
    ],
    # Nobody here has a second factor yet; what would show or change one asks for the password.
    "accounts/2fa/reauthenticate/": [Use("/accounts/2fa/reauthenticate/", APPROVED, ok=302)],
    "accounts/2fa/totp/activate/": [Use("/accounts/2fa/totp/activate/", APPROVED, ok=302)],
    "accounts/2fa/totp/deactivate/": [Use("/accounts/2fa/totp/deactivate/")],
    "accounts/2fa/recovery-codes/": [Use("/accounts/2fa/recovery-codes/")],
    "accounts/2fa/recovery-codes/generate/": [
        Use("/accounts/2fa/recovery-codes/generate/", APPROVED, ok=302),
    ],
    "accounts/2fa/recovery-codes/download/": [Use("/accounts/2fa/recovery-codes/download/")],
    "accounts/2fa/webauthn/": [Use("/accounts/2fa/webauthn/", APPROVED)],
    "accounts/2fa/webauthn/add/": [Use("/accounts/2fa/webauthn/add/", APPROVED, ok=302)],
    "accounts/2fa/webauthn/reauthenticate/": [
        Use("/accounts/2fa/webauthn/reauthenticate/", APPROVED, ok=302),
    ],
    "accounts/2fa/webauthn/keys/<int:pk>/remove/": [
        Use("/accounts/2fa/webauthn/keys/1/remove/", APPROVED, ok=302),
    ],
    "accounts/2fa/webauthn/keys/<int:pk>/edit/": [
        Use("/accounts/2fa/webauthn/keys/1/edit/", APPROVED, ok=302),
    ],
    "accounts/2fa/webauthn/login/": [
        Use("/accounts/2fa/webauthn/login/", EVERYBODY, headers=JSON),
    ],
    "accounts/waiting/": [Use("/accounts/waiting/", UNAPPROVED, answers=each(APPROVED, 302))],
    "accounts/policies/<slug:kind>/": [
        Use("/accounts/policies/privacy/", EVERYBODY),
        Use("/accounts/policies/terms/", EVERYBODY),
        Use("/accounts/policies/other/", answers=each(EVERYBODY, 404)),
    ],
}


def admin(path: str, status: int = 200, of_trust: int = 0, **options: Any) -> Use:
    """For administrators; whoever else is signed in is sent to a sign-in that is not there.

    of_trust: what an administrator of the owning trust meets, where it is not the same.
    """
    others = each((APPROVED - ADMINISTRATOR - OF_TRUST) | VISITOR | UNAPPROVED, 302)
    answers = others | each(ADMINISTRATOR, status) | each(OF_TRUST, of_trust or status)
    return Use(f"/admin/{path}", answers=answers, **options)


ADMIN: dict[str, list[Use]] = {
    "admin/": [admin("")],
    "admin/login/": [
        # The site has one sign-in; this one only sends there.
        Use("/admin/login/", answers=each(VISITOR | UNAPPROVED, 302)),
    ],
    "admin/logout/": [admin("logout/", method="post")],
    "admin/password_change/": [admin("password_change/", 302)],
    "admin/password_change/done/": [admin("password_change/done/")],
    "admin/autocomplete/": [admin("autocomplete/", 403)],
    "admin/jsi18n/": [admin("jsi18n/")],
    "admin/r/<path:content_type_id>/<path:object_id>/": [admin("r/1/1/", 404)],
    "admin/^(?P<app_label>auth|account|mfa|usersessions|django_q|accounts|studies|processing)/$": [
        admin("accounts/"),
        admin("processing/", of_trust=404),
        admin("mfa/", 404),
        admin("usersessions/", 404),
        admin("studies/", of_trust=404),
        admin("auth/", 404),
        admin("account/", 404),
        admin("django_q/", 404),
    ],
    "admin/accounts/user/<path:object_id>/decide/": [
        admin(
            "accounts/user/{accounts_user}/decide/",
            302,
            method="post",
            data=lambda: {"verb": "give", "role": "researcher"},
        ),
        admin("accounts/user/{accounts_user}/decide/", 403),
    ],
    "admin/(?P<url>.*)$": [admin("nowhere/", 404)],
}

#: Of each model in the admin site: the status of its list, its form, its form for a new one and
#: its page for deleting, for an administrator. No model of studies or of the queue is open.
ADMIN_MODELS: dict[str, tuple[int, int, int, int]] = {
    "accounts/user": (200, 200, 403, 403),
    "accounts/trust": (200, 200, 200, 403),
    "accounts/policy": (200, 200, 403, 403),
    "accounts/auditevent": (200, 200, 403, 403),
    "accounts/appointment": (200, 200, 403, 403),
    "accounts/interest": (200, 200, 403, 200),
    "accounts/feedback": (200, 200, 403, 200),
    # To be looked at only.
    "processing/protocolversion": (200, 200, 403, 403),
    "processing/enginecard": (200, 200, 403, 403),
    # Which trusts may choose an engine.
    "processing/engineuse": (200, 200, 200, 200),
    # A period of each trust; no study.
    "studies/retention": (200, 200, 200, 403),
    # Registered by the packages themselves; nobody has a permission for them.
    "auth/group": (403, 403, 403, 403),
    "account/emailaddress": (403, 403, 403, 403),
    "mfa/authenticator": (403, 403, 403, 403),
    "usersessions/usersession": (403, 403, 403, 403),
    "django_q/schedule": (403, 403, 403, 403),
    "django_q/success": (403, 403, 403, 403),
    "django_q/failure": (403, 403, 403, 403),
    "django_q/ormq": (403, 403, 403, 403),
}
#: What an administrator of a trust meets: its people and itself, and what waits for a second one.
OF_TRUST_MODELS = {
    "accounts/user": (200, 200, 403, 403),
    "accounts/trust": (200, 200, 403, 403),
    "accounts/appointment": (200, 200, 403, 403),
}
for _model, (_list, _form, _new, _delete) in ADMIN_MODELS.items():
    _theirs = OF_TRUST_MODELS.get(_model, (403, 403, 403, 403))
    # There is no object of the closed models: history says so, and sends back.
    _pk, _history = ("{" + _model.replace("/", "_") + "}", 200) if _list == 200 else ("1", 302)
    ADMIN |= {
        f"admin/{_model}/": [admin(f"{_model}/", _list, _theirs[0])],
        f"admin/{_model}/add/": [admin(f"{_model}/add/", _new, _theirs[2])],
        f"admin/{_model}/<path:object_id>/": [admin(f"{_model}/{_pk}/", 302)],
        f"admin/{_model}/<path:object_id>/change/": [
            admin(f"{_model}/{_pk}/change/", _form, _theirs[1]),
        ],
        f"admin/{_model}/<path:object_id>/delete/": [
            admin(f"{_model}/{_pk}/delete/", _delete, _theirs[3]),
        ],
        f"admin/{_model}/<path:object_id>/history/": [
            admin(f"{_model}/{_pk}/history/", _history, 403 if _theirs[0] != _list else 0),
        ],
    }

ADMIN["admin/accounts/auditevent/export.csv"] = [
    admin("accounts/auditevent/export.csv", of_trust=403, verb="audit.export"),
]

#: A session is no key: what keys may do stands in tests/api.
API: dict[str, list[Use]] = {
    "api/v1/studies/": [Use("/api/v1/studies/", answers=each(EVERYBODY, 401))],
    "api/v1/studies/<public_id:public_id>/": [
        Use("/api/v1/studies/{study}/", answers=each(EVERYBODY, 401)),
    ],
    "api/v1/studies/<public_id:public_id>/runs/": [
        Use("/api/v1/studies/{study}/runs/", method="post", answers=each(EVERYBODY, 401)),
    ],
    "api/v1/results/<public_id:public_id>/": [
        Use("/api/v1/results/{result}/", answers=each(EVERYBODY, 401)),
    ],
    "api/v1/files/<public_id:public_id>/": [
        Use("/api/v1/files/{data}/", answers=each(EVERYBODY, 401)),
    ],
    "api/v1/runs/<public_id:public_id>/": [
        Use("/api/v1/runs/{run}/", answers=each(EVERYBODY, 401)),
    ],
    "api/v1/runs/<public_id:public_id>/cancel/": [
        Use("/api/v1/runs/{run}/cancel/", method="post", answers=each(EVERYBODY, 401)),
    ],
    "api/v1/projects/": [Use("/api/v1/projects/", answers=each(EVERYBODY, 401))],
    "api/v1/cohort/": [Use("/api/v1/cohort/", answers=each(EVERYBODY, 401))],
    "api/v1/cohort/table.csv": [
        Use("/api/v1/cohort/table.csv", answers=each(EVERYBODY, 401)),
    ],
}

#: For programs of those who run the site: a token, or an administrator; no page of a person's.
WATCHING: dict[str, list[Use]] = {
    "health/live/": [Use("/health/live/", EVERYBODY)],
    "health/ready/": [Use("/health/ready/", EVERYBODY)],
    "health/deep/": [
        Use("/health/deep/", ADMINISTRATOR, ok=503, answers=each(UNAPPROVED | VISITOR, 404)),
    ],
    "metrics": [Use("/metrics", ADMINISTRATOR, answers=each(UNAPPROVED | VISITOR, 404))],
    "app.webmanifest": [Use("/app.webmanifest", EVERYBODY)],
}

TABLE = SITE | ACCOUNTS | ADMIN | API | WATCHING


def patterns(resolver: URLResolver, before: str = "") -> Iterator[str]:
    for entry in resolver.url_patterns:
        route = before + str(entry.pattern)
        if isinstance(entry, URLPattern):
            yield route
        else:
            yield from patterns(entry, route)


@pytest.fixture
def world() -> World:
    made = make_world()
    make_user(make_trust(), email="reader@hospital.example")
    sender, chief = made.people["sender"], made.people["trust administrator"]
    registration.ask_for_administrator(
        sender, by=chief, role=Role.TRUST_ADMINISTRATOR, trust=sender.trust
    )
    Interest.objects.create(email="visitor@hospital.example", name="V", organisation="Hillside")
    Feedback.objects.create(by=sender, text="The films are small.")
    EngineCard.objects.create(engine="mcaq", version="1", conforms=True, studies=1)
    EngineUse.objects.create(engine="other").trusts.add(sender.trust)
    for model in (
        User, Trust, Policy, AuditEvent, Appointment, Interest, ProtocolVersion, Retention,
        EngineCard, EngineUse, Feedback,
    ):  # fmt: skip
        name = f"{model._meta.app_label}_{model._meta.model_name}"
        made.own[name] = str(model.objects.first().pk)
    made.own["accounts_user"] = str(sender.pk)
    made.own["accounts_trust"] = str(sender.trust.pk)
    return made


@dataclass(frozen=True)
class Answer:
    status: int
    text: str
    headers: dict[str, str]
    verbs: list[str]


def ask(client: Client, use: Use, objects: dict[str, str]) -> Answer:
    """Ask once; what it changed is undone."""
    last = AuditEvent.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    with transaction.atomic():
        cookies = client.cookies.copy()
        response = getattr(client, use.method)(
            use.path.format_map(objects), filled(use.data(), objects), headers=use.headers
        )
        content = b"".join(response) if response.streaming else response.content
        events = AuditEvent.objects.filter(pk__gt=last).values_list("verb", flat=True)
        verbs = list(events)
        transaction.set_rollback(True)
    client.cookies = cookies
    return Answer(
        response.status_code, comparable(content, response), comparable_headers(response), verbs
    )


def filled(data: dict[str, Any], objects: dict[str, str]) -> dict[str, Any]:
    """The form's values, with the names of objects in braces filled in."""
    return {
        name: value.format_map(objects) if isinstance(value, str) else value
        for name, value in data.items()
    }


def comparable(content: bytes, response: Any) -> str:
    """The body without the request's id and the token of a form, which differ each time."""
    text = content.decode("utf-8", "replace").replace(response["X-Request-ID"], "")
    return re.sub(r'(?<=name="csrfmiddlewaretoken" value=")\w+', "", text)


def comparable_headers(response: Any) -> dict[str, str]:
    return {name: value for name, value in response.items() if name != "X-Request-ID"}


def test_every_address_is_declared():
    assert sorted(patterns(get_resolver())) == sorted(TABLE)


@pytest.mark.parametrize(
    "table",
    [SITE, ACCOUNTS, ADMIN, API, WATCHING],
    ids=["site", "accounts", "admin", "api", "watching"],
)
def test_each_address_serves_those_it_is_for(world, table):
    wrong = []
    for who in sorted(EVERYBODY):
        client = world.client(who)
        for uses in table.values():
            for use in uses:
                answer = ask(client, use, world.own)
                if answer.status != use.expected(who):
                    wrong.append((who, use.method, use.path, answer.status, use.expected(who)))
    assert wrong == [], "\n".join(map(str, wrong))


def test_people_without_approval_are_sent_to_the_waiting_page_and_visitors_to_sign_in(world):
    wrong = []
    for who, start in [*((one, "/accounts/waiting/") for one in sorted(UNAPPROVED)),
                       ("visitor", "/accounts/login/?next=/")]:  # fmt: skip
        client = world.client(who)
        for uses in SITE.values():
            for use in uses:
                if who in use.who or (who in UNAPPROVED and use.headers == JSON):
                    continue
                answer = ask(client, use, world.own)
                refused = REFUSED if who in UNAPPROVED and use.path != "/" else []
                if (
                    not answer.headers.get("Location", "").startswith(start)
                    or answer.verbs != refused
                ):
                    wrong.append((who, use.path, answer))
    assert wrong == [], "\n".join(map(str, wrong))


def test_without_a_second_factor_nothing_of_a_patient_is_served(world, settings):
    """Where the site asks for one: every address, by everybody it is for otherwise."""
    settings.REQUIRE_MFA = True
    wrong = []
    for who in ("sender", "grantee", "researcher", "trust administrator", "administrator"):
        client = world.client(who)
        for uses in (SITE | ADMIN).values():
            for use in uses:
                if "visitor" in use.who and use.path != "/":
                    continue
                answer = ask(client, use, world.own)
                sent = answer.headers.get("Location", "") == "/accounts/2fa/"
                refused = use.headers == JSON and answer.status == 403
                # A program is refused, and a refusal leaves its line.
                if not (sent or refused) or answer.verbs != (REFUSED if refused else []):
                    wrong.append((who, use.path, answer.status, answer.verbs))
    assert wrong == [], "\n".join(map(str, wrong))


def test_each_use_is_recorded_and_a_refusal_changes_nothing(world):
    wrong = []
    for who in sorted(APPROVED):
        client = world.client(who)
        for uses in SITE.values():
            for use in uses:
                answer = ask(client, use, world.own)
                served = who in use.who
                if (use.verb in answer.verbs) != (served and bool(use.verb)):
                    wrong.append((who, use.path, use.verb, answer.verbs))
                told = [use.otherwise] if use.otherwise else []
                refused = REFUSED if answer.status in (403, 404) else told
                if not served and answer.verbs != refused:
                    wrong.append((who, use.path, "refused", answer.verbs))
    assert wrong == [], "\n".join(map(str, wrong))


def test_anothers_and_nobodys_look_the_same(world):
    """For the object of a trust that none of these people belongs to, and for one that is not."""
    absent = dict.fromkeys(world.own, ABSENT)
    wrong = []
    asked = 0
    for who in sorted(APPROVED):
        client = world.client(who)
        for uses in SITE.values():
            for use in uses:
                if "{" not in use.path:
                    continue
                foreign, nobodys = ask(client, use, world.foreign), ask(client, use, absent)
                asked += 1
                if foreign.status != 404 or foreign != nobodys:
                    wrong.append((who, use.path, foreign, nobodys))
    assert wrong == [], "\n".join(map(str, wrong))
    assert asked == 80 * len(APPROVED)


def test_no_change_is_made_without_the_forms_token(world):
    wrong = []
    for who in ("sender", "researcher", "administrator"):
        client = world.client(who, enforce_csrf_checks=True)
        for uses in (SITE | ADMIN).values():
            for use in uses:
                if use.method != "post":
                    continue
                answer = ask(client, use, world.own)
                if answer.status != 403 or answer.verbs != REFUSED:
                    wrong.append((who, use.path, answer.status, answer.verbs))
    assert wrong == [], "\n".join(map(str, wrong))


def test_an_address_for_changes_answers_no_look_and_one_for_looks_no_change(world):
    """A link, a picture or a prefetch in a page must not change anything."""
    wrong = []
    client = world.client("sender")
    for route, uses in SITE.items():
        methods = {use.method for use in uses}
        for method in {"get", "post", "put", "delete"} - methods:
            answer = ask(client, Use(uses[0].path, method=method), world.own)
            if answer.status != 405:
                wrong.append((route, method, answer.status))
    assert wrong == [], "\n".join(map(str, wrong))


def test_ids_that_are_none_of_ours_are_not_found(world):
    client = world.client("sender")
    study = world.own["study"]
    for odd in (
        "1",
        study[:-1],
        study + "0",
        study.upper(),
        "..",
        "%2e%2e",
        study + "%00",
        "é" * 26,
    ):
        assert client.get(f"/studies/{odd}/").status_code == 404

"""The API: keys and their scopes, the same rules as the pages, errors that say what to do."""

from __future__ import annotations

import csv
import io
from datetime import timedelta
from functools import partial

import pytest
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from accounts import tokens
from accounts.models import ApiToken, AuditEvent, Consent, User
from accounts.roles import Role
from processing import runs
from studies import sharing
from tests.people import (
    make_project,
    make_released,
    make_result,
    make_study,
    make_trust,
    make_user,
)
from tests.site.world import store

pytestmark = pytest.mark.django_db
ALL = list(ApiToken.Scope.values)


@pytest.fixture(autouse=True)
def _no_limits_from_other_tests():
    cache.clear()


class Program:
    """A program with a key."""

    def __init__(self, user: User, scopes: list[str] | None = None) -> None:
        self.token, self.key = tokens.create(
            user, name="script", scopes=ALL if scopes is None else scopes, days=7
        )
        self._client = Client(headers={"Authorization": f"Bearer {self.key}"})

    def get(self, path: str, **query: object):
        return self._client.get(f"/api/v1/{path}", query)

    def post(self, path: str, data: object = None):
        return self._client.post(f"/api/v1/{path}", data or {}, content_type="application/json")


@pytest.fixture
def trust():
    return make_trust(research_allowed=True)


@pytest.fixture
def consultant(trust):
    return make_user(trust)


# --- keys ----------------------------------------------------------------------------------------


def test_a_key_is_made_on_a_page_shown_once_and_kept_as_a_hash(client, consultant):
    client.force_login(consultant)
    page = client.post(
        "/accounts/keys/", {"name": "script", "scopes": ["read"], "days": "30"}
    ).content.decode()
    key = page.split("<code>")[1].split("</code>")[0]
    assert key.startswith("corecmr_")
    assert key not in client.get("/accounts/keys/").content.decode()
    token = ApiToken.objects.get()
    assert key not in str(token.__dict__)
    assert timedelta(days=29) < token.expires_at - timezone.now() <= timedelta(days=30)
    answer = Client().get("/api/v1/studies/", headers={"Authorization": f"Bearer {key}"})
    assert answer.status_code == 200
    client.post(f"/accounts/keys/{token.public_id}/revoke/")
    answer = Client().get("/api/v1/studies/", headers={"Authorization": f"Bearer {key}"})
    assert answer.status_code == 401
    verbs = list(AuditEvent.objects.values_list("verb", flat=True))
    assert "token.create" in verbs
    assert "token.revoke" in verbs


@pytest.mark.parametrize("wrong", [{"scopes": []}, {"days": "400"}, {"name": ""}])
def test_a_key_with_a_gap_is_not_made(client, consultant, wrong):
    client.force_login(consultant)
    data = {"name": "script", "scopes": ["read"], "days": "30", **wrong}
    assert "There is a problem" in client.post("/accounts/keys/", data).content.decode()
    assert not ApiToken.objects.exists()


def test_nobody_takes_back_anothers_key(client, consultant):
    program = Program(make_user(make_trust()))
    client.force_login(consultant)
    answer = client.post(f"/accounts/keys/{program.token.public_id}/revoke/")
    assert answer.status_code == 404
    assert program.get("studies/").status_code == 200


@pytest.mark.parametrize("how", ["expired", "suspended", "no consent", "no factor", "inactive"])
def test_a_key_is_held_back_by_what_holds_its_person_back(consultant, settings, how):
    program = Program(consultant)
    assert program.get("studies/").status_code == 200
    if how == "expired":
        ApiToken.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    elif how == "suspended":
        User.objects.update(status=User.Status.SUSPENDED)
    elif how == "no consent":
        Consent.objects.all().delete()
    elif how == "inactive":
        User.objects.update(is_active=False)
    else:
        settings.REQUIRE_MFA = True
    answer = program.get("studies/")
    assert answer.status_code == 401
    assert answer["WWW-Authenticate"] == "Bearer"
    assert "make a new key" in answer.json()["detail"]


def test_a_session_is_no_key(client, consultant):
    client.force_login(consultant)
    answer = client.get("/api/v1/studies/")
    assert answer.status_code == 401
    assert answer.json()["error"] == "not_authenticated"


@pytest.mark.parametrize(
    ("path", "method", "scope"),
    [
        ("studies/", "get", "read"),
        ("studies/{study}/", "get", "read"),
        ("results/{result}/", "get", "read"),
        ("files/{file}/", "get", "files"),
        ("studies/{study}/runs/", "post", "run"),
        ("cohort/", "get", "research"),
        ("projects/", "get", "research"),
    ],
)
def test_each_address_asks_for_its_scope(trust, path, method, scope):
    user = make_user(trust)
    user.memberships.create(trust=trust, role=Role.RESEARCHER)
    study = make_study(trust)
    result = make_result(study)
    stored = store(study, "mbf.npy", "application/octet-stream", result=result)
    path = path.format(study=study.public_id, result=result.public_id, file=stored.public_id)
    for given in ALL:
        program = Program(user, [given])
        ask = program.get if method == "get" else partial(program.post, data={"engine": "mcaq"})
        answer = ask(path)
        b"".join(answer)
        assert answer.status_code == ((201 if method == "post" else 200) if given == scope else 403)
        if given != scope:
            assert f"lacks the scope “{scope}”" in answer.json()["detail"]
    assert Program(user, []).get("studies/").status_code == 403


def test_requests_are_limited(consultant, monkeypatch):
    from accounts.api import KeyThrottle

    monkeypatch.setattr(KeyThrottle, "rate", "3/min")
    program = Program(consultant)
    for _ in range(3):
        assert program.get("studies/").status_code == 200
    answer = program.get("studies/")
    assert answer.status_code == 429
    assert int(answer["Retry-After"]) > 0


# --- the same rules as the pages -----------------------------------------------------------------


def test_what_is_seen_and_read(trust, consultant):
    study = make_study(trust, patient_sex="F")
    result = make_result(study, summed=True)
    make_study(make_trust())
    program = Program(consultant)
    listed = program.get("studies/").json()
    assert listed["count"] == 1
    assert listed["results"][0]["id"] == study.public_id
    (summary,) = program.get(f"studies/{study.public_id}/").json()["results"]
    assert (summary["id"], summary["stress_mbf"], summary["light"]) == (
        result.public_id, 3.0, "green",
    )  # fmt: skip
    detail = program.get(f"results/{result.public_id}/").json()
    flow = result.segment_flows.get(state="stress", segment=7)
    (told,) = [one for one in detail["segments"] if (one["state"], one["segment"]) == ("stress", 7)]
    assert (told["mbf"], told["low"], told["high"]) == (flow.mbf, flow.low, flow.high)
    text = str(listed) + str(detail)
    assert study.study_uid not in text
    assert AuditEvent.objects.filter(actor=consultant.public_id, verb="study.view").count() == 2


def test_files_come_whole_or_in_part(trust, consultant):
    stored = store(make_study(trust), "mbf.npy", "application/octet-stream", b"0123456789")
    program = Program(consultant)
    answer = program.get(f"files/{stored.public_id}/")
    assert b"".join(answer) == b"0123456789"
    part = program._client.get(f"/api/v1/files/{stored.public_id}/", headers={"Range": "bytes=2-4"})
    assert (part.status_code, b"".join(part)) == (206, b"234")
    assert AuditEvent.objects.filter(verb="file.download").exists()


def test_foreign_and_absent_look_the_same(trust, consultant):
    owner = make_user(make_trust())
    study = make_study(owner.trust)
    result = make_result(study)
    stored = store(study, "mbf.npy", "application/octet-stream", result=result)
    run = runs.submit(study, engine="mcaq", by=owner)
    program = Program(consultant)
    for kind, public_id in (("studies", study.public_id), ("results", result.public_id),
                            ("files", stored.public_id), ("runs", run.public_id)):  # fmt: skip
        foreign, absent = (program.get(f"{kind}/{one}/") for one in (public_id, "0" * 26))
        assert foreign.status_code == absent.status_code == 404
        told, nothing = foreign.json(), absent.json()
        assert told.pop("id") != nothing.pop("id"), "the id of the request"
        assert told == nothing
    for path in (f"studies/{study.public_id}/runs/", f"runs/{run.public_id}/cancel/"):
        assert program.post(path, {"engine": "mcaq"}).status_code == 404
    assert AuditEvent.objects.filter(verb="access.refused").count() == 10


def test_a_guest_does_what_the_share_says(trust):
    owner, guest = make_user(trust), make_user(make_trust())
    study = make_study(trust)
    stored = store(study, "mbf.npy", "application/octet-stream")
    grant = sharing.share(study, by=owner, to_user=guest, reason="x", may_download=False)
    program = Program(guest)
    assert program.get(f"studies/{study.public_id}/").status_code == 200
    assert program.get(f"files/{stored.public_id}/").status_code == 404
    assert program.post(f"studies/{study.public_id}/runs/", {"engine": "mcaq"}).status_code == 404
    sharing.revoke(grant, by=owner)
    assert program.get(f"studies/{study.public_id}/").status_code == 404


def test_runs_are_started_watched_and_cancelled(trust, consultant):
    study = make_study(trust)
    program = Program(consultant)
    answer = program.post(f"studies/{study.public_id}/runs/", {"engine": "mcaq"})
    assert answer.status_code == 201
    run = answer.json()
    assert (run["state"], run["engine"], run["result"]) == ("queued", "mcaq", None)
    again = program.post(f"studies/{study.public_id}/runs/", {"engine": "mcaq"}).json()
    assert again["id"] == run["id"]
    assert program.get(f"runs/{run['id']}/").json() == run
    assert program.post(f"runs/{run['id']}/cancel/").json()["state"] == "cancelled"


@pytest.mark.parametrize("wrong", [{}, {"engine": "none"}, {"engine": ["mcaq"]}, []])
def test_a_wrong_engine_is_told(trust, consultant, wrong):
    answer = Program(consultant).post(f"studies/{make_study(trust).public_id}/runs/", wrong)
    assert answer.status_code == 400
    assert answer.json()["fields"]


def test_pages_of_lists(trust, consultant):
    for _ in range(5):
        make_study(trust)
    program = Program(consultant)
    first = program.get("studies/", page_size=2).json()
    assert (first["count"], len(first["results"])) == (5, 2)
    assert "page=2" in first["next"]
    assert program.get("studies/", page=9).status_code == 404


# --- research ------------------------------------------------------------------------------------


def test_cohorts_as_on_the_page(trust):
    researcher = make_user(trust, Role.RESEARCHER)
    project = make_project(researcher, trust)
    make_released(trust, 6, patient_sex="F")
    make_released(trust, 3, patient_sex="M")
    program = Program(researcher)
    assert program.get("cohort/").json()["studies"] == 9
    few = program.get("cohort/", sex="M").json()
    assert few["studies"] is None
    assert {one["count"] for h in few["histograms"] for one in h["bins"]} <= {0, None}
    assert program.get("cohort/", age_min="old").status_code == 400
    answer = program.get(
        "cohort/table.csv", project=project.public_id, level="study", purpose="REC 1", sex="F"
    )
    rows = list(csv.DictReader(io.StringIO(b"".join(answer).decode())))
    assert len(rows) == 6
    assert program.get("projects/").json()["results"][0]["id"] == project.public_id
    for missing in ({"project": ""}, {"purpose": ""}, {"level": "pixel"}, {"sex": "M"}):
        asked = {"project": project.public_id, "level": "study", "purpose": "x", **missing}
        assert program.get("cohort/table.csv", **asked).status_code == 400


def test_research_is_for_researchers(consultant):
    answer = Program(consultant).get("cohort/")
    assert answer.status_code == 403
    assert "not a researcher" in answer.json()["detail"]

"""A run as a reader meets it: its card in every state, its buttons, and its state for programs."""

from __future__ import annotations

import re

import pytest
from django.conf import settings

from accounts.models import AuditEvent, User
from processing import runs
from processing.engines import engine_names
from processing.models import Run
from studies.models import Study
from studies.sharing import share
from tests.people import make_result, make_study, make_trust, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def study() -> Study:
    return make_study(make_trust())


@pytest.fixture
def owner(client, study) -> User:
    user = make_user(study.trust)
    client.force_login(user)
    return user


def card(client, study: Study, query: str = "", **options: object) -> str:
    return client.get(f"/studies/{study.public_id}/run/{query}", **options).content.decode()


def state(client, study: Study) -> dict[str, object]:
    return client.get(f"/studies/{study.public_id}/status.json").json()


def test_the_card_follows_the_run_from_asking_to_the_result(client, study, owner):
    assert "has not been analysed yet" in card(client, study)
    assert state(client, study) == {"run": None, "has_result": False}

    answer = client.post(f"/studies/{study.public_id}/run/submit/")
    assert answer["Location"] == f"/studies/{study.public_id}/"
    run = Run.objects.get()
    assert (run.engine, run.requested_by) == (settings.DEFAULT_ENGINE, owner)
    assert "Waiting for a free worker" in card(client, study)

    claimed = runs.claim(run.pk)
    runs.heartbeat(claimed, "flow", 0.625)
    html = card(client, study, "?open=1")
    assert "Computing blood flow" in html
    assert "62 %" in html
    assert "every 2s" in html
    assert state(client, study)["run"] == {
        "state": "running", "stage": "flow", "fraction": 0.625, "reason": "",
    }  # fmt: skip

    runs.succeed(claimed, make_result(study))
    html = card(client, study)
    assert "Analysed with MCAQ" in html
    assert "every 2s" not in html
    # Whoever watched it is shown the page with the result.
    seen = client.get(f"/studies/{study.public_id}/run/?open=1")
    assert (seen.status_code, seen["HX-Refresh"]) == (204, "true")
    assert state(client, study)["has_result"] is True


def test_a_failure_is_shown_with_its_reason_and_may_be_tried_again(client, study, owner):
    claimed = runs.claim(runs.submit(study, engine="mcaq", by=owner).pk)
    runs.fail(claimed, "No series could be analysed. <Send> the first pass.")
    html = card(client, study)
    assert "No series could be analysed. &lt;Send&gt; the first pass." in html
    assert "Try again" in html
    assert state(client, study)["run"]["reason"].startswith("No series")
    client.post(f"/studies/{study.public_id}/run/submit/")
    assert Run.objects.filter(state="queued").count() == 1


def choices(html: str) -> dict[str, bool]:
    """The engines that a card offers, and which of them is chosen."""
    found = re.findall(r'<option value="([^"]+)"( selected)?>', html)
    return {name: bool(selected) for name, selected in found}


def test_a_study_is_analysed_again_with_the_engine_that_was_chosen(client, study, owner):
    done = runs.claim(runs.submit(study, engine="mcaq", by=owner).pk)
    runs.succeed(done, make_result(study))
    html = card(client, study)
    assert "Analyse again" in html
    assert '<label class="nhsuk-label" for="run-engine">' in html
    offered = choices(html)
    assert set(offered) == set(engine_names())
    assert [name for name, chosen in offered.items() if chosen] == [settings.DEFAULT_ENGINE]

    answer = client.post(f"/studies/{study.public_id}/run/submit/", {"engine": "mcaq-classic"})
    assert answer["Location"] == f"/studies/{study.public_id}/"
    again = Run.objects.get(state="queued")
    assert (again.engine, again.requested_by) == ("mcaq-classic", owner)
    (kept,) = AuditEvent.objects.filter(verb="run.submit", object_id=again.public_id)
    assert (kept.actor, kept.detail) == (owner.public_id, {"engine": "mcaq-classic"})
    assert "Engine: MCAQ-CLASSIC" in card(client, study)

    claimed = runs.claim(again.pk)
    runs.succeed(claimed, make_result(study))
    assert "Analysed with MCAQ-CLASSIC" in card(client, study)


@pytest.mark.parametrize("engine", ["none-such", "processing.mcaq.engine:Mcaq", "mcaq "])
def test_an_engine_that_is_not_installed_starts_nothing(client, study, owner, engine):
    answer = client.post(f"/studies/{study.public_id}/run/submit/", {"engine": engine}, follow=True)
    assert "That engine is not offered here." in answer.content.decode()
    assert not Run.objects.exists()
    assert not AuditEvent.objects.filter(verb="run.submit").exists()


def test_who_may_not_run_is_offered_no_engine_and_starts_none(client, study):
    other = make_user(make_trust())
    share(study, by=make_user(study.trust), to_trust=other.trust, reason="Second opinion")
    client.force_login(other)
    assert choices(card(client, study)) == {}
    client.post(f"/studies/{study.public_id}/run/submit/", {"engine": "mcaq-classic"})
    assert not Run.objects.exists()


def test_pressing_twice_is_one_run(client, study, owner):
    for _ in range(5):
        client.post(f"/studies/{study.public_id}/run/submit/")
    assert Run.objects.count() == 1


def test_a_run_is_cancelled_once_and_an_ended_one_stays_as_it_was(client, study, owner):
    run = runs.submit(study, engine="mcaq", by=owner)
    for _ in range(2):
        answer = client.post(f"/runs/{run.public_id}/cancel/")
        assert answer["Location"] == f"/studies/{study.public_id}/"
    run.refresh_from_db()
    assert run.state == "cancelled"
    assert [event.after for event in run.events.all()] == ["queued", "cancelled"]
    assert "The analysis was cancelled." in card(client, study)

    done = runs.claim(runs.submit(study, engine="mcaq", by=owner).pk)
    runs.succeed(done, make_result(study))
    client.post(f"/runs/{done.public_id}/cancel/")
    assert Run.objects.get(pk=done.pk).state == "succeeded"


def test_a_part_of_a_page_is_a_part_and_alone_it_is_a_page(client, study, owner):
    part = card(client, study, headers={"HX-Request": "true"})
    assert "<html" not in part
    assert 'id="run-card"' in part
    whole = card(client, study)
    assert "<html" in whole
    assert 'id="run-card"' in whole
    assert "<html" not in client.get("/progress/", headers={"HX-Request": "true"}).content.decode()

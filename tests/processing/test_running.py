"""A run as a reader meets it: its card in every state, its buttons, and its state for programs."""

from __future__ import annotations

import pytest
from django.conf import settings

from accounts.models import User
from processing import runs
from processing.models import Run
from studies.models import Study
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

"""Place in the queue and time left, from the history of past runs."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from processing import runs, waiting
from processing.models import Run, RunEvent
from tests.people import make_result, make_study, make_trust, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def user():
    return make_user(make_trust())


def past(user, seconds: float) -> None:
    study = make_study(user.trust)
    run = runs.claim(runs.submit(study, engine="mcaq", by=user).pk)
    runs.succeed(run, make_result(study))
    begun = RunEvent.objects.get(run=run, after="running")
    RunEvent.objects.filter(run=run, after="succeeded").update(
        at=begun.at + timedelta(seconds=seconds)
    )


def test_too_few_past_runs_tell_no_time(user):
    past(user, 100)
    past(user, 100)
    run = runs.submit(make_study(user.trust), engine="mcaq", by=user)
    assert waiting.of(run) == waiting.Wait(0, None)
    assert waiting.of(run).sentence == ""


def test_the_median_of_past_runs_and_the_place_in_the_queue(user, settings):
    settings.Q_CLUSTER = {**settings.Q_CLUSTER, "workers": 1}
    for seconds in (60, 120, 6000):
        past(user, seconds)
    first, second, third = (
        runs.submit(make_study(user.trust), engine="mcaq", by=user) for _ in range(3)
    )
    running = runs.claim(first.pk)
    runs.heartbeat(running, "motion", 0.5)
    running.refresh_from_db()
    found = waiting.told([running, second, third])
    assert found[running.pk] == waiting.Wait(0, 60.0)
    assert found[second.pk] == waiting.Wait(1, 240.0)
    assert found[third.pk] == waiting.Wait(2, 360.0)
    assert found[running.pk].sentence == "about 1 min left"
    assert found[third.pk].sentence == "2 before it, about 6 min left"
    assert waiting.Wait(0, 20.0).sentence == "less than a minute left"


def test_several_runs_take_as_many_queries_as_one(user, django_assert_num_queries):
    for _ in range(3):
        past(user, 60)
    many = [runs.submit(make_study(user.trust), engine="mcaq", by=user) for _ in range(6)]
    with django_assert_num_queries(4):
        waiting.told(many)


def test_the_card_and_the_corner_tell_it(client, user):
    for _ in range(3):
        past(user, 150)
    study = make_study(user.trust)
    runs.submit(study, engine="mcaq", by=user)
    client.force_login(user)
    for address in (f"/studies/{study.public_id}/run/", "/progress/"):
        assert "about 2 min left" in client.get(address).content.decode().lower()
    assert Run.objects.filter(created_at__lte=timezone.now()).count() == 4


def test_trusts_take_turns():
    busy, quiet = make_trust(), make_trust()
    many = [runs.submit(make_study(busy), engine="mcaq", by=None) for _ in range(3)]
    one = runs.submit(make_study(quiet), engine="mcaq", by=None)
    told = waiting.told([*many, one])
    assert [told[run.pk].ahead for run in (*many, one)] == [0, 2, 3, 1]

"""The nightly phantom: measured by the real engine, judged, told to readers when it is wrong."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core import mail
from django.utils import timezone
from django_q.models import OrmQ  # noqa: TID251  (the test looks into the queue's own table)

from processing import truth
from studies.models import SiteCheck
from tests.people import make_administrator, make_result, make_study, make_trust, make_user

pytestmark = pytest.mark.django_db

ENGINE = "mcaq 0.1.0"


def told(scale=1.0, *, engine=ENGINE, one=1.0):
    """Thirty segments found with an error of ``scale``; the first once more by ``one``."""
    segments = {f"stress_mid/{n}": [2.0, 2.0 * scale * (one if n == 0 else 1)] for n in range(30)}
    return {"engine": engine, "segments": segments, "seconds": 9.0}


def test_a_worker_measures_the_phantom_within_what_is_allowed():
    check = SiteCheck.objects.create(kind="truth")
    truth.measure(check.pk)
    check.refresh_from_db()
    assert check.passed, check.detail
    assert check.detail["count"] == 32
    assert abs(check.detail["bias"]) < truth.MOST_BIAS
    # The same site measures the same once more.
    problem, figures = truth.judge(
        {"engine": check.detail["engine"], "segments": check.detail["segments"]}, check.detail
    )
    assert (problem, figures["drift"]) == ("", 0.0)


def test_an_error_against_the_truth_and_a_drift_are_problems():
    problem, first = truth.judge(told(), {})
    assert problem == ""
    assert "off on the mean" in truth.judge(told(1.3), {})[0]
    # Within what is allowed against the truth, but no longer what this site measured before.
    problem, second = truth.judge(told(one=1.02), first)
    assert "other numbers than it gave before" in problem
    # What failed is no measure for the next: it goes on failing until the numbers are back.
    assert "other numbers" in truth.judge(told(one=1.02), second)[0]
    assert truth.judge(told(), second)[0] == ""
    # A new version of the engine may give others.
    assert truth.judge(told(one=1.02, engine="mcaq 0.2.0"), first)[0] == ""


def test_too_few_segments_and_an_early_end_are_problems():
    few = told()
    few["segments"] = dict(list(few["segments"].items())[:10])
    assert "only 10 segments" in truth.judge(few, {})[0]
    problem, kept = truth.judge({"ended": "wall"}, truth.judge(told(), {})[1])
    assert "did not come to its end (wall)" in problem
    assert kept["reference"]


def test_slow_changes_do_not_add_up_unseen():
    """Each night is compared with the first of its version, not with the night before."""
    _problem, figures = truth.judge(told(), {})
    for step in (1.004, 1.008):
        problem, figures = truth.judge(told(one=step), figures)
        assert problem == ""
    assert truth.judge(told(one=1.012), figures)[0]


def test_a_failure_warns_readers_and_tells_administrators_once(client, monkeypatch):
    administrator = make_administrator()
    check = SiteCheck.objects.create(kind="truth")
    monkeypatch.setattr(truth, "_run", lambda: told(1.4))
    truth.measure(check.pk)
    truth.measure(check.pk)
    assert [letter.to for letter in mail.outbox] == [[administrator.email]]
    assert "+40%" in mail.outbox[0].body
    study = make_study(make_trust())
    make_result(study)
    client.force_login(make_user(study.trust))
    page = client.get(f"/studies/{study.public_id}/").content.decode()
    assert "Do not rely on numbers" in page
    monkeypatch.setattr(truth, "_run", told)
    truth.measure(check.pk)
    page = client.get(f"/studies/{study.public_id}/").content.decode()
    assert "Do not rely on numbers" not in page


def test_it_is_asked_for_once_when_it_is_due(settings):
    settings.TRUTH_TEST_HOURS = 24
    assert not truth.due()  # a new site is not held up by it
    SiteCheck.objects.update(asked_at=timezone.now() - timedelta(hours=25))
    before = OrmQ.objects.count()
    assert [truth.due(), truth.due()] == [True, False]
    assert OrmQ.objects.count() == before + 1
    settings.TRUTH_TEST_HOURS = 0
    SiteCheck.objects.update(asked_at=timezone.now() - timedelta(hours=99))
    assert not truth.due()

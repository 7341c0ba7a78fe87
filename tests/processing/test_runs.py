"""The run row is the truth: claims, leases, fences and faults, on the real database."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.db import connections
from django.http import Http404
from django.utils import timezone
from django_q.models import OrmQ  # noqa: TID251  (the test looks into the queue's own table)

from processing import runs
from processing.models import Run
from tests.people import make_result, make_study, make_trust, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def study():
    return make_study(make_trust())


@pytest.fixture
def run(study):
    return runs.submit(study, engine="mcaq", by=None)


def lapse(run: Run) -> None:
    Run.objects.filter(pk=run.pk).update(lease_until=timezone.now() - timedelta(seconds=1))


def history(run: Run) -> list[str]:
    return [event.after for event in run.events.all()]


def test_submitting_makes_the_run_and_its_message(run):
    assert run.state == "queued"
    assert OrmQ.objects.count() == 1


def test_the_same_request_is_one_run_while_it_is_open(study, run):
    assert runs.submit(study, engine="mcaq", by=None) == run
    other = runs.submit(study, engine="mcaq", parameters={"protocol": {"field_t": 3}}, by=None)
    assert other != run
    claimed = runs.claim(run.pk)
    assert runs.fail(claimed, "It failed.")
    assert runs.submit(study, engine="mcaq", by=None) != run


def test_only_the_owning_trust_submits_and_cancels(study, run):
    stranger = make_user(make_trust())
    with pytest.raises(Http404):
        runs.submit(study, engine="mcaq", by=stranger)
    with pytest.raises(Http404):
        runs.cancel(run, by=stranger)
    assert runs.cancel(run, by=make_user(study.trust))
    assert runs.claim(run.pk) is None


def test_a_second_delivery_finds_nothing_to_do(run):
    first = runs.claim(run.pk)
    assert first is not None
    assert (first.state, first.attempt, first.fence) == ("running", 1, 1)
    assert runs.claim(run.pk) is None


def test_a_lapsed_run_is_taken_up_and_the_late_writer_refused(study, run):
    late = runs.claim(run.pk)
    lapse(run)
    assert runs.reap() == 1
    taken = runs.claim(run.pk)
    assert taken is not None
    assert taken.fence > late.fence
    assert not runs.heartbeat(late, "motion", 0.5)
    assert not runs.fail(late, "late")
    assert not runs.fault(late, "late")
    assert not runs.lock_mine(late)
    assert runs.heartbeat(taken, "motion", 0.5)
    assert Run.objects.get(pk=run.pk).state == "running"


def test_lapsed_leases_are_not_the_runs_own_faults(run):
    for _ in range(11):
        assert runs.claim(run.pk) is not None
        lapse(run)
        assert runs.reap() == 1
    final = Run.objects.get(pk=run.pk)
    assert (final.state, final.own_faults, final.attempt) == ("queued", 0, 11)


def test_three_faults_of_its_own_set_a_run_aside(run):
    for expected in ("queued", "queued", "failed"):
        claimed = runs.claim(run.pk)
        assert runs.fault(claimed, "It was set aside.")
        assert Run.objects.get(pk=run.pk).state == expected
    final = Run.objects.get(pk=run.pk)
    assert (final.own_faults, final.reason) == (3, "It was set aside.")
    assert runs.claim(run.pk) is None
    assert history(run) == [
        "queued", "running", "queued", "running", "queued", "running", "failed",
    ]  # fmt: skip


def test_a_result_ends_the_run_once(study, run):
    claimed = runs.claim(run.pk)
    runs.succeed(claimed, make_result(study))
    final = Run.objects.get(pk=run.pk)
    assert (final.state, final.fraction) == ("succeeded", 1.0)
    assert final.result.study == study
    assert runs.claim(run.pk) is None
    assert not runs.cancel(run, by=make_user(study.trust))


def test_a_cancelled_run_is_no_longer_its_workers(study, run):
    claimed = runs.claim(run.pk)
    assert runs.cancel(run, by=make_user(study.trust))
    assert not runs.heartbeat(claimed, "flow", 0.9)


def test_a_run_nobody_came_for_is_rung_again(run):
    OrmQ.objects.all().delete()
    assert runs.reap() == 0
    Run.objects.filter(pk=run.pk).update(rung_at=timezone.now() - 2 * runs.RING_AGAIN)
    assert runs.reap() == 1
    assert OrmQ.objects.count() == 1
    assert runs.reap() == 0


@pytest.mark.django_db(transaction=True)
def test_fifty_presses_at_once_are_one_run_and_one_claim():
    study = make_study(make_trust())
    barrier = threading.Barrier(10)
    submitted: list[int] = []
    claimed: list[int] = []

    def press() -> None:
        try:
            barrier.wait()
            for _ in range(5):
                submitted.append(runs.submit(study, engine="mcaq", by=None).pk)
            barrier.wait()
            if runs.claim(submitted[0]) is not None:
                claimed.append(submitted[0])
        finally:
            connections.close_all()

    threads = [threading.Thread(target=press) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(submitted) == 50
    assert len(set(submitted)) == 1
    assert len(claimed) == 1


def test_a_trust_that_sends_much_does_not_keep_the_others_waiting():
    busy, quiet = make_trust(), make_trust()
    many = [runs.submit(make_study(busy), engine="mcaq", by=None) for _ in range(5)]
    one = runs.submit(make_study(quiet), engine="mcaq", by=None)
    first = runs.claim_fairly(many[4].pk)
    assert first is not None
    assert first.pk == many[0].pk  # nobody is at work: the oldest
    # The busy trust has one at work; the message is for another of its runs.
    second = runs.claim_fairly(many[1].pk)
    assert second is not None
    assert second.pk == one.pk
    # Each message takes one: in the end all are at work, and a message too many takes none.
    rest = [runs.claim_fairly(run.pk) for run in many]
    assert {run.pk for run in rest if run} == {run.pk for run in many[1:]}
    assert rest[4] is None


def test_where_one_worker_is_alone_trusts_take_turns():
    busy, quiet = make_trust(), make_trust()
    many = [runs.submit(make_study(busy), engine="mcaq", by=None) for _ in range(3)]
    one = runs.submit(make_study(quiet), engine="mcaq", by=None)
    order = []
    for _ in range(4):
        run = runs.claim_fairly(many[0].pk)
        assert run is not None
        order.append(run.pk)
        Run.objects.filter(pk=run.pk).update(state="succeeded", finished_at=timezone.now())
    assert order == [many[0].pk, one.pk, many[1].pk, many[2].pk]
    # What was long ago counts no more.
    Run.objects.update(finished_at=timezone.now() - timedelta(hours=1))
    old = runs.submit(make_study(busy), engine="mcaq", by=None)
    runs.submit(make_study(quiet), engine="mcaq", by=None)
    taken = runs.claim_fairly(old.pk)
    assert taken is not None
    assert taken.pk == old.pk


def test_a_run_whose_lease_ran_out_is_taken_by_its_own_message(run):
    claimed = runs.claim_fairly(run.pk)
    assert claimed is not None
    Run.objects.filter(pk=run.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
    again = runs.claim_fairly(run.pk)
    assert again is not None
    assert again.fence == claimed.fence + 1

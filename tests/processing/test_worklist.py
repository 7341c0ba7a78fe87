"""The list of studies: filters, what waits, and what may be done from a row."""

from __future__ import annotations

import pytest

from processing import runs
from processing.models import Run
from studies import reporting, sharing
from tests.people import make_result, make_study, make_trust, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def reader():
    return make_user(make_trust("Own Trust"), name="Dr Reader")


def references(client, query=""):
    """References in the list's rows, whatever else the page shows."""
    rows = client.get(f"/{query}").context["studies"]
    return {row["reference"] for row in rows}


def failed(study, by, reason="The heart is not in view. Check the slices."):
    run = runs.submit(study, engine="mcaq", by=by)
    runs.fail(runs.claim(run.pk), reason)
    return run


def test_filters_show_what_they_say(client, reader):
    one, two, three, four = (make_study(reader.trust) for _ in range(4))
    other = make_user(make_trust())
    foreign = make_study(other.trust)
    sharing.share(foreign, by=other, to_user=reader, reason="opinion")
    make_result(one)
    make_result(two)
    draft = reporting.save(two, by=reader, text="Even.", seen=None)
    reporting.sign(draft, by=reader)
    failed(three, reader)
    runs.submit(four, engine="mcaq", by=reader)
    client.force_login(reader)
    every = {s.reference for s in (one, two, three, four, foreign)}
    assert references(client) == every
    assert references(client, "?state=unreported") == {one.reference}
    assert references(client, "?state=signed") == {two.reference}
    assert references(client, "?state=failed") == {three.reference}
    assert references(client, "?state=open") == {four.reference}
    assert references(client, "?state=none") == {three.reference, foreign.reference}
    assert references(client, "?whose=shared") == {foreign.reference}
    assert references(client, "?whose=own") == every - {foreign.reference}
    assert references(client, "?since=7") == every
    # As it was read out on the telephone: small letters and spaces.
    spelt = f"{one.reference[:3].lower()}%20{one.reference[3:].lower()}"
    assert references(client, f"?reference={spelt}") == {one.reference}
    # What is not understood is as if it were not asked.
    assert references(client, "?state=nonsense&whose=&since=x") == every
    page = client.get("/?state=open&reference=ZZZZZZZ").content.decode()
    assert "No study fits" in page


def test_a_failed_analysis_waits_with_its_reason_and_is_tried_again_from_its_row(client, reader):
    study = make_study(reader.trust, uploaded_by=reader)
    failed(study, reader)
    client.force_login(reader)
    page = client.get("/").content.decode()
    assert "1 thing waits for you" in page
    assert page.count("The heart is not in view. Check the slices.") == 2
    assert "Try again" in page
    answer = client.post(f"/studies/{study.public_id}/run/submit/", {"from": "list"})
    assert answer.headers["Location"] == "/"
    page = client.get("/").content.decode()
    assert "waits for you" not in page
    run = Run.objects.latest("created_at")
    assert f"/runs/{run.public_id}/cancel/" in page
    answer = client.post(f"/runs/{run.public_id}/cancel/", {"from": "list"})
    assert answer.headers["Location"] == "/"
    run.refresh_from_db()
    assert run.state == "cancelled"


def test_somebody_elses_failure_does_not_wait_for_me(client, reader):
    colleague = make_user(reader.trust)
    failed(make_study(reader.trust, uploaded_by=colleague), colleague)
    client.force_login(reader)
    assert "waits for you" not in client.get("/").content.decode()


def test_a_guest_may_try_again_only_where_he_may_analyse(client, reader):
    other = make_user(make_trust())
    for may_run, expected in ((False, False), (True, True)):
        study = make_study(other.trust)
        sharing.share(study, by=other, to_user=reader, reason="opinion", may_run=may_run)
        failed(study, other)
        client.force_login(reader)
        page = client.get("/").content.decode()
        assert (f'id="retry-{study.public_id}"' in page) is expected


def test_a_draft_of_mine_waits_until_it_is_signed(client, reader):
    study = make_study(reader.trust)
    make_result(study)
    draft = reporting.save(study, by=reader, text="Even.", seen=None)
    client.force_login(reader)
    page = client.get("/").content.decode()
    assert "Your draft report is not signed" in page
    assert "Draft report" in page
    reporting.sign(draft, by=reader)
    page = client.get("/").content.decode()
    assert "is not signed" not in page
    assert "Report signed" in page


def test_the_list_costs_the_same_whatever_its_length(client, reader, django_assert_max_num_queries):
    client.force_login(reader)
    for _ in range(12):
        failed(make_study(reader.trust, uploaded_by=reader), reader)
        runs.submit(make_study(reader.trust), engine="mcaq", by=reader)
    client.get("/")
    with django_assert_max_num_queries(28):
        client.get("/")

"""Values accepted or set aside: what then counts, and what a signature keeps."""

from __future__ import annotations

import csv
import io
import re

import pytest

from accounts.models import AuditEvent
from processing import reading
from studies import offline, readings, reporting, sharing
from studies.models import Reading, Report, SegmentFlow
from tests.people import make_result, make_study, make_trust, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def result():
    """Two segments of 3.0 at stress and 1.5 at rest; at stress segment 8 is changed to 1.0."""
    trust = make_trust("Riverside NHS Trust")
    result = make_result(make_study(trust), summed=True)
    for entry in result.report["series"]:
        if entry["state"] == "stress":
            entry["mbf"]["segments"]["8"] = {**entry["mbf"]["segments"]["8"], "mbf": 1.0}
    result.report["summary"]["ischaemic_burden"] = {
        "segments": 1, "of": 2, "percent": 50.0, "cut_ml_per_min_per_g": 1.94, "source": "X",
    }  # fmt: skip
    result.save()
    SegmentFlow.objects.filter(result=result, state="stress", segment=8).update(mbf=1.0)
    result.owner = make_user(trust, name="Dr Ada Reader")
    return result


def send(client, result, version: int = 0, **said: str):
    client.force_login(result.owner)
    fields = {name.replace("_", "-", 1): value for name, value in said.items()}
    return client.post(
        f"/studies/{result.study.public_id}/segments/?result={result.number}",
        {"version": version, **fields},
    )


def test_what_is_set_aside_counts_no_more(client, result):
    answer = send(client, result, stress_8="dark_rim")
    assert answer.status_code == 302
    read = readings.of(result)
    assert read.accepted == 3
    assert read.by_name == "Dr Ada Reader"
    assert read.why("stress", 8) == "dark rim artefact"
    assert read.why("rest", 8) == ""
    assert read.why("reserve", 8) == "dark rim artefact"
    told = readings.as_read(result.report, read)
    # Of 3.0 and 1.0 at stress, the first alone; its reserve is 3.0 over 1.5.
    assert told["summary"]["stress"]["global"]["mbf"] == pytest.approx(3.0)
    assert told["summary"]["rest"]["global"]["mbf"] == pytest.approx(1.5)
    assert told["summary"]["reserve"]["global"]["mpr"] == pytest.approx(2.0)
    assert told["summary"]["ischaemic_burden"]["segments"] == 0
    assert told["summary"]["ischaemic_burden"]["of"] == 1
    assert set(told["reserve"]) == {"7"}
    # The result itself is as it was.
    result.refresh_from_db()
    assert result.report["summary"]["ischaemic_burden"]["segments"] == 1
    assert AuditEvent.objects.filter(verb="result.read").count() == 1


def test_the_page_strikes_it_out_and_says_who_read(client, result):
    send(client, result, stress_8="dark_rim")
    page = client.get(f"/studies/{result.study.public_id}/").content.decode()
    assert re.search(r'<s class="app-aside">1\.00</s> <span class="[^"]+">dark rim artefact', page)
    assert "3 values accepted, 1 set aside" in page
    assert "set aside, dark rim artefact" in page  # the diagram
    rows = list(csv.DictReader(io.StringIO("".join(offline.segments_csv(result)))))
    aside = {(row["state"], row["segment"]): row["set_aside_by_reader"] for row in rows}
    assert aside[("stress", "8")] == "dark rim artefact"
    assert aside[("stress", "7")] == aside[("rest", "8")] == ""


def test_the_report_begins_with_it_and_a_signature_keeps_it(client, result):
    send(client, result, stress_8="outline")
    text = reporting.beginning(result)
    assert (
        "Set aside by the reader, and not counted: "
        "Mid anteroseptal at stress (outline does not fit)." in text
    )
    assert "in none of 1 segments" in text
    draft = reporting.save(result.study, by=result.owner, text=text, seen=None)
    reporting.sign(draft, by=result.owner)
    assert send(client, result, version=1).status_code == 302
    assert not readings.of(result).set_aside
    signed = Report.objects.get(pk=draft.pk)
    assert readings.of_report(signed).why("stress", 8) == "outline does not fit"
    page = client.get(f"/reports/{signed.public_id}/").content.decode()
    assert "<s>1.00</s>" in page
    assert "1 set aside" in page


def test_an_unread_result_says_nothing_of_it(client, result):
    client.force_login(result.owner)
    page = client.get(f"/studies/{result.study.public_id}/").content.decode()
    assert "Accept the values, or set some aside" in page
    assert "set aside." not in page
    assert readings.of(result) is None
    assert "Set aside" not in reporting.beginning(result)


def test_of_two_who_read_neither_overwrites_the_other(client, result):
    send(client, result, stress_8="dark_rim")
    answer = send(client, result, stress_7="motion")
    assert answer.status_code == 400
    page = answer.content.decode()
    assert "Somebody else has gone through these segments" in page
    # The page shows what is kept, and can be kept again over it.
    assert readings.of(result).why("stress", 8)
    assert not readings.of(result).why("stress", 7)
    assert send(client, result, version=1, stress_7="motion").status_code == 302
    assert Reading.objects.get().version == 2


@pytest.mark.parametrize("aside", [{("stress", 1): "motion"}, {("stress", 7): "bored"}])
def test_what_is_no_value_or_no_reason_is_refused(result, aside):
    with pytest.raises(reading.ReadingError):
        reading.keep(result, aside, version=0, by=result.owner)
    assert not Reading.objects.exists()


def test_colleagues_elsewhere_see_it_and_do_not_change_it(client, result):
    send(client, result, stress_8="signal")
    guest = make_user(make_trust("Hillside NHS Trust"))
    sharing.share(result.study, by=result.owner, to_user=guest, reason="second opinion", days=5)
    client.force_login(guest)
    page = client.get(f"/studies/{result.study.public_id}/").content.decode()
    assert "1 set aside" in page
    address = f"/studies/{result.study.public_id}/segments/"
    assert address not in page
    assert client.get(address).status_code == 404
    assert client.post(address, {"version": 1}).status_code == 404
    assert Reading.objects.get().version == 1


def test_all_of_a_state_may_be_set_aside(client, result):
    send(client, result, stress_7="motion", stress_8="motion")
    told = readings.as_read(result.report, readings.of(result))
    assert told["summary"]["stress"]["global"]["mbf"] is None
    assert told["summary"]["stress"]["global"]["reason"]
    assert client.get(f"/studies/{result.study.public_id}/").status_code == 200

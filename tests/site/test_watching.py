"""Health, figures, the administrators' overview, feedback, and logs for programs."""

from __future__ import annotations

import json
import logging
from datetime import timedelta

import pytest
from django.core.files.storage import storages
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from accounts.models import Feedback
from corecmr.logs import JsonFormatter, RequestIdFilter
from processing import health, runs
from processing.models import Pulse, Run
from studies import reporting
from studies.models import SiteCheck
from tests.people import make_administrator, make_result, make_study, make_trust, make_user

pytestmark = pytest.mark.django_db

TOKEN = "watch-token-of-forty-characters-and-more"


def watch(client, path):
    return client.get(path, headers={"Authorization": f"Bearer {TOKEN}"})


def named(checks):
    return {check.name: check for check in checks}


def test_live_and_ready_say_no_more_than_that(client):
    assert client.get("/health/live/").content == b"ok\n"
    assert client.get("/health/ready/").content == b"ready\n"


def test_a_database_that_lacks_a_migration_is_not_ready(client, monkeypatch):
    monkeypatch.setattr(
        "processing.health.MigrationExecutor.migration_plan", lambda self, targets: [("x", False)]
    )
    answer = client.get("/health/ready/")
    assert answer.status_code == 503
    assert answer.content == b"not ready\n"


def test_a_database_that_is_away_is_told_without_its_words(client, monkeypatch):
    def away(*args, **kwargs):
        raise OSError("secret host name")

    monkeypatch.setattr("django.db.connection.cursor", away)
    assert client.get("/health/live/").status_code == 200
    answer = client.get("/health/ready/")
    assert answer.status_code == 503
    assert b"secret" not in answer.content


def test_details_are_for_the_token_and_for_administrators(client, settings):
    settings.WATCH_TOKEN = TOKEN
    for path in ("/health/deep/", "/metrics"):
        assert client.get(path).status_code == 404
        assert client.get(path, headers={"Authorization": "Bearer x"}).status_code == 404
        assert watch(client, path).status_code in (200, 503)
        client.force_login(make_user(make_trust()))
        assert client.get(path).status_code == 404
        client.force_login(make_administrator())
        assert client.get(path).status_code in (200, 503)
        client.logout()
    settings.WATCH_TOKEN = ""
    assert client.get("/metrics", headers={"Authorization": "Bearer "}).status_code == 404


def test_what_is_wrong_is_told_with_its_sentence(client, settings):
    settings.WATCH_TOKEN = TOKEN
    settings.TRUTH_TEST_HOURS = 24
    found = named(health.deep())
    assert found["storage"].ok
    assert not found["worker"].ok
    assert "runworker" in found["worker"].sentence
    assert "No backup" in found["backup"].sentence
    assert found["certificate"].ok is None
    answer = watch(client, "/health/deep/")
    assert answer.status_code == 503
    assert answer.json()["ok"] is False

    now = timezone.now()
    Pulse.objects.create(cluster="one", answered_at=now)
    SiteCheck.keep("backup", passed=True, detail={})
    SiteCheck.keep("truth", passed=True, detail={})
    found = named(health.deep())
    assert all(found[name].ok for name in ("worker", "backup", "truth", "queue", "database"))

    study = make_study(make_trust())
    run = runs.submit(study, engine="mcaq", by=None)
    Run.objects.filter(pk=run.pk).update(created_at=now - timedelta(hours=1))
    SiteCheck.objects.filter(kind="backup").update(at=now - timedelta(days=3))
    SiteCheck.keep("truth", passed=False, detail={"problem": "flow was 40% off"})
    found = named(health.deep())
    assert not found["queue"].ok
    assert "60 minutes" in found["queue"].sentence
    assert not found["backup"].ok
    assert "flow was 40% off" in found["truth"].sentence


def test_a_storage_that_fails_is_found(monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(storages["default"], "save", full)
    found = named(health.deep())
    assert found["storage"].ok is False
    assert "OSError" in found["storage"].sentence


def test_figures_are_what_prometheus_reads(client, settings):
    settings.WATCH_TOKEN = TOKEN
    study = make_study(make_trust())
    make_result(study)
    runs.submit(study, engine="mcaq", by=None)
    text = watch(client, "/metrics").content.decode()
    found = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert found["corecmr_runs", "queued"] == 1
    assert found["corecmr_runs", "succeeded"] == 0
    assert found["corecmr_studies",] == 1
    assert found["corecmr_check_ok", "database"] == 1
    assert found["corecmr_check_ok", "worker"] == 0
    assert study.reference not in text


def test_the_overview_counts_and_names_no_study(client):
    trust = make_trust("Hillside NHS Trust")
    reader = make_user(trust)
    study = make_study(trust, manufacturer="SIEMENS", scanner_model="Aera", field_t=1.5)
    make_result(study, summed=True)
    draft = reporting.save(study, by=reader, text="Even.", seen=None)
    reporting.sign(draft, by=reader)
    failing = make_study(trust)
    run = runs.submit(failing, engine="mcaq", by=reader)
    runs.fail(runs.claim(run.pk), "No perfusion series was found.")
    client.force_login(reader)
    client.get(f"/studies/{study.public_id}/")
    assert client.get("/admin/overview/").status_code == 404
    client.force_login(make_administrator())
    page = client.get("/admin/overview/").content.decode()
    assert "Hillside NHS Trust" in page
    assert "SIEMENS Aera 1.5 T" in page
    assert "No perfusion series was found." in page
    assert study.reference not in page
    row = page[page.index("Hillside NHS Trust") :].split("</tr>")[0]
    assert [cell.strip("<>/td ") for cell in row.split("<td>")[1:]] == ["2", "1", "0.0", "1"]


def test_feedback_reaches_the_administrators(client):
    reader = make_user(make_trust(), name="Dr Reader")
    client.force_login(reader)
    assert client.post("/accounts/feedback/", {"text": ""}).status_code == 400
    client.post("/accounts/feedback/", {"text": "The films are too small."})
    assert Feedback.objects.get().by == reader
    client.force_login(make_administrator())
    assert "1 message" in client.get("/admin/overview/").content.decode()
    page = client.get("/admin/accounts/feedback/").content.decode()
    assert "The films are too small." in page


def test_a_line_for_programs_is_one_json_object():
    record = logging.LogRecord(
        "corecmr", logging.ERROR, "file.py", 1, "two\nlines of %s", ("text\x1b[31m",), None
    )
    RequestIdFilter().filter(record)
    line = JsonFormatter().format(record)
    assert "\n" not in line
    assert "\x1b" not in line
    told = json.loads(line)
    assert told["message"] == "two\nlines of text\x1b[31m"
    assert (told["level"], told["logger"], told["request_id"]) == ("ERROR", "corecmr", "-")

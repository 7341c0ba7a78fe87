"""What was understood of each series, corrected on the study's page in one form."""

from __future__ import annotations

import io
import json
import re
import zipfile

import pytest

from accounts.models import AuditEvent, User
from processing import runs
from processing.models import Run
from studies import corrections, sharing
from studies.models import Series, Study
from tests.people import make_result, make_series, make_study, make_trust, make_user, store_source

pytestmark = pytest.mark.django_db


@pytest.fixture
def study() -> Study:
    return make_study(make_trust())


@pytest.fixture
def owner(client, study) -> User:
    user = make_user(study.trust)
    client.force_login(user)
    return user


def page(client, path: str) -> str:
    response = client.get(path)
    assert response.status_code == 200
    return response.content.decode()


def boxes(html: str) -> dict[str, str]:
    """What the form would send if nobody touched it."""
    found = {}
    for name, body in re.findall(r'<select name="([\w-]+)".*?>(.*?)</select>', html, re.DOTALL):
        chosen = re.search(r'value="([^"]*)" selected', body)
        found[name] = chosen[1] if chosen else re.search(r'value="([^"]*)"', body)[1]
    return {name: value for name, value in found.items() if "-" in name}


def test_each_series_is_shown_with_its_reason_and_corrected_in_one_step(client, study, owner):
    one, other = make_series(study), make_series(study, level="apical", state="unknown")
    html = page(client, f"/studies/{study.public_id}/")
    assert "What was understood" in html
    assert "One slice alone is taken as mid." in html
    sent = boxes(html)
    assert sent == {
        f"{one.public_id}-state": "stress", f"{one.public_id}-level": "mid",
        f"{one.public_id}-role": "perfusion", f"{other.public_id}-state": "unknown",
        f"{other.public_id}-level": "apical", f"{other.public_id}-role": "perfusion",
    }  # fmt: skip
    sent |= {f"{one.public_id}-level": "basal", f"{other.public_id}-role": "aif"}
    address = f"/studies/{study.public_id}/series/"
    assert client.post(address, sent)["Location"] == f"/studies/{study.public_id}/#understood"
    one.refresh_from_db()
    other.refresh_from_db()
    assert (one.level, one.corrected, one.corrected_by) == ("basal", {"level": "basal"}, owner)
    assert (other.role, other.state) == ("aif", "unknown")
    event = AuditEvent.objects.get(verb="study.correct")
    assert event.detail == {"series": 2}
    html = page(client, f"/studies/{study.public_id}/")
    assert html.count("Corrected by a person") == 2
    assert "It had been understood as" in html
    assert boxes(html) == sent


def test_what_agrees_with_sorting_is_no_correction_any_more(client, study, owner):
    one = make_series(study)
    address = f"/studies/{study.public_id}/series/"
    name = f"{one.public_id}-state"
    for said, kept in (("rest", {"state": "rest"}), ("rest", {"state": "rest"}), ("stress", {})):
        client.post(address, {name: said})
        one.refresh_from_db()
        assert (one.state, one.corrected) == (said, kept)
    assert (one.corrected_by, one.corrected_at) == (None, None)
    assert AuditEvent.objects.filter(verb="study.correct").count() == 2
    assert corrections.of(study) == []


def test_a_study_without_any_perfusion_series_is_refused_with_a_sentence(client, study, owner):
    one = make_series(study)
    response = client.post(
        f"/studies/{study.public_id}/series/", {f"{one.public_id}-role": "unused"}
    )
    html = response.content.decode()
    assert "<title>Error: " in html
    assert "No series would be left to analyse" in html
    assert f'href="#id_{one.public_id}-role"' in html
    assert f'id="id_{one.public_id}-role"' in html
    odd = client.post(f"/studies/{study.public_id}/series/", {f"{one.public_id}-state": "xyz"})
    assert "<title>Error: " in odd.content.decode()
    one.refresh_from_db()
    assert (one.role, one.state, one.corrected) == ("perfusion", "stress", {})


def test_who_sees_by_a_share_sees_corrections_but_makes_none(client, study):
    owner, guest = make_user(study.trust), make_user(make_trust())
    one = make_series(study)
    sharing.share(study, by=owner, to_user=guest, reason="opinion")
    corrections.correct(study, by=owner, said={one.public_id: {"state": "rest"}})
    client.force_login(guest)
    html = page(client, f"/studies/{study.public_id}/")
    assert "Corrected by a person." in html
    assert boxes(html) == {}
    sent = {f"{one.public_id}-state": "stress"}
    assert client.post(f"/studies/{study.public_id}/series/", sent).status_code == 404


def test_the_next_analysis_has_the_corrections_and_its_record_too(client, study, owner):
    one = make_series(study)
    store_source(study, [("a.dcm", b"some bytes")])
    before = runs.submit(study, engine="mcaq", by=owner)
    runs.cancel(before, by=owner)
    result = make_result(study)
    assert "outdated-run" not in page(client, f"/studies/{study.public_id}/")
    client.post(f"/studies/{study.public_id}/series/", {f"{one.public_id}-state": "rest"})
    html = page(client, f"/studies/{study.public_id}/")
    assert "outdated-run" in html, "the page says that the result knows nothing of it"
    client.post(f"/studies/{study.public_id}/run/submit/", {})
    run = Run.objects.exclude(pk=before.pk).get()
    assert run.input_key != before.input_key
    told = [{"sop_instance_uid": one.sop_instance_uid, "frame_number": 1, "state": "rest"}]
    assert run.parameters["corrections"] == told
    result.report["parameters"] = {"corrections": told}
    result.save()
    assert "outdated-run" not in page(client, f"/studies/{study.public_id}/")


def test_the_zip_carries_them_beside_the_images(client, study, owner):
    one = make_series(study)
    store_source(study, [("a.dcm", b"some bytes")])
    make_result(study)
    address = f"/studies/{study.public_id}/everything.zip"

    def names() -> dict[str, bytes]:
        archive = zipfile.ZipFile(io.BytesIO(b"".join(client.get(address))))
        return {name.split("/", 1)[1]: archive.read(name) for name in archive.namelist()}

    assert "source/corrections.json" not in names()
    corrections.correct(study, by=owner, said={one.public_id: {"role": "aif", "level": "basal"}} | {
        make_series(study, state="rest").public_id: {}})  # fmt: skip
    held = names()
    assert json.loads(held["source/corrections.json"])["corrections"] == corrections.of(study)
    listed = {entry["path"] for entry in json.loads(held["manifest.json"])["files"]}
    assert "source/corrections.json" in listed


def test_maps_of_the_scanner_are_no_series_to_correct(client, study, owner):
    make_series(study)
    make_series(study, role=Series.Role.MAP, frames=1)
    html = page(client, f"/studies/{study.public_id}/")
    assert len(boxes(html)) == 3
    assert "The scanner’s own flow map was in the upload" in html

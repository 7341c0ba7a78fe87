"""Whom a study is of: sealed at rest, and opened for people of the owning trust only."""

from __future__ import annotations

import json
import re
from io import StringIO
from pathlib import Path

import pytest
from django.core.files.base import ContentFile
from django.core.management import CommandError, call_command
from django.db import connection
from django.http import Http404
from django.test import Client

from accounts.models import AuditEvent, User
from accounts.roles import Role
from studies import identity, sharing, uploads, vault
from studies.identity import Identity
from studies.models import SourceIdentity, Study, Upload
from studies.tasks import ingest_upload
from tests.dicom.make import film, save
from tests.people import make_administrator, make_result, make_study, make_trust, make_user

pytestmark = pytest.mark.django_db

NAME, NUMBER = "PERSON^Ann Other^^Ms", "INV 0001-7"


@pytest.fixture
def user() -> User:
    return make_user(make_trust())


def send(user: User, folder: Path, **changes: object) -> Upload:
    options = {"PatientName": NAME, "PatientID": NUMBER, "AccessionNumber": "ACC7", **changes}
    paths = save(film(12, **options), folder)
    upload = uploads.receive(user, [(p.name, ContentFile(p.read_bytes())) for p in paths])
    ingest_upload(upload.pk)
    upload.refresh_from_db()
    assert upload.state == Upload.State.DONE, upload.reason
    return upload


@pytest.fixture
def study(user, tmp_path) -> Study:
    return send(user, tmp_path / "in").studies.get()


def page(user: User, address: str) -> str:
    client = Client()
    client.force_login(user)
    response = client.get(address)
    assert response.status_code == 200
    return response.content.decode()


def views_on_record() -> int:
    return AuditEvent.objects.filter(verb="identity.view").count()


def test_it_is_what_the_files_said_with_the_hospitals_own_uids(user, study):
    found = identity.view(user, study)
    assert found.name == "PERSON, Ann Other (Ms)"
    assert found.number == NUMBER
    assert found.birth_date.isoformat() == "1960-02-03"
    assert found.study_date.isoformat() == "2024-05-14"
    assert found.study == {"uid": "1.2.3.2", "date": "20240514", "accession_number": "ACC7"}
    (series,) = study.series.all()
    assert found.uids[series.uid] == "1.2.3.5.1"
    stored = [Path(one.name).stem for one in study.files.all()]
    assert {found.uids[uid] for uid in stored} == {f"1.2.3.4.1.{n}" for n in range(1, 13)}


def test_at_rest_it_tells_nothing(study):
    row = SourceIdentity.objects.get()
    everything = repr([bytes(row.sealed), row.number_hash])
    for told in ("PERSON", "Ann", "INV", "0001", "1960", "1.2.3.", "ACC7"):
        assert told not in everything
    with pytest.raises(vault.CannotOpen):
        vault.unseal(bytes(row.sealed), "another study")


def test_only_people_of_the_owning_trust_see_it(user, study):
    colleague, grantee = make_user(user.trust), make_user(make_trust())
    receiver = make_trust()
    by_trust = make_user(receiver)
    sharing.share(study, by=user, to_user=grantee, reason="opinion")
    sharing.share(study, by=user, to_trust=receiver, reason="opinion")
    address = f"/studies/{study.public_id}/"
    before = views_on_record()
    for owner in (user, colleague):
        shown = page(owner, address)
        for told in ("PERSON, Ann Other (Ms)", NUMBER, "03-Feb-1960", "ACC7", "14-May-2024"):
            assert told in shown
    assert views_on_record() == before + 2
    for other in (grantee, by_trust):
        shown = page(other, address)
        for told in ("PERSON", "Ann Other", NUMBER, "1960", "ACC7", "May-2024"):
            assert told not in shown
    strangers = [
        grantee, by_trust, make_user(make_trust()), make_user(user.trust, Role.RESEARCHER),
        make_administrator(), make_user(user.trust, status=User.Status.SUSPENDED),
    ]  # fmt: skip
    for other in strangers:
        with pytest.raises(Http404):
            identity.view(other, study)
    assert views_on_record() == before + 2


def test_it_is_in_no_record_of_its_viewing(user, study):
    page(user, f"/studies/{study.public_id}/")
    for event in AuditEvent.objects.all():
        assert not re.search("PERSON|INV|1960", json.dumps(event.detail) + event.object_id)


def test_a_study_without_one_has_no_banner(user):
    study = make_study(user.trust)
    assert identity.view(user, study) is None
    assert "app-patient" not in page(user, f"/studies/{study.public_id}/")
    assert views_on_record() == 0


def test_a_second_upload_adds_and_overwrites_nothing(user, study, tmp_path):
    before = identity.view(user, study)
    sealed = bytes(SourceIdentity.objects.get().sealed)
    send(user, tmp_path / "same")
    assert bytes(SourceIdentity.objects.get().sealed) == sealed
    send(user, tmp_path / "more", series="2", AccessionNumber="OTHER", StudyID="4")
    after = identity.view(user, study)
    assert after.patient == before.patient
    assert after.study == {**before.study, "id": "4"}
    assert before.uids.items() < after.uids.items()
    assert "1.2.3.5.2" in after.uids.values()


def test_a_study_goes_with_its_identity(study):
    study.delete()
    assert not SourceIdentity.objects.exists()


# --- keys -----------------------------------------------------------------------------------------


def test_keys_are_changed_without_losing_anybody(user, study, settings):
    old, new = settings.IDENTITY_KEYS[0], "n" * 60
    settings.IDENTITY_KEYS = [new, old]
    assert identity.view(user, study).number == NUMBER
    said = StringIO()
    call_command("reseal", stdout=said)
    assert "1 identities" in said.getvalue()
    settings.IDENTITY_KEYS = [new]
    assert identity.view(user, study).number == NUMBER
    settings.IDENTITY_KEYS = [old]
    with pytest.raises(identity.Unreadable):
        identity.view(user, study)
    with pytest.raises(CommandError, match="opens with none of the keys"):
        call_command("reseal")


def test_without_its_key_the_study_is_still_shown(user, study, settings, caplog):
    settings.IDENTITY_KEYS = ["x" * 60]
    shown = page(user, f"/studies/{study.public_id}/")
    assert "The patient’s name cannot be read" in shown
    assert "PERSON" not in shown + caplog.text
    assert study.public_id in caplog.text


def test_a_seal_that_was_changed_or_moved_does_not_open(user, study):
    other = make_study(user.trust)
    row = SourceIdentity.objects.get()
    SourceIdentity.objects.create(study=other, sealed=row.sealed)
    with pytest.raises(identity.Unreadable):
        identity.view(user, other)
    for wrong in (b"", b"\x01", bytes(row.sealed)[:-1], b"\x02" + bytes(row.sealed)[1:]):
        with pytest.raises(vault.CannotOpen):
            vault.unseal(wrong, f"study {study.public_id}")


# --- finding --------------------------------------------------------------------------------------


def found_by(user: User, number: str) -> tuple[int, str]:
    client = Client()
    client.force_login(user)
    response = client.post("/find/", {"number": number})
    return response.status_code, response.content.decode()


@pytest.mark.parametrize("typed", [NUMBER, "inv00017", " INV-0001 7 "])
def test_a_study_is_found_by_the_local_number(user, study, typed):
    make_result(study)
    make_study(user.trust)
    status, shown = found_by(user, typed)
    assert (status, shown.count('class="app-reference"')) == (200, 1)
    assert study.reference in shown
    event = AuditEvent.objects.get(verb="identity.search")
    assert event.detail == {"found": 1}


def test_a_number_finds_nothing_in_another_trust(user, study):
    grantee = make_user(make_trust())
    sharing.share(study, by=user, to_user=grantee, reason="opinion")
    for other in (grantee, make_user(make_trust())):
        status, shown = found_by(other, NUMBER)
        assert status == 200
        assert "No study found" in shown
        assert study.reference not in shown


@pytest.mark.parametrize("typed", ["", " ", "-", "INV0002", "0" * 64])
def test_a_number_that_is_none_finds_nothing(user, study, typed):
    make_study(user.trust)  # without an identity
    _, shown = found_by(user, typed)
    assert study.reference not in shown
    assert "app-worklist" not in shown


def test_the_form_stands_on_the_home_page_and_posts(user):
    shown = page(user, "/")
    assert re.search(r'<form[^>]*action="/find/" method="post"', shown)
    client = Client()
    client.force_login(user)
    assert client.get("/find/").status_code == 405


# --- what is shown of it --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        ("PERSON^Ann", "PERSON, Ann"),
        ("van der Berg^Jo^M^Dr^Jr", "VAN DER BERG, Jo M Jr (Dr)"),
        ("Yamada^Tarou=山田^太郎", "YAMADA, Tarou"),
        ("ANN PERSON", "ANN PERSON"),
        ("^Ann", "Ann"),
        ("", ""),
    ],
)
def test_names_are_written_as_banners_write_them(told, shown):
    assert Identity({"name": told}, {}, {}).name == shown


def test_a_name_cannot_bring_its_own_markup(user, tmp_path):
    study = send(user, tmp_path / "x", PatientName="<b>X^<i>", PatientID="<1>").studies.get()
    shown = page(user, f"/studies/{study.public_id}/")
    assert "&lt;B&gt;X, &lt;i&gt;" in shown
    assert "<b>X" not in shown


def test_the_uploads_page_says_what_was_removed_without_values(user, tmp_path):
    upload = send(user, tmp_path / "in", InstitutionName="Ward Seven")
    assert upload.changes["00100010 pseudonym"] == 12
    assert upload.changes["00080080 removed"] == 12
    shown = page(user, f"/uploads/{upload.public_id}/")
    assert "What was removed or changed" in shown
    for told in ("Patient&#x27;s Name", "(0010,0010)", "Institution Name", "Replaced by"):
        assert told in shown
    for told in ("PERSON", NUMBER, "Ward Seven"):
        assert told not in shown


def test_the_rules_are_public():
    shown = Client().get("/de-identification/").content.decode()
    for told in ("Rescale Slope", "(0028,1053)", "113107", "Philips MR Imaging DD 001"):
        assert told in shown
    rules = Client().get("/de-identification/rules.json").json()
    assert rules["attributes"]["00100010"]["action"] == "pseudonym"
    assert rules["otherwise"] == "removed"
    assert "00080080" not in rules["attributes"]


# --- names of files -------------------------------------------------------------------------------


def test_names_of_files_lie_sealed_and_their_sender_reads_them(user, settings):
    upload = uploads.receive(user, [("PERSON_ANN.txt", ContentFile(b"Dear colleague"))])
    ingest_upload(upload.pk)
    with connection.cursor() as cursor:
        cursor.execute("SELECT name FROM studies_uploaditem")
        ((kept,),) = cursor.fetchall()
    assert b"PERSON" not in bytes(kept)
    address = f"/uploads/{upload.public_id}/"
    assert "PERSON_ANN.txt" in page(user, address)
    settings.IDENTITY_KEYS = ["x" * 60]
    assert "PERSON_ANN" not in page(user, address)


def test_what_a_sender_is_asked_about_lies_sealed_too(user):
    upload = uploads.start(user)
    told = [{"uid": "2.25.1", "folders": ["PERSON_ANN"], "days_later": 0}]
    Upload.objects.filter(pk=upload.pk).update(examinations=told)
    with connection.cursor() as cursor:
        cursor.execute("SELECT one::text FROM studies_upload one")
        ((row,),) = cursor.fetchall()
    assert b"PERSON".hex() not in row
    assert "PERSON" not in row
    upload.refresh_from_db()
    assert upload.examinations == told
    Upload.objects.filter(pk=upload.pk).update(examinations=[])
    upload.refresh_from_db()
    assert upload.examinations == []


def test_the_same_file_sent_twice_is_still_one(user):
    upload = uploads.start(user)
    for name in ("IM_0001", "IM_0001", "IM_0002"):
        uploads.add_files(upload, [(name, ContentFile(b"the same bytes"))])
    assert [item.name for item in upload.items.all()] == ["IM_0001", "IM_0002"]

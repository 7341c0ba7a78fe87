"""Several examinations or patients in one upload: told apart, asked about, kept as answered."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.utils import timezone
from django_q.models import OrmQ  # noqa: TID251  (the test looks into the queue's own table)

from accounts.models import AuditEvent
from studies import uploads
from studies.models import StoredFile, Study, Upload
from studies.tasks import ingest_upload
from tests.dicom.make import film, save
from tests.dicom.zips import archive
from tests.people import make_trust, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def user():
    return make_user(make_trust())


def examination(folder, number: int, count: int = 12, **changes):
    """Stress or rest as an examination of its own."""
    words = "Stress perfusion" if number == 1 else "Rest perfusion"
    made = film(
        count, series=str(number), StudyInstanceUID=f"1.2.3.90.{number}", SeriesDescription=words,
        StudyTime=f"1{number}0500", **changes,
    )  # fmt: skip
    paths = save(made, folder / str(number))
    return [(f"IM_{number}{n:03d}", path.read_bytes()) for n, path in enumerate(paths)]


def checked(user, files, **options) -> Upload:
    made = [(name, ContentFile(data)) for name, data in files]
    upload = uploads.receive(user, made, **options)
    ingest_upload(upload.pk)
    upload.refresh_from_db()
    return upload


def again(upload: Upload) -> Upload:
    ingest_upload(upload.pk)
    upload.refresh_from_db()
    return upload


@pytest.fixture
def apart(user, tmp_path) -> Upload:
    """One patient, one day: stress and rest filed as two examinations."""
    return checked(user, [*examination(tmp_path, 1), *examination(tmp_path, 2)])


@pytest.fixture
def two_patients(user, tmp_path) -> Upload:
    other = {"PatientID": "INV0002", "PatientName": "INVENTED^OTHER", "PatientSex": "F"}
    return checked(
        user, [*examination(tmp_path, 1, PatientSex="M"), *examination(tmp_path, 2, **other)]
    )


def uids(upload: Upload) -> list[str]:
    return [one["uid"] for one in upload.examinations]


def test_nothing_is_stored_before_the_answer(apart):
    assert apart.state == "asked"
    assert not Study.objects.exists()
    assert not StoredFile.objects.exists()
    assert all(storages["quarantine"].exists(item.key) for item in apart.items.all())
    first, second = apart.examinations
    assert (first["patient"], second["patient"]) == (1, 1)
    assert (first["time"], second["time"]) == ("11:05", "12:05")
    assert (first["days_later"], second["days_later"]) == (0, 0)
    assert [one["state"] for one in first["series"]] == ["stress"]
    assert (first["first_name"], first["last_name"]) == ("IM_1000", "IM_1011")
    assert uploads.claim(apart.pk) is None


def test_one_patient_both_kept(client, user, apart):
    client.force_login(user)
    page = client.get(f"/uploads/{apart.public_id}/").content.decode()
    assert "2 examinations of one patient" in page
    assert page.count(" checked>") == 2
    answered = client.post(f"/uploads/{apart.public_id}/answer/", {"keep": uids(apart)})
    assert answered.status_code == 302
    upload = again(apart)
    assert (upload.state, upload.done, upload.total) == ("done", 24, 24)
    assert {study.files.count() for study in upload.studies.all()} == {12}
    assert upload.studies.count() == 2
    assert upload.examinations == []
    assert set(upload.items.values_list("state", "name")) == {("stored", "")}


def test_of_two_patients_one_is_kept(client, user, two_patients):
    client.force_login(user)
    page = client.get(f"/uploads/{two_patients.public_id}/").content.decode()
    assert "These files are of 2 patients" in page
    assert " checked>" not in page
    assert "INVENTED" not in page
    kept = uids(two_patients)[0]
    client.post(f"/uploads/{two_patients.public_id}/answer/", {"keep": [kept, "1.2.3"]})
    upload = again(two_patients)
    assert [study.study_uid for study in upload.studies.all()] == [kept]
    assert StoredFile.objects.count() == 12
    left = upload.items.filter(state="unused")
    assert left.count() == 12
    assert {item.reason for item in left} == {"You chose not to keep this examination."}
    verbs = list(AuditEvent.objects.values_list("verb", flat=True))
    assert {"upload.ask", "upload.answer", "upload.ingest"} <= set(verbs)


def test_an_answer_without_a_choice_is_asked_again(client, user, two_patients):
    client.force_login(user)
    for data in ({}, {"keep": ["1.2.3"]}):
        answered = client.post(f"/uploads/{two_patients.public_id}/answer/", data)
        assert answered.status_code == 200
        assert "Choose the examinations to keep" in answered.content.decode()
    two_patients.refresh_from_db()
    assert two_patients.state == "asked"


def test_an_answer_counts_once(user, apart):
    OrmQ.objects.all().delete()
    assert uploads.answer(apart, uids(apart))
    assert not uploads.answer(apart, uids(apart)[:1])
    assert OrmQ.objects.count() == 1
    apart.refresh_from_db()
    assert len(apart.keep) == 2


def test_an_answer_is_the_senders_alone(client, user, apart):
    client.force_login(make_user(user.trust))
    path = f"/uploads/{apart.public_id}/answer/"
    assert client.post(path, {"keep": uids(apart)}).status_code == 404


def test_none_is_kept_by_withdrawing(client, user, apart):
    keys = list(apart.items.values_list("key", flat=True))
    client.force_login(user)
    client.post(f"/uploads/{apart.public_id}/withdraw/")
    assert not Upload.objects.exists()
    assert not any(storages["quarantine"].exists(key) for key in keys)


def test_no_answer_for_a_day_keeps_nothing(user, apart):
    keys = list(apart.items.values_list("key", flat=True))
    uploads.reap()
    apart.refresh_from_db()
    assert apart.state == "asked"
    Upload.objects.filter(pk=apart.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
    uploads.reap()
    apart.refresh_from_db()
    assert (apart.state, apart.examinations) == ("failed", [])
    assert "did not answer within a day" in apart.reason
    assert not any(storages["quarantine"].exists(key) for key in keys)
    assert set(apart.items.values_list("name", flat=True)) == {""}
    assert not Study.objects.exists()


def test_another_examination_of_the_patient_without_perfusion_is_not_asked_about(user, tmp_path):
    few = examination(tmp_path, 2, count=3)
    upload = checked(user, [*examination(tmp_path, 1), *few])
    assert (upload.state, upload.studies.count()) == ("done", 1)


def test_another_patient_is_asked_about_even_without_perfusion(client, user, tmp_path):
    few = examination(tmp_path, 2, count=3, PatientID="INV0002")
    upload = checked(user, [*examination(tmp_path, 1), *few])
    assert upload.state == "asked"
    assert [one["usable"] for one in upload.examinations] == [True, False]
    client.force_login(user)
    assert " disabled" in client.get(f"/uploads/{upload.public_id}/").content.decode()
    with pytest.raises(uploads.UploadError):
        uploads.answer(upload, [uids(upload)[1]])


def test_folders_of_an_archive_are_told_and_forgotten(client, user, tmp_path):
    members = {
        f"CD/{kind}/{name}": data
        for number, kind in ((1, "STRESS"), (2, "REST"))
        for name, data in examination(tmp_path, number)
    }
    upload = checked(user, [("cd.zip", archive(members))])
    assert [one["folders"] for one in upload.examinations] == [["CD/STRESS"], ["CD/REST"]]
    client.force_login(user)
    assert "from folder CD/REST" in client.get(f"/uploads/{upload.public_id}/").content.decode()
    assert uploads.answer(upload, uids(upload))
    upload = again(upload)
    assert (upload.state, upload.total) == ("done", 24)
    rows = repr(list(Upload.objects.values_list())) + repr(list(upload.items.values_list()))
    assert "CD/" not in rows


def test_an_archive_of_many_is_taken_in_without_asking(user, tmp_path):
    files = [*examination(tmp_path, 1), *examination(tmp_path, 2, PatientID="INV0002")]
    upload = checked(user, files, keep_all=True)
    assert (upload.state, upload.studies.count()) == ("done", 2)

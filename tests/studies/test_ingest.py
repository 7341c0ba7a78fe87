"""Taking an upload in with the real checking child: what must be stored, and how it may fail."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from django.conf import settings as site
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.utils import timezone
from django_q.models import OrmQ  # noqa: TID251  (the test looks into the queue's own table)

from accounts.models import AuditEvent, User
from studies import uploads
from studies.models import StoredFile, Study, Upload
from studies.tasks import ingest_upload
from tests.dicom.make import film, save
from tests.people import make_trust, make_user

pytestmark = pytest.mark.django_db

#: In every file of ``tests.dicom.make`` and in the names below.
PATIENT = ("INVENTED", "INV0001", "19600203", "SMITH")

Files = list[tuple[str, bytes]]


@pytest.fixture
def user() -> User:
    return make_user(make_trust())


def files_of(folder: Path, count: int = 12, **options: object) -> Files:
    paths = save(film(count, **options), folder)
    return [(f"SMITH^JOHN/{path.name}", path.read_bytes()) for path in paths]


@pytest.fixture
def files(tmp_path) -> Files:
    return files_of(tmp_path / "in")


def send(user: User, files: Files) -> Upload:
    return uploads.receive(user, [(name, ContentFile(data)) for name, data in files])


def taken_in(user: User, files: Files) -> Upload:
    upload = send(user, files)
    ingest_upload(upload.pk)
    upload.refresh_from_db()
    return upload


def states(upload: Upload) -> dict[str, int]:
    found = list(upload.items.values_list("state", flat=True))
    return {state: found.count(state) for state in set(found)}


def in_storage(name: str) -> set[Path]:
    return {path for path in (site.VAR_DIR / name).rglob("*") if path.is_file()}


def test_of_every_file_that_was_sent_it_is_told_what_became_of_it(user, files):
    """Good, twice the same, empty, cut off, no DICOM, no picture: all in one folder."""
    whole = files[0][1]
    bad = [
        ("empty", b""), ("cut-off", whole[:700]), ("notes.txt", b"Dear colleague, about SMITH"),
        ("copy-of-a-good-one", whole),
    ]  # fmt: skip
    upload = taken_in(user, [*files, *bad])
    assert (upload.state, upload.total, upload.done) == ("done", 16, 16)
    counts = states(upload)
    assert sum(counts.values()) == upload.total
    (study,) = upload.studies.all()
    stored = study.files.filter(kind=StoredFile.Kind.SOURCE)
    assert stored.count() == len({data for _, data in files}) == 12
    assert counts["rejected"] == 3
    for item in upload.items.filter(state="rejected"):
        assert item.name in {"empty", "cut-off", "notes.txt"}
        assert item.reason
    for stored_file in stored:
        assert stored_file.file.storage.exists(stored_file.file.name)
    assert OrmQ.objects.count() == 2, "one message for the check and one for the study"


def test_a_study_that_comes_in_parts_is_one_and_no_file_is_lost_or_doubled(user, tmp_path):
    whole = files_of(tmp_path / "whole", count=24)
    first, second = taken_in(user, whole[:12]), taken_in(user, whole[8:])
    study = Study.objects.get()
    assert list(first.studies.all()) == list(second.studies.all()) == [study]
    assert states(second) == {"duplicate": 4, "stored": 12}
    assert StoredFile.objects.count() == 24
    assert study.series.count() == 1


def test_doing_it_again_changes_nothing(user, files):
    taken_in(user, files)
    study = Study.objects.get()
    rows = list(StoredFile.objects.values_list("pk", "file", "sha256"))
    series = list(study.series.values_list())
    again = taken_in(user, files)
    assert states(again) == {"duplicate": 12}
    assert list(StoredFile.objects.values_list("pk", "file", "sha256")) == rows
    assert list(study.series.values_list()) == series


def test_two_trusts_that_hold_the_same_images_learn_nothing_of_each_other(user, files):
    other = make_user(make_trust())
    mine, theirs = (taken_in(one, files).studies.get() for one in (user, other))
    assert mine != theirs
    assert mine.study_uid != theirs.study_uid
    assert mine.patient_pseudonym != theirs.patient_pseudonym
    hashes = [set(one.files.values_list("sha256", flat=True)) for one in (mine, theirs)]
    assert hashes[0].isdisjoint(hashes[1])


def test_two_studies_in_one_folder_are_two(user, files, tmp_path):
    other = files_of(
        tmp_path / "other", series="9", StudyInstanceUID="1.2.3.99", PatientID="INV0002",
        PatientName="INVENTED^OTHER",
    )  # fmt: skip
    upload = taken_in(user, [*files, *other])
    assert upload.state == "asked"
    assert uploads.answer(upload, [one["uid"] for one in upload.examinations])
    ingest_upload(upload.pk)
    assert upload.studies.count() == 2
    assert {study.files.count() for study in upload.studies.all()} == {12}
    assert len({study.patient_pseudonym for study in upload.studies.all()}) == 2


def test_a_folder_without_perfusion_is_told_and_leaves_no_bytes(user):
    before = in_storage("media"), in_storage("quarantine")
    upload = taken_in(user, [("letter.dcm", b"Dear colleague"), ("empty", b"")])
    assert upload.state == "failed"
    assert "None of these files belongs to a first-pass perfusion series." in upload.reason
    assert states(upload) == {"rejected": 2}
    assert not Study.objects.exists()
    assert (in_storage("media"), in_storage("quarantine")) == before


def test_a_checking_child_that_breaks_down_is_told_without_its_words(user, files, settings, caplog):
    settings.INTAKE_MEMORY_BYTES = 48 * 1024**2  # too little even to begin
    upload = taken_in(user, files)
    assert upload.state == "failed"
    assert "These files could not be checked" in upload.reason
    identifier = upload.reason.split("log id ")[1].split(")")[0]
    assert f"intake {identifier} ended" in caplog.text
    for told in PATIENT:
        assert told not in caplog.text
    assert not Study.objects.exists()
    assert not upload.items.exclude(key="").exists()


def test_a_fault_of_the_site_is_told_with_an_id_and_may_be_tried_again(user, files, caplog):
    upload = send(user, files)
    storages["quarantine"].delete(upload.items.first().key)
    ingest_upload(upload.pk)
    upload.refresh_from_db()
    assert upload.state == "failed"
    assert "The site could not take these files in" in upload.reason
    (line,) = [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR]
    assert "FileNotFoundError" in line
    assert line.split("id ")[1].split(":")[0] in upload.reason
    for told in PATIENT:
        assert told not in caplog.text
    assert taken_in(user, files).state == "done"


def test_a_message_that_comes_again_or_too_late_changes_nothing(user, files):
    upload = taken_in(user, files)
    before = list(StoredFile.objects.values_list("pk", flat=True))
    ingest_upload(upload.pk)
    ingest_upload(0)
    upload.refresh_from_db()
    assert (upload.state, upload.attempt) == ("done", 1)
    assert list(StoredFile.objects.values_list("pk", flat=True)) == before


def test_a_late_worker_stores_nothing(user, files, monkeypatch):
    """Its lease ran out and another worker has the upload; the lapse is seen at the very end."""
    upload = send(user, files)
    before = in_storage("media")
    write = uploads.storage.Batch.write
    written = []

    def taken_meanwhile(batch, path):
        if not written:
            Upload.objects.filter(pk=upload.pk).update(lease_until=timezone.now())
            assert uploads.reap() == 1
            assert uploads.claim(upload.pk) is not None
        written.append(path)
        return write(batch, path)

    monkeypatch.setattr(uploads.storage.Batch, "write", taken_meanwhile)
    ingest_upload(upload.pk)
    upload.refresh_from_db()
    assert len(written) == 12
    assert (upload.state, upload.attempt) == ("checking", 2)
    assert not Study.objects.exists()
    assert in_storage("media") == before
    assert all(storages["quarantine"].exists(item.key) for item in upload.items.all())


def test_neither_the_record_nor_any_row_names_the_patient(user, files):
    upload = taken_in(user, files)
    study = upload.studies.get()
    rows = [
        *AuditEvent.objects.values_list(), *Study.objects.values_list(),
        *study.series.values_list(), *StoredFile.objects.values_list(),
        *upload.items.values_list(), *Upload.objects.values_list(), *OrmQ.objects.values_list(),
    ]  # fmt: skip
    for told in PATIENT:
        assert told not in repr(rows)
    verbs = set(AuditEvent.objects.values_list("verb", flat=True))
    assert verbs == {"upload.start", "upload.complete", "upload.ingest", "study.create"}
    for stored in study.files.all():
        with stored.file.open("rb") as handle:
            content = handle.read()
        assert not any(told.encode() in content for told in PATIENT)

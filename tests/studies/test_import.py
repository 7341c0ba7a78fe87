"""An archive comes in by a command: by examination, twice without harm, told what was left out."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from studies import ingest, uploads
from studies.dicom.peek import study_of
from studies.management.commands import import_studies
from studies.models import Study, Upload
from tests.dicom.bombs import deflated
from tests.dicom.make import film, save
from tests.dicom.zips import archive
from tests.people import make_trust, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def user():
    return make_user(make_trust("Riverside NHS Trust"))


@pytest.fixture
def folder(tmp_path) -> Path:
    """Two examinations in one folder, one of them in another folder too, a ZIP and a letter."""
    folder = tmp_path / "archive"
    for name in ("a", "b"):
        (folder / name).mkdir(parents=True)
    save(film(12, StudyInstanceUID="1.2.3.801", PatientID="INV801"), folder / "a")
    other = film(24, series="2", StudyInstanceUID="1.2.3.802", PatientID="INV802")
    save(other[:12], folder / "a" / "more")
    save(other[12:], folder / "b")
    (folder / "b" / "letter.txt").write_text("Dear colleague, thank you for sending this patient.")
    (folder / "empty").write_bytes(b"")
    (folder / "third.zip").write_bytes(archive({"IM1": b"one", "IM2": b"two"}))
    (folder / "link").symlink_to("/etc/passwd")
    return folder


def run(folder: Path, **options: object) -> str:
    out = io.StringIO()
    call_command("import_studies", folder, stdout=out, **options)
    return out.getvalue()


def test_an_archive_comes_in_by_examination_and_only_once(user, folder):
    said = run(folder, trust="riverside nhs trust")
    assert "Examinations: 3 sent (37 files), 0 here already, 0 failed." in said
    assert "no DICOM and were left out: 2." in said
    assert "letter.txt" in said
    assert sorted(Upload.objects.values_list("state", "total")) == [
        ("queued", 1), ("queued", 12), ("queued", 24),
    ]  # fmt: skip
    assert {upload.user for upload in Upload.objects.all()} == {user}
    said = run(folder, trust="Riverside NHS Trust", user=user.email)
    assert "Examinations: 0 sent (0 files), 3 here already" in said
    assert Upload.objects.count() == 3
    # Several examinations of an archive are stored without a question that nobody would answer.
    assert set(Upload.objects.values_list("keep", flat=True)) == {Upload.EVERYTHING}


def test_what_was_stored_is_skipped_and_what_is_new_is_sent(user, folder):
    run(folder, trust="Riverside NHS Trust")
    for upload in Upload.objects.order_by("pk"):
        ingest.ingest(uploads.claim(upload.pk))
    assert Study.objects.count() == 2
    save(film(12, series="7", StudyInstanceUID="1.2.3.803", PatientID="INV803"), folder / "new")
    said = run(folder, trust="Riverside NHS Trust")
    assert "Examinations: 1 sent (12 files), 3 here already" in said


def test_one_that_cannot_be_sent_does_not_stop_the_others(user, folder, settings, capsys):
    settings.UPLOAD_MAX_TOTAL_BYTES = sum(
        path.stat().st_size for path in (folder / "a").iterdir() if path.is_file()
    )
    with pytest.raises(CommandError, match="Some examinations could not be sent"):
        run(folder, trust="Riverside NHS Trust")
    assert "Send one study at a time" in capsys.readouterr().err
    assert sorted(Upload.objects.values_list("total", flat=True)) == [1, 12]


def test_without_room_it_waits_for_the_worker_and_not_for_ever(user, folder, settings, monkeypatch):
    settings.QUOTA_PERSON_UPLOADS = 1
    monkeypatch.setattr(import_studies, "_PATIENCE_SECONDS", -1)
    with pytest.raises(CommandError, match="See that it runs"):
        run(folder, trust="Riverside NHS Trust")
    assert Upload.objects.count() == 1


def test_it_is_told_who_and_for_whom(user, folder, tmp_path):
    with pytest.raises(CommandError, match=r"There are: Riverside NHS Trust\."):
        run(folder, trust="Nowhere")
    with pytest.raises(CommandError, match="is not a folder"):
        run(tmp_path / "nothing", trust="Riverside NHS Trust")
    with pytest.raises(CommandError, match="may not upload"):
        run(folder, trust="Riverside NHS Trust", user="nobody@hospital.example")
    make_user(user.trust)
    with pytest.raises(CommandError, match="in whose name"):
        run(folder, trust="Riverside NHS Trust")


def test_a_file_that_would_be_refused_belongs_to_no_examination(tmp_path):
    save(film(1), tmp_path)
    (good,) = tmp_path.iterdir()
    assert study_of(good) == "1.2.3.2"
    (tmp_path / "bomb").write_bytes(deflated(10))
    assert study_of(tmp_path / "bomb") is None
    (tmp_path / "cut").write_bytes(good.read_bytes()[:300])
    assert study_of(tmp_path / "cut") is None

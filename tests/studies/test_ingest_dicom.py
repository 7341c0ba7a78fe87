"""From uploaded DICOM to stored studies: good beside bad, multi-frame, the same once more."""

from __future__ import annotations

import pytest
from django.core.files.base import ContentFile

from studies import uploads
from studies.ingest import ingest
from studies.models import StoredFile, Study
from tests.dicom.make import enhanced, film, save
from tests.dicom.zips import Entry, archive, by_hand, quoted_overlap
from tests.people import make_trust, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def user():
    return make_user(make_trust())


def _sent(user, files):
    upload = uploads.receive(user, [(name, ContentFile(data)) for name, data in files])
    claimed = uploads.claim(upload.pk)
    assert claimed is not None
    ingest(claimed)
    upload.refresh_from_db()
    return upload


def test_good_files_are_stored_and_bad_ones_are_told(user, tmp_path):
    good = [(f"IM{n}", path.read_bytes()) for n, path in enumerate(save(film(12), tmp_path))]
    upload = _sent(user, [*good, ("letter.dcm", b"Dear colleague")])
    assert upload.state == "done"
    (study,) = Study.objects.all()
    (series,) = study.series.all()
    assert (series.state, series.level, series.frames) == ("stress", "mid", 12)
    assert study.files.filter(kind=StoredFile.Kind.SOURCE).count() == 12
    stored = study.files.first()
    with stored.file.open("rb") as handle:
        assert b"INVENTED" not in handle.read()
    assert sorted(item.state for item in upload.items.all()) == ["rejected"] + ["stored"] * 12
    # Names may tell who the patient is: only that of the file to look at again is kept.
    (named,) = upload.items.exclude(name="")
    assert (named.name, named.state) == ("letter.dcm", "rejected")
    assert "not a DICOM file" in named.reason


def test_a_multi_frame_file_is_stored_once_for_all_its_slices(user, tmp_path):
    (path,) = save([enhanced()], tmp_path)
    upload = _sent(user, [("IM_0001", path.read_bytes())])
    assert upload.state == "done"
    (study,) = Study.objects.all()
    assert {series.level for series in study.series.all()} == {"basal", "mid"}
    assert study.files.filter(kind=StoredFile.Kind.SOURCE).count() == 1
    assert [item.state for item in upload.items.all()] == ["stored"]


def test_the_same_files_again_change_nothing(user, tmp_path):
    files = [(f"IM{n}", path.read_bytes()) for n, path in enumerate(save(film(12), tmp_path))]
    _sent(user, files)
    again = _sent(user, files)
    assert again.state == "done"
    (study,) = Study.objects.all()
    assert study.files.filter(kind=StoredFile.Kind.SOURCE).count() == 12
    assert {item.state for item in again.items.all()} == {"duplicate"}


def _archive_of(tmp_path, count: int = 12) -> tuple[bytes, list[bytes]]:
    images = [path.read_bytes() for path in save(film(count), tmp_path / "in")]
    members = {f"SMITH^JOHN/DICOM/IM{n}": data for n, data in enumerate(images)}
    return archive({**members, "SMITH^JOHN/letter.txt": b"Dear colleague"}), images


def test_the_files_of_an_archive_are_judged_one_by_one(user, tmp_path):
    data, images = _archive_of(tmp_path)
    upload = _sent(user, [("SMITH.zip", data), ("IM0", images[0]), ("notes", b"not an image")])
    assert (upload.state, upload.total, upload.done) == ("done", 15, 15)
    (study,) = Study.objects.all()
    assert study.files.filter(kind=StoredFile.Kind.SOURCE).count() == 12
    opened, plain, notes = upload.items.filter(parent=None)
    assert (opened.state, plain.state, notes.state) == ("opened", "duplicate", "rejected")
    members = list(opened.members.all())
    assert len(members) == 13
    assert sorted({one.state for one in members}) == ["rejected", "stored"]
    # Names may tell who the patient is: only those of files to look at again are kept.
    named = {item.name for item in upload.items.exclude(name="")}
    assert named == {"letter.txt", "notes"}
    assert (
        list(study.files.order_by("pk").values_list("series__state", flat=True)) == ["stress"] * 12
    )


def test_an_archive_that_comes_again_is_told_to_be_here(user, tmp_path):
    data, images = _archive_of(tmp_path)
    _sent(user, [(f"other{n}", one) for n, one in enumerate(images)])
    again = _sent(user, [("x.zip", data)])
    assert StoredFile.objects.count() == 12
    states = [item.state for item in again.items.all()]
    assert (states.count("duplicate"), states.count("stored"), states.count("opened")) == (12, 0, 1)


def test_an_archive_in_an_archive_is_refused_alone(user, tmp_path):
    data, images = _archive_of(tmp_path)
    members = {f"IM{n}": one for n, one in enumerate(images)} | {"inner.zip": data}
    upload = _sent(user, [("outer.zip", archive(members))])
    assert upload.state == "done"
    (refused,) = upload.items.filter(state="rejected")
    assert refused.name == "inner.zip"
    assert "inside another one" in refused.reason


def test_a_bomb_among_good_files_costs_nothing_but_itself(user, tmp_path, settings):
    settings.UPLOAD_MAX_TOTAL_BYTES = 32 * 1024**2
    _, images = _archive_of(tmp_path)
    lying = by_hand([Entry(b"%d" % n, bytes(8 * 1024**2), size=1) for n in range(5)])
    good = [(f"IM{n}", one) for n, one in enumerate(images)]
    upload = _sent(user, [("bomb.zip", lying), *good, ("overlap.zip", quoted_overlap(50, 1))])
    assert (upload.state, upload.total) == ("done", 14)
    assert Study.objects.get().files.count() == 12
    refused = {item.name: item.reason for item in upload.items.filter(state="rejected")}
    assert set(refused) == {"bomb.zip", "overlap.zip"}
    assert "more than 32 MB" in refused["bomb.zip"]
    assert not upload.items.exclude(parent=None).exists()
    assert not list(settings.SCRATCH_DIR.iterdir())


def test_an_archive_may_be_as_large_as_an_upload(user, settings):
    settings.UPLOAD_MAX_FILE_BYTES = 1000
    data = archive({"a": bytes(range(250)) * 5}, method=0)
    upload = uploads.receive(user, [("x.zip", ContentFile(data))])
    assert upload.total == 1
    with pytest.raises(uploads.UploadError, match="larger than"):
        uploads.receive(user, [("x.dcm", ContentFile(data[1:]))])

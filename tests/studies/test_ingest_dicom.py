"""From uploaded DICOM to stored studies: good beside bad, multi-frame, the same once more."""

from __future__ import annotations

import pytest
from django.core.files.base import ContentFile

from studies import uploads
from studies.ingest import ingest
from studies.models import StoredFile, Study
from tests.dicom.make import enhanced, film, save
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

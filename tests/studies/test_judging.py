"""One bad file never costs the good ones, even if it ends the process that reads it."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, storages
from pydicom.uid import CTImageStorage

from processing import engines
from studies import judging, uploads
from studies.models import StoredFile, Study
from studies.refusals import NoRoom
from studies.tasks import ingest_upload
from tests.dicom import deadly
from tests.dicom.make import film, save
from tests.dicom.zips import archive
from tests.people import make_trust, make_user

KEY = bytes(32)


@pytest.fixture
def images(tmp_path) -> list[bytes]:
    return [path.read_bytes() for path in save(film(12), tmp_path / "made")]


@pytest.fixture
def a_flawed_library(monkeypatch):
    monkeypatch.setattr(judging, "CHILD", "tests.dicom.deadly")


def judged(folder: Path, contents: list[bytes], **options) -> judging.Judged:
    (folder / "out").mkdir()
    files = []
    for number, data in enumerate(contents):
        path = folder / f"in-{number}"
        path.write_bytes(data)
        files.append((str(number), path))
    return judging.judge(files, folder / "out", KEY, **options)


def reasons(found: judging.Judged) -> dict[str, str]:
    return {
        one["id"]: one["reason"]
        for one in found.manifest["files"]
        if not one["accepted"] and not one.get("opened")
    }


def frames(found: judging.Judged) -> list[int]:
    return [one["frames"] for study in found.manifest["studies"] for one in study["series"]]


@pytest.mark.usefixtures("a_flawed_library")
def test_files_that_end_their_reader_are_set_aside(tmp_path, images):
    bad = [deadly.CRASH, deadly.SPIN, deadly.HOG]
    mixed = [*images[:4], bad[0], *images[4:8], bad[1], bad[2], *images[8:]]
    told: list[tuple[int, int]] = []

    def beat(done: int, total: int) -> bool:
        told.append((done, total))
        return True

    found = judged(tmp_path, mixed, beat=beat)
    assert found.deaths == 3
    assert frames(found) == [12]
    refused = reasons(found)
    assert set(refused) == {"4", "9", "10"}
    assert "stops the reader" in refused["4"]
    assert "took too long" in refused["9"]
    assert all(reason.endswith(".") for reason in refused.values())
    assert [done for done, _ in told] == sorted(done for done, _ in told)


@pytest.mark.usefixtures("a_flawed_library")
def test_within_an_archive_too(tmp_path, images):
    members = {f"IM{n}": data for n, data in enumerate(images[:6])}
    members |= {"bad": deadly.CRASH} | {f"IM{n}": images[n] for n in range(6, 12)}
    found = judged(tmp_path, [archive(members), images[3], deadly.CRASH])
    assert found.deaths == 2
    assert set(reasons(found)) == {"0.6", "2"}
    assert frames(found) == [12]
    assert {one["id"]: one.get("same_as") for one in found.manifest["files"]}["1"] == "0.3"


@pytest.mark.usefixtures("a_flawed_library")
def test_deaths_are_bounded_and_the_good_ones_before_are_kept(tmp_path, images, monkeypatch):
    monkeypatch.setattr(judging, "MOST_DEATHS", 2)
    bad = [deadly.CRASH + bytes([n]) for n in range(4)]
    found = judged(tmp_path, [*images, *bad])
    assert found.deaths == 2
    assert set(reasons(found)) == {"12", "13", "14", "15"}
    assert "was not read" in reasons(found)["15"]
    assert frames(found) == [12]


def test_a_child_that_cannot_work_is_no_files_fault(tmp_path, images, settings):
    settings.INTAKE_MEMORY_BYTES = 48 * 1024**2
    with pytest.raises(judging.BrokeDown):
        judged(tmp_path, images)


def test_who_asks_may_stop_it(tmp_path, images):
    with pytest.raises(judging.Stopped):
        judged(tmp_path, images * 300, beat=lambda done, total: False)


# --- a full disk ---------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["3.dcm", "member", "manifest.part"])
def test_no_room_in_scratch_is_no_files_fault(tmp_path, images, place):
    """Whatever the child was writing when its disk was full."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / place).symlink_to("/dev/full")
    files = []
    for number, data in enumerate([archive({"a": images[0]}), *images]):
        path = tmp_path / f"in-{number}"
        path.write_bytes(data)
        files.append((str(number), path))
    with pytest.raises(OSError, match="no room") as full:
        judging.judge(files, tmp_path / "out", KEY)
    assert full.value.errno == errno.ENOSPC


class FullAfter(FileSystemStorage):
    """A disk that has room for some bytes more; what does not fit is written as far as it goes."""

    room = 0

    def _save(self, name, content):
        path = Path(self.path(name))
        path.parent.mkdir(parents=True, exist_ok=True)
        data = content.read()
        path.write_bytes(data[: self.room])
        if len(data) > self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.room -= len(data)
        return name


def in_folder(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.fixture
def full(tmp_path, monkeypatch):
    """Puts a full disk in the place of one of the storages."""

    def fill(alias: str, room: int) -> Path:
        folder = tmp_path / f"full-{alias}"
        disk = FullAfter(location=folder)
        disk.room = room
        monkeypatch.setitem(storages._storages, alias, disk)
        return folder

    return fill


def sent(user, images):
    return uploads.receive(user, [(f"IM{n}", ContentFile(one)) for n, one in enumerate(images)])


@pytest.mark.django_db
def test_no_room_in_quarantine(images, full):
    folder = full("quarantine", room=sum(map(len, images[:5])) + 100)
    with pytest.raises(NoRoom, match="disk is full"):
        sent(make_user(make_trust()), images)
    assert in_folder(folder) == []


@pytest.mark.django_db
def test_no_room_in_storage(images, full, settings):
    user = make_user(make_trust())
    upload = sent(user, images)
    folder = full("default", room=3 * len(images[0]))
    ingest_upload(upload.pk)
    upload.refresh_from_db()
    assert upload.state == "failed"
    assert "no room left" in upload.reason
    assert in_folder(folder) == []
    assert not Study.objects.exists()
    assert not StoredFile.objects.exists()
    assert list(settings.SCRATCH_DIR.iterdir()) == []
    storages["default"].room = 10 * 1024**2
    again = sent(user, images)
    ingest_upload(again.pk)
    assert Study.objects.get().files.count() == 12


def test_objects_are_taken_in_that_an_installed_engine_takes(tmp_path, monkeypatch):
    ct = [path.read_bytes() for path in save(film(3, SOPClassUID=CTImageStorage), tmp_path / "ct")]
    (tmp_path / "without").mkdir()
    (tmp_path / "with").mkdir()

    told = reasons(judged(tmp_path / "without", ct))
    assert len(told) == 3
    assert all("It is a CT Image, not an MR image." in reason for reason in told.values())

    package = tmp_path / "package"
    about = package / "ct_engine-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: ct-engine\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(
        "[corecmr.engines]\nct = ct_engine:Ct\n[corecmr.object_classes]\nct = ct_takes:CLASSES\n"
    )
    (package / "ct_takes.py").write_text(f'CLASSES = frozenset({{"{CTImageStorage}"}})\n')
    monkeypatch.syspath_prepend(package)
    engines._places.cache_clear()
    try:
        assert reasons(judged(tmp_path / "with", ct)) == {}
    finally:
        engines._places.cache_clear()

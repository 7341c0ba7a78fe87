"""Files that come in pieces, by the tus protocol: its rules, its faults, nobody else's files."""

from __future__ import annotations

import base64
import errno
import fcntl
import hashlib
import io
import zipfile
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.files.storage import storages
from django.test import Client
from django.utils import timezone

from studies import pieces, uploads
from studies.models import Upload, UploadItem, UploadPart
from tests.people import make_trust, make_user

pytestmark = pytest.mark.django_db

TUS = {"Tus-Resumable": "1.0.0"}
OCTETS = "application/offset+octet-stream"


@pytest.fixture
def user():
    return make_user(make_trust())


@pytest.fixture
def upload(client, user) -> Upload:
    client.force_login(user)
    return uploads.start(user)


def announce(client, upload: Upload, size: int, **told: str):
    pairs = {"filename": "IM_0001", **told}
    metadata = ",".join(f"{k} {base64.b64encode(v.encode()).decode()}" for k, v in pairs.items())
    return client.post(
        f"/uploads/{upload.public_id}/parts/",
        headers={**TUS, "Upload-Length": str(size), "Upload-Metadata": metadata},
    )


def patch(client, url: str, data: bytes, at: int, **headers: str):
    return client.generic(
        "PATCH", url, data, content_type=headers.pop("content_type", OCTETS),
        headers={**TUS, "Upload-Offset": str(at), **headers},
    )  # fmt: skip


def offset(client, url: str) -> int:
    answer = client.head(url, headers=TUS)
    assert answer.status_code == 200
    assert answer["Cache-Control"] == "no-store"
    return int(answer["Upload-Offset"])


def packet(*names: str) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name in names:
            archive.writestr(name, f"the bytes of {name}")
    return data.getvalue()


def test_the_site_tells_what_it_speaks(client, upload):
    answer = client.options(f"/uploads/{upload.public_id}/parts/")
    assert answer.status_code == 204
    assert answer["Tus-Version"] == "1.0.0"
    assert set(answer["Tus-Extension"].split(",")) == {
        "creation", "checksum", "expiration", "termination",
    }  # fmt: skip
    assert "sha256" in answer["Tus-Checksum-Algorithm"].split(",")
    assert int(answer["Tus-Max-Size"]) > 0
    other = client.post(f"/uploads/{upload.public_id}/parts/", headers={"Upload-Length": "1"})
    assert (other.status_code, other["Tus-Version"]) == (412, "1.0.0")


def test_a_file_comes_in_pieces_and_is_one_file_with_its_bytes(client, upload):
    data = bytes(range(256)) * 20_000  # 5 MB: several pieces of a mebibyte in one request
    made = announce(client, upload, len(data))
    assert made.status_code == 201
    assert made["Upload-Expires"].endswith("GMT")
    url = made["Location"]
    for begin, end in ((0, 3_000_000), (3_000_000, len(data))):
        assert offset(client, url) == begin
        answer = patch(client, url, data[begin:end], begin)
        assert (answer.status_code, answer["Upload-Offset"]) == (204, str(end))
        assert answer["Tus-Resumable"] == "1.0.0"
    item = upload.items.get()
    assert (item.name, item.size) == ("IM_0001", len(data))
    assert item.sha256 == hashlib.sha256(data).hexdigest()
    with storages["quarantine"].open(item.key) as stored:
        assert stored.read() == data
    assert offset(client, url) == len(data)
    done = client.post(f"/uploads/{upload.public_id}/complete/", {"sent": "1"})
    assert done.json()["stored"] == 1


def test_an_empty_file_is_there_at_once(client, upload):
    url = announce(client, upload, 0)["Location"]
    assert offset(client, url) == 0
    assert upload.items.get().sha256 == hashlib.sha256(b"").hexdigest()


def test_what_breaks_the_protocol_is_told_by_its_status(client, upload):
    url = announce(client, upload, 10)["Location"]
    assert patch(client, url, b"12345", 0).status_code == 204
    assert patch(client, url, b"12345", 0).status_code == 409
    assert patch(client, url, b"123", 7).status_code == 409
    assert patch(client, url, b"123456", 5).status_code == 413
    assert patch(client, url, b"12345", 5, content_type="text/plain").status_code == 415
    assert patch(client, url, b"1", 5, **{"Upload-Checksum": "md5 AAAA"}).status_code == 400
    assert offset(client, url) == 5
    for header in ("-1", "x", "", "1" * 30):
        answer = client.post(
            f"/uploads/{upload.public_id}/parts/", headers={**TUS, "Upload-Length": header}
        )
        assert answer.status_code == 400
    assert client.post(
        f"/uploads/{upload.public_id}/parts/",
        headers={**TUS, "Upload-Length": "1", "Upload-Metadata": "filename ###"},
    ).status_code == 400  # fmt: skip


def test_a_damaged_piece_is_thrown_away(client, upload):
    url = announce(client, upload, 10)["Location"]
    for name in ("sha256", "sha1"):
        wrong = base64.b64encode(hashlib.new(name, b"other").digest()).decode()
        answer = patch(client, url, b"12345", 0, **{"Upload-Checksum": f"{name} {wrong}"})
        assert answer.status_code == 460
        assert offset(client, url) == 0
    right = base64.b64encode(hashlib.sha256(b"12345").digest()).decode()
    answer = patch(client, url, b"12345", 0, **{"Upload-Checksum": f"sha256 {right}"})
    assert answer.status_code == 204
    assert offset(client, url) == 5


def test_two_windows_do_not_write_into_one_file(client, upload):
    url = announce(client, upload, 10)["Location"]
    path = Path(storages["quarantine"].path(UploadPart.objects.get().key))
    with path.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        assert patch(client, url, b"12345", 0).status_code == 423
    assert patch(client, url, b"12345", 0).status_code == 204


def test_what_came_before_the_line_was_lost_is_kept(client, upload):
    url = announce(client, upload, 10)["Location"]
    # The sender announces ten bytes and goes away after four.
    answer = client.generic(
        "PATCH", url, headers={**TUS, "Upload-Offset": "0"},
        **{"CONTENT_TYPE": OCTETS, "CONTENT_LENGTH": "10", "wsgi.input": io.BytesIO(b"1234")},
    )  # fmt: skip
    assert (answer.status_code, answer["Upload-Offset"]) == (204, "4")
    assert offset(client, url) == 4
    assert patch(client, url, b"567890", 4).status_code == 204
    assert upload.items.get().sha256 == hashlib.sha256(b"1234567890").hexdigest()


def test_a_process_that_died_between_the_last_byte_and_the_row(client, upload):
    url = announce(client, upload, 5)["Location"]
    part = UploadPart.objects.get()
    pieces.add(part.key, [b"12345"], at=0)
    assert not upload.items.exists()
    assert offset(client, url) == 5
    assert upload.items.get().sha256 == hashlib.sha256(b"12345").hexdigest()


def test_an_announcement_that_comes_again_is_one_file(client, upload):
    told = {"fingerprint": "ab" * 32}
    first = announce(client, upload, 5, **told)["Location"]
    patch(client, first, b"123", 0)
    assert announce(client, upload, 5, **told)["Location"] == first
    assert offset(client, first) == 3
    assert UploadPart.objects.count() == 1
    # Nothing of what was prepared for it in vain lies about.
    lying = [p for p in Path(storages["quarantine"].location).rglob("*") if p.is_file()]
    assert UploadPart.objects.get().key in {str(p)[-29:] for p in lying}


def test_the_same_choice_goes_on_with_an_upload_that_was_interrupted(client, user):
    client.force_login(user)
    json = {"Accept": "application/json"}
    first = client.post("/uploads/", {"manifest": "cd" * 32}, headers=json).json()
    upload = Upload.objects.get()
    url = announce(client, upload, 5, fingerprint="ab" * 32)["Location"]
    patch(client, url, b"12345", 0)
    again = client.post("/uploads/", {"manifest": "cd" * 32}, headers=json).json()
    assert again["url"] == first["url"]
    assert again["parts"] == [
        {"url": url, "fingerprint": "ab" * 32, "size": 5, "members": 1, "stored": True}
    ]
    other = client.post("/uploads/", {"manifest": "ef" * 32}, headers=json).json()
    assert other["url"] != first["url"]
    bad = client.post("/uploads/", {"manifest": "../x"}, headers=json)
    assert bad.status_code == 400


def test_a_packet_counts_the_files_inside(client, upload):
    data = packet("a/IM1", "a/IM2", "b/IM1")
    url = announce(client, upload, len(data), filename="files-1.zip", members="3")["Location"]
    assert patch(client, url, data, 0).status_code == 204
    complete = f"/uploads/{upload.public_id}/complete/"
    wrong = client.post(complete, {"sent": "4"})
    assert wrong.status_code == 400
    assert "4 files were sent but 3 arrived" in wrong.json()["message"]
    assert client.post(complete, {"sent": "3"}).json()["stored"] == 3
    upload.refresh_from_db()
    assert (upload.state, upload.total) == ("queued", 3)


def test_a_packet_that_does_not_hold_what_was_said_is_thrown_away(client, upload):
    for data in (packet("IM1", "IM2"), b"no archive at all, but long enough for one"):
        url = announce(client, upload, len(data), filename="files-1.zip", members="3")["Location"]
        answer = patch(client, url, data, 0)
        assert answer.status_code == 400
        assert "Send the folder again" in answer.json()["message"]
        assert client.head(url, headers=TUS).status_code == 404
    assert not UploadItem.objects.exists()


def test_an_upload_is_not_complete_while_a_file_is_on_its_way(client, upload):
    url = announce(client, upload, 10)["Location"]
    patch(client, url, b"12345", 0)
    answer = client.post(f"/uploads/{upload.public_id}/complete/", {"sent": "1"})
    assert answer.status_code == 400
    assert "still on their way" in answer.json()["message"]
    assert client.delete(url, headers=TUS).status_code == 204
    assert client.head(url, headers=TUS).status_code == 404
    assert not UploadPart.objects.exists()


def test_networks_that_let_no_other_method_through(client, upload):
    url = announce(client, upload, 5)["Location"]
    answer = client.post(
        url, b"12345", content_type=OCTETS,
        headers={**TUS, "Upload-Offset": "0", "X-HTTP-Method-Override": "PATCH"},
    )  # fmt: skip
    assert answer.status_code == 204
    assert client.post(url, headers=TUS).status_code == 405


def test_a_file_on_its_way_is_its_senders_alone(client, upload, user):
    url = announce(client, upload, 10)["Location"]
    other = make_user(user.trust)
    mine = uploads.start(other)
    client.force_login(other)
    part = UploadPart.objects.get().public_id
    for place in (url, f"/uploads/{mine.public_id}/parts/{part}/"):
        assert patch(client, place, b"12345", 0).status_code == 404
        assert client.head(place, headers=TUS).status_code == 404
        assert client.delete(place, headers=TUS).status_code == 404
    assert announce(client, upload, 5).status_code == 404
    assert pieces.size(UploadPart.objects.get().key) == 0


def test_no_piece_is_taken_without_the_token_of_the_page(upload, user):
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(user)
    assert announce(strict, upload, 5).status_code == 403
    part = uploads.expect(upload, name="IM", size=5)
    url = f"/uploads/{upload.public_id}/parts/{part.public_id}/"
    assert patch(strict, url, b"12345", 0).status_code == 403
    assert pieces.size(part.key) == 0


def test_limits_of_a_file_and_of_an_upload(client, upload, settings):
    settings.UPLOAD_MAX_FILE_BYTES, settings.UPLOAD_MAX_TOTAL_BYTES = 5, 100
    answer = announce(client, upload, 6)
    assert answer.status_code == 413
    assert "IM_0001 is larger than" in answer.json()["message"]
    assert announce(client, upload, 101, filename="all.zip").status_code == 413
    assert announce(client, upload, 60, filename="all.zip").status_code == 201
    assert announce(client, upload, 41, filename="more.zip").status_code == 413
    # A name alone makes no archive.
    url = announce(client, upload, 6, filename="image.zip")["Location"]
    assert patch(client, url, b"123456", 0).status_code == 413
    assert not upload.items.exists()


def test_a_full_disk_is_told_and_what_fitted_is_kept(client, upload, monkeypatch):
    url = announce(client, upload, 10)["Location"]
    write = pieces._write

    def full(handle, piece):
        write(handle, piece[:3])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pieces, "_write", full)
    answer = patch(client, url, b"12345", 0)
    assert answer.status_code == 507
    assert "disk is full" in answer.json()["message"]
    monkeypatch.undo()
    assert offset(client, url) == 3
    assert patch(client, url, b"4567890", 3).status_code == 204


def test_an_interrupted_upload_stays_for_a_day_after_its_last_piece(client, upload):
    url = announce(client, upload, 10)["Location"]
    patch(client, url, b"12345", 0)
    path = Path(storages["quarantine"].path(UploadPart.objects.get().key))
    past = timezone.now() - uploads.RECEIVING_EXPIRES - timedelta(minutes=1)
    Upload.objects.update(created_at=past)
    uploads.reap()
    assert offset(client, url) == 5
    UploadPart.objects.update(touched_at=past)
    uploads.reap()
    assert not path.exists()
    assert client.head(url, headers=TUS).status_code == 404
    assert not Upload.objects.exists()


def test_withdrawing_leaves_no_byte(client, upload):
    whole = announce(client, upload, 5)["Location"]
    patch(client, whole, b"12345", 0)
    half = announce(client, upload, 10)["Location"]
    patch(client, half, b"12345", 0)
    paths = [Path(storages["quarantine"].path(part.key)) for part in UploadPart.objects.all()]
    assert uploads.withdraw(upload)
    assert not any(path.exists() for path in paths)
    assert patch(client, half, b"67890", 5).status_code == 404

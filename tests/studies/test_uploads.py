"""The way in: nothing lost, nothing counted twice, nothing left behind."""

from __future__ import annotations

import errno
from datetime import timedelta

import pytest
from django.core.files import uploadhandler
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.utils import timezone
from django_q.models import OrmQ  # noqa: TID251  (the test looks into the queue's own table)

from accounts.roles import Role
from studies import uploads
from studies.models import Upload
from tests.people import make_trust, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def user():
    return make_user(make_trust())


def content(data: bytes = b"some bytes") -> ContentFile:
    return ContentFile(data)


def in_quarantine(upload: Upload) -> list[bool]:
    return [storages["quarantine"].exists(item.key) for item in upload.items.all()]


def test_files_wait_in_quarantine_under_names_that_tell_nothing(user):
    upload = uploads.start(user)
    assert uploads.add_files(upload, [("JONES/IM_0001", content(b"a")), ("IM_0002", content(b"b"))])
    assert in_quarantine(upload) == [True, True]
    assert not any("IM" in item.key or "JONES" in item.key for item in upload.items.all())
    assert [item.name for item in upload.items.all()] == ["IM_0001", "IM_0002"]


def test_a_request_that_comes_again_is_counted_once(user):
    upload = uploads.start(user)
    for _ in range(3):
        count = uploads.add_files(upload, [("IM_0001", content()), ("IM_0002", content())])
    assert count == 2
    assert in_quarantine(upload) == [True, True]


def test_completing_rings_the_check_once(user):
    upload = uploads.start(user)
    uploads.add_files(upload, [("IM_0001", content())])
    uploads.complete(upload, sent=1)
    uploads.complete(upload, sent=1)
    upload.refresh_from_db()
    assert (upload.state, upload.total) == ("queued", 1)
    assert OrmQ.objects.count() == 1
    with pytest.raises(uploads.UploadError, match="Start a new one"):
        uploads.add_files(upload, [("IM_0002", content())])


def test_a_file_lost_on_the_way_is_noticed(user):
    upload = uploads.start(user)
    uploads.add_files(upload, [("IM_0001", content())])
    with pytest.raises(uploads.UploadError, match="2 files were sent but 1 arrived"):
        uploads.complete(upload, sent=2)
    upload.refresh_from_db()
    assert upload.state == "receiving"


def test_an_upload_without_files_leaves_nothing(user):
    with pytest.raises(uploads.UploadError, match="No file was sent"):
        uploads.receive(user, [])
    assert not Upload.objects.exists()


def test_limits_name_the_file_and_leave_nothing(user, settings):
    settings.UPLOAD_MAX_FILE_BYTES = 5
    with pytest.raises(uploads.UploadError, match=r"big\.dcm is larger than"):
        uploads.receive(user, [("small", content(b"1234")), ("folder/big.dcm", content(b"123456"))])
    assert not Upload.objects.exists()
    settings.UPLOAD_MAX_TOTAL_BYTES = 7
    with pytest.raises(uploads.UploadError, match="Send one study at a time"):
        uploads.receive(user, [("a", content(b"1234")), ("b", content(b"5678"))])
    assert not Upload.objects.exists()


def test_only_consultants_upload():
    with pytest.raises(uploads.UploadError, match="may not upload"):
        uploads.start(make_user(make_trust(), Role.RESEARCHER))


def test_a_check_whose_worker_died_is_taken_up_and_in_the_end_given_up(user):
    upload = uploads.receive(user, [("IM_0001", content())])
    for attempt in range(1, uploads.MOST_ATTEMPTS + 1):
        claimed = uploads.claim(upload.pk)
        assert claimed.attempt == attempt
        assert uploads.claim(upload.pk) is None
        past = timezone.now() - timedelta(seconds=1)
        Upload.objects.filter(pk=upload.pk).update(lease_until=past)
        late = claimed
        uploads.reap()
        assert not uploads.heartbeat(late, 1)
    upload.refresh_from_db()
    assert upload.state == "failed"
    assert "broke off three times" in upload.reason
    assert [item.key for item in upload.items.all()] == [""]


def test_a_waiting_upload_whose_message_was_lost_is_rung_again(user):
    upload = uploads.receive(user, [("IM_0001", content())])
    OrmQ.objects.all().delete()
    assert uploads.reap() == 0
    assert not OrmQ.objects.exists()
    past = timezone.now() - timedelta(seconds=1)
    Upload.objects.filter(pk=upload.pk).update(lease_until=past)
    assert uploads.reap() == 1
    assert OrmQ.objects.count() == 1
    assert uploads.reap() == 0


def test_abandoned_uploads_are_cleared_away(user):
    upload = uploads.start(user)
    uploads.add_files(upload, [("IM_0001", content())])
    key = upload.items.get().key
    uploads.reap()
    assert storages["quarantine"].exists(key)
    long_ago = timezone.now() - uploads.RECEIVING_EXPIRES - timedelta(minutes=1)
    Upload.objects.filter(pk=upload.pk).update(created_at=long_ago)
    uploads.reap()
    assert not storages["quarantine"].exists(key)
    assert not Upload.objects.exists()


def test_an_upload_is_its_senders_alone(client, user):
    upload = uploads.receive(user, [("IM_0001", content())])
    client.force_login(make_user(user.trust))
    for place in ("", "status/", "status.json", "files/", "complete/", "withdraw/"):
        method = client.post if place in {"files/", "complete/", "withdraw/"} else client.get
        assert method(f"/uploads/{upload.public_id}/{place}").status_code == 404


def test_a_browser_sends_in_parts(client, user):
    client.force_login(user)
    json = {"Accept": "application/json"}
    started = client.post("/uploads/", headers=json)
    assert started.status_code == 201
    places = started.json()
    for name in ("IM_0001", "IM_0002"):
        file = ContentFile(name.encode(), name=name)
        sent = client.post(places["files_url"], {"files": [file]}, headers=json)
    assert sent.json() == {"received": 2}
    wrong = client.post(places["complete_url"], {"sent": "3"}, headers=json)
    assert wrong.status_code == 400
    assert "3 files were sent but 2 arrived" in wrong.json()["message"]
    done = client.post(places["complete_url"], {"sent": "2"}, headers=json)
    assert done.json() == {"url": places["url"], "stored": 2}
    state = client.get(places["url"] + "status.json").json()
    assert (state["state"], state["total"]) == ("queued", 2)


@pytest.mark.parametrize("state", ["receiving", "queued", "checking"])
def test_an_upload_can_be_withdrawn_until_its_studies_are_stored(client, user, state):
    upload = uploads.start(user)
    uploads.add_files(upload, [("IM_0001", content())])
    if state != "receiving":
        uploads.complete(upload)
    worker = uploads.claim(upload.pk) if state == "checking" else None
    key = upload.items.get().key
    client.force_login(user)
    answer = client.post(
        f"/uploads/{upload.public_id}/withdraw/", headers={"Accept": "application/json"}
    )
    assert answer.json() == {"url": "/"}
    assert not storages["quarantine"].exists(key)
    assert not Upload.objects.exists()
    if worker is not None:
        assert not uploads.heartbeat(worker, 1), "the worker stops"
    else:
        assert uploads.claim(upload.pk) is None


def test_an_upload_that_was_checked_is_not_withdrawn(client, user):
    upload = uploads.receive(user, [("IM_0001", content())])
    uploads.fail(uploads.claim(upload.pk), "None of these files is one.")
    client.force_login(user)
    page = client.post(f"/uploads/{upload.public_id}/withdraw/", follow=True)
    assert "can no longer be withdrawn" in page.content.decode()
    assert Upload.objects.exists()


def test_a_form_meets_a_full_disk(client, user, monkeypatch):
    client.force_login(user)
    handler = uploadhandler.TemporaryFileUploadHandler

    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(handler, "receive_data_chunk", full)

    def files():
        return {"files": [ContentFile(b"some bytes", name="IM_0001")]}

    page = client.post("/uploads/", files(), follow=True)
    assert page.status_code == 200
    assert "disk is full" in page.content.decode()
    upload = uploads.start(user)
    told = client.post(f"/uploads/{upload.public_id}/files/", files())
    assert told.status_code == 507
    assert "disk is full" in told.json()["message"]
    monkeypatch.undo()
    assert client.post(f"/uploads/{upload.public_id}/files/", files()).json() == {"received": 1}

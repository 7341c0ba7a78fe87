"""The one way out for files: who gets them, in which part, and with which headers."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.core.files.base import ContentFile

from accounts import audit
from accounts.models import AuditEvent
from studies import sharing
from studies.models import StoredFile
from tests.people import make_study, make_trust, make_user

pytestmark = pytest.mark.django_db

BODY = bytes(range(256)) * 8


@pytest.fixture
def film():
    return make_file("video/mp4", "cine.mp4", StoredFile.Kind.CINE)


def make_file(content_type: str, name: str, kind: str) -> StoredFile:
    study = make_study(make_trust())
    stored = StoredFile(
        study=study, kind=kind, folder="stress_mid", name=name, content_type=content_type,
        size=len(BODY), sha256="ab" * 32,
    )  # fmt: skip
    stored.file.save(name, ContentFile(BODY), save=True)
    return stored


def address(stored: StoredFile) -> str:
    return f"/files/{stored.public_id}/"


def body(response) -> bytes:
    return b"".join(response.streaming_content) if response.streaming else response.content


@pytest.fixture
def owner(client, film):
    user = make_user(film.study.trust)
    client.force_login(user)
    return user


def test_a_film_comes_whole_with_headers_that_keep_it_inert(client, film, owner):
    response = client.get(address(film))
    assert response.status_code == 200
    assert body(response) == BODY
    assert response["Content-Disposition"] == (
        f'inline; filename="{film.study.reference}-stress_mid-cine.mp4"'
    )
    assert response["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Cache-Control"] == "private, no-cache"
    event = AuditEvent.objects.get(verb="file.view")
    assert (event.actor, event.object_id) == (owner.public_id, film.public_id)


@pytest.mark.parametrize(
    ("asked", "status", "expected", "content_range"),
    [
        ("bytes=0-9", 206, BODY[:10], "bytes 0-9/2048"),
        ("bytes=2040-", 206, BODY[2040:], "bytes 2040-2047/2048"),
        ("bytes=-8", 206, BODY[-8:], "bytes 2040-2047/2048"),
        ("bytes=100-99999", 206, BODY[100:], "bytes 100-2047/2048"),
        ("bytes=2048-", 416, b"", "bytes */2048"),
        ("bytes=9-3", 416, b"", "bytes */2048"),
        ("bytes=a-b", 200, BODY, None),
        ("bytes=-", 200, BODY, None),
        ("bytes=0-1,5-6", 200, BODY, None),
    ],
)
def test_parts_of_a_film(client, film, owner, asked, status, expected, content_range):
    response = client.get(address(film), headers={"Range": asked})
    assert response.status_code == status
    assert body(response) == expected
    assert response.get("Content-Range") == content_range


def test_a_part_of_a_file_that_changed_is_the_whole(client, film, owner):
    stale = client.get(address(film), headers={"Range": "bytes=0-9", "If-Range": '"other"'})
    assert (stale.status_code, body(stale)) == (200, BODY)
    fresh = client.get(address(film), headers={"Range": "bytes=0-9", "If-Range": stale["ETag"]})
    assert (fresh.status_code, body(fresh)) == (206, BODY[:10])


def test_the_parts_of_one_viewing_are_one_line_of_the_record(client, film, owner, monkeypatch):
    def ask(part: str) -> int:
        response = client.get(address(film), headers={"Range": part})
        assert (response.status_code, len(body(response)) > 0) == (206, True)
        return AuditEvent.objects.filter(verb="file.view", actor=owner.public_id).count()

    # All but the first byte is a viewing too.
    assert [ask("bytes=1-"), ask("bytes=100-200"), ask("bytes=-8")] == [1, 1, 1]
    assert ask("bytes=0-") == 2
    monkeypatch.setattr(audit, "ONE_VIEWING", timedelta(0))  # rows of the record cannot be aged
    assert ask("bytes=100-200") == 3


def test_head_and_not_modified_carry_no_body(client, film, owner):
    head = client.head(address(film))
    assert (head.status_code, head.content, head["Content-Length"]) == (200, b"", "2048")
    same = client.get(address(film), headers={"If-None-Match": head["ETag"]})
    assert (same.status_code, same.content) == (304, b"")


def test_denied_and_absent_look_the_same(client, film):
    client.force_login(make_user(make_trust()))
    denied = client.get(address(film))
    absent = client.get("/files/" + "0" * 26 + "/")
    malformed = client.get("/files/../../etc/passwd")
    assert denied.status_code == absent.status_code == malformed.status_code == 404
    identifier = "X-Request-ID"

    def comparable(response):
        text = response.content.decode().replace(response[identifier], "")
        # The token of the sign-out form is masked anew each time it is shown.
        text = re.sub(r'(?<=name="csrfmiddlewaretoken" value=")\w+', "", text)
        return text, {k: v for k, v in response.items() if k != identifier}

    assert comparable(denied) == comparable(absent)
    assert not AuditEvent.objects.filter(verb__startswith="file.").exists()


def test_a_share_without_download_shows_films_and_keeps_data(client, film):
    data = make_file("application/octet-stream", "mbf.npy", StoredFile.Kind.DATA)
    StoredFile.objects.filter(pk=data.pk).update(study=film.study)
    receiver = make_user(make_trust())
    grant = sharing.share(
        film.study, by=make_user(film.study.trust), to_user=receiver, reason="opinion",
        may_download=False,
    )  # fmt: skip
    client.force_login(receiver)
    assert body(client.get(address(film))) == BODY
    assert client.get(address(film) + "?download").status_code == 404
    assert client.get(address(data)).status_code == 404
    sharing.revoke(grant, by=make_user(film.study.trust))
    assert client.get(address(film)).status_code == 404


def test_visitors_are_sent_to_sign_in(client, film):
    response = client.get(address(film))
    assert response.status_code == 302
    assert response["Location"].startswith("/accounts/login/")


@pytest.mark.parametrize("name", ["motion.png", "strip.png"])
def test_pictures_of_motion_leave_by_the_same_door(client, name):
    stored = make_file("image/png", name, StoredFile.Kind.DATA)
    client.force_login(make_user(make_trust()))
    assert client.get(address(stored)).status_code == 404
    assert not AuditEvent.objects.filter(verb="file.view").exists()
    client.force_login(make_user(stored.study.trust))
    response = client.get(address(stored))
    assert body(response) == BODY
    assert response["Content-Disposition"].startswith("inline;")
    assert AuditEvent.objects.filter(verb="file.view").count() == 1

"""Pages go compressed to those who can read it; what is fetched in parts never does."""

from __future__ import annotations

import gzip

import pytest
from django.core.files.base import ContentFile

from studies.models import StoredFile
from tests.people import make_study, make_trust, make_user

ACCEPTS = {"Accept-Encoding": "gzip, deflate, br"}


def test_a_page_is_compressed_for_those_who_can_read_it(client):
    plain = client.get("/cookies/")
    small = client.get("/cookies/", headers=ACCEPTS)
    assert "Content-Encoding" not in plain.headers
    assert small.headers["Content-Encoding"] == "gzip"
    assert "Accept-Encoding" in small.headers["Vary"]
    assert gzip.decompress(small.content) == plain.content
    assert len(small.content) < len(plain.content) / 2


@pytest.mark.django_db
def test_a_film_leaves_as_it_is_stored(client):
    study = make_study(make_trust())
    body = b"frame " * 400
    stored = StoredFile(
        study=study, kind=StoredFile.Kind.CINE, folder="stress_mid", name="cine.mp4",
        content_type="video/mp4", size=len(body), sha256="ab" * 32,
    )  # fmt: skip
    stored.file.save("cine.mp4", ContentFile(body), save=True)
    client.force_login(make_user(study.trust))
    part = client.get(f"/files/{stored.public_id}/", headers={**ACCEPTS, "Range": "bytes=600-1199"})
    assert part.status_code == 206
    assert "Content-Encoding" not in part.headers
    assert part.headers["Content-Length"] == "600"
    assert b"".join(part.streaming_content) == body[600:1200]

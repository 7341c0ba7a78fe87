"""Everything of a study as one ZIP: complete, true to its manifest, for those who may have it."""

from __future__ import annotations

import hashlib
import io
import json
import re
import zipfile

import pytest
from django.core.files.base import ContentFile

from accounts.models import AuditEvent
from studies import sharing
from studies.intended_use import INTENDED_USE
from studies.models import Result, StoredFile, Study
from tests.people import make_result, make_study, make_trust, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def study() -> Study:
    study = make_study(make_trust())
    old, new = make_result(study), make_result(study)
    for number in range(3):
        store(study, f"2.25.{number}.dcm", bytes([number]) * 300_000, folder="source")
    store(study, "mbf.npy", b"older", folder="stress_mid", result=old)
    store(study, "mbf.npy", b"newer", folder="stress_mid", result=new)
    store(study, "report.json", b"{}", result=new)
    return study


def store(study: Study, name: str, body: bytes, **fields: object) -> StoredFile:
    stored = StoredFile(
        study=study, kind=StoredFile.Kind.DATA, name=name, size=len(body),
        content_type="application/octet-stream", sha256=hashlib.sha256(body).hexdigest(), **fields,
    )  # fmt: skip
    stored.file.save(name, ContentFile(body), save=True)
    return stored


def address(study: Study) -> str:
    return f"/studies/{study.public_id}/everything.zip"


def taken(client, study: Study) -> zipfile.ZipFile:
    response = client.get(address(study))
    assert response.status_code == 200
    assert response.streaming
    return zipfile.ZipFile(io.BytesIO(b"".join(response)))


def test_the_manifest_tells_the_truth_of_every_file(client, study):
    user = make_user(study.trust)
    client.force_login(user)
    archive = taken(client, study)
    assert archive.testzip() is None
    root = f"corecmr-{study.reference}"
    names = [entry.filename for entry in archive.infolist()]
    assert len(names) == len(set(names))
    manifest = json.loads(archive.read(f"{root}/manifest.json"))
    told = {f"{root}/{line['path']}": line for line in manifest["files"]}
    assert {*told, f"{root}/manifest.json"} == set(names)
    for name, line in told.items():
        content = archive.read(name)
        assert (len(content), hashlib.sha256(content).hexdigest()) == (line["size"], line["sha256"])
    assert (manifest["reference"], manifest["intended_use"]) == (study.reference, INTENDED_USE)
    assert manifest["engine"] == {"name": "mcaq", "version": "0.1.0"}
    event = AuditEvent.objects.get(verb="study.download")
    assert (event.actor, event.object_id) == (user.public_id, study.public_id)
    assert event.detail == {"files": 5}


def test_the_newest_result_is_in_it_and_no_older_one(client, study):
    client.force_login(make_user(study.trust))
    assert taken(client, study).read(f"corecmr-{study.reference}/stress_mid/mbf.npy") == b"newer"


def test_a_study_without_result_has_its_images(client, study):
    Result.objects.all().delete()
    client.force_login(make_user(study.trust))
    archive = taken(client, study)
    manifest = json.loads(archive.read(f"corecmr-{study.reference}/manifest.json"))
    assert manifest["engine"] is None
    assert [line["path"] for line in manifest["files"]] == [
        "source/2.25.0.dcm", "source/2.25.1.dcm", "source/2.25.2.dcm", "index.html",
    ]  # fmt: skip


def test_it_is_sent_while_it_is_read_and_nobody_may_keep_a_copy(client, study):
    client.force_login(make_user(study.trust))
    response = client.get(address(study))
    pieces = iter(response)
    sizes = [len(next(pieces)) for _ in range(3)]
    assert max(sizes) < 300_000, "a whole file in memory at once"
    assert sum(sizes) + sum(map(len, pieces)) > 900_000
    assert response["Cache-Control"] == "no-store"
    assert re.fullmatch(
        r'attachment; filename="corecmr-[0-9A-Z]{7}\.zip"', response["Content-Disposition"]
    )


def test_a_file_that_is_no_longer_what_was_stored_breaks_the_download_off(client, study):
    """Rather than a complete ZIP with wrong data in it."""
    broken = study.files.get(name="2.25.1.dcm")
    with broken.file.storage.open(broken.file.name, "wb") as handle:
        handle.write(b"\1" * 299_999 + b"\2")
    client.force_login(make_user(study.trust))
    response = client.get(address(study))
    with pytest.raises(OSError, match=broken.public_id):
        b"".join(response)


def test_what_is_shared_to_look_at_is_not_taken_away(client, study):
    owner, receiver = make_user(study.trust), make_user(make_trust())
    grant = sharing.share(study, by=owner, to_user=receiver, reason="opinion", may_download=False)
    client.force_login(receiver)
    page = client.get(f"/studies/{study.public_id}/").content.decode()
    assert address(study) not in page
    assert "?download" not in page
    assert client.get(address(study)).status_code == 404
    assert not AuditEvent.objects.filter(verb="study.download").exists()

    sharing.revoke(grant, by=owner)
    sharing.share(study, by=owner, to_user=receiver, reason="opinion", may_download=True)
    assert address(study) in client.get(f"/studies/{study.public_id}/").content.decode()
    assert len(taken(client, study).namelist()) == 8

"""DICOM objects leave by slice or all together; under the original identity for the owner alone."""

from __future__ import annotations

import hashlib
import io
import zipfile

import pydicom
import pytest
from django.core.files.base import ContentFile

from accounts.models import AuditEvent
from studies import identity, sharing
from studies.dicom.deidentify import deidentify
from studies.dicom.frames import frames_of
from studies.dicom.identity import source_identity
from studies.ingest import trust_key
from studies.models import Result, SourceIdentity, StoredFile, Study
from tests.dicom.test_relink import made, objects_of, sent
from tests.people import make_result, make_study, make_trust, make_user

pytestmark = pytest.mark.django_db

NAME, NUMBER = "PERSON^Ann", "INV 0001-7"


@pytest.fixture
def study() -> Study:
    """A study as ingest leaves it, with the objects of one slice and a report."""
    trust = make_trust()
    files = sent()
    for ds in files:
        ds.PatientName, ds.PatientID = NAME, NUMBER
    clean = [deidentify(ds, key=trust_key(trust)) for ds in files]
    study = make_study(trust, study_uid=str(clean[0].StudyInstanceUID))
    identity.record(study, (source_identity(a, b) for a, b in zip(files, clean, strict=True)))
    frames = [frame for n, ds in enumerate(clean) for frame in frames_of(ds, str(n))]
    *slice_, report = objects_of(made(clean[0], frames))
    result = make_result(study)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as pack:
        for number, data in enumerate(slice_):
            pack.writestr(f"{number}.dcm", data)
    store(result, "dicom.zip", packed.getvalue(), folder="stress_mid")
    store(result, "measurements.dcm", report)
    return study


def store(result: Result, name: str, body: bytes, folder: str = "") -> StoredFile:
    stored = StoredFile(
        study=result.study, result=result, kind=StoredFile.Kind.OBJECTS, name=name, size=len(body),
        content_type="application/zip", sha256=hashlib.sha256(body).hexdigest(), folder=folder,
    )  # fmt: skip
    stored.file.save(name, ContentFile(body), save=True)
    return stored


def address(study: Study, *, original: bool = False) -> str:
    return f"/studies/{study.public_id}/dicom{'-for-archive' if original else ''}.zip"


def taken(client, study: Study, *, original: bool = False) -> dict[str, bytes]:
    response = client.get(address(study, original=original))
    assert response.status_code == 200
    assert response.streaming
    assert response["Cache-Control"] == "no-store"
    archive = zipfile.ZipFile(io.BytesIO(b"".join(response)))
    assert archive.testzip() is None
    return {name: archive.read(name) for name in archive.namelist()}


def test_all_objects_come_as_files_of_their_own_and_pseudonymous(client, study):
    user = make_user(study.trust)
    client.force_login(user)
    files = taken(client, study)
    root = f"corecmr-{study.reference}-dicom"
    assert {*files} == {f"{root}/stress_mid/{n}.dcm" for n in range(16)} | {
        f"{root}/measurements.dcm"
    }
    for data in files.values():
        ds = pydicom.dcmread(io.BytesIO(data))
        assert ds.StudyInstanceUID == study.study_uid
        assert ds.PatientIdentityRemoved == "YES"
        assert NAME.encode() not in data
        assert NUMBER.encode() not in data
    event = AuditEvent.objects.get(verb="objects.download")
    assert (event.actor, event.object_id) == (user.public_id, study.public_id)


def test_for_its_own_archive_a_trust_gets_them_under_the_original_identity(client, study):
    client.force_login(make_user(study.trust))
    files = taken(client, study, original=True)
    assert len(files) == 17
    for data in files.values():
        ds = pydicom.dcmread(io.BytesIO(data))
        assert (str(ds.PatientName), ds.PatientID) == (NAME, NUMBER)
        assert ds.PatientBirthDate == "19600203"
        assert (ds.StudyInstanceUID, ds.StudyDate) == ("1.2.3.2", "20240514")
        assert "PatientIdentityRemoved" not in ds
    verbs = set(AuditEvent.objects.values_list("verb", flat=True))
    assert {"identity.view", "objects.download_identified"} <= verbs


@pytest.mark.parametrize("original", [False, True])
def test_whom_a_share_lets_have_what(client, study, original):
    owner = make_user(study.trust)
    taker, viewer = make_user(make_trust()), make_user(make_trust())
    for who, may in ((taker, True), (viewer, False)):
        sharing.share(study, by=owner, to_user=who, reason="opinion", may_download=may)
    answers = {}
    for name, who in (("owner", owner), ("taker", taker), ("viewer", viewer)):
        client.force_login(who)
        response = client.get(address(study, original=original))
        answers[name] = response.status_code
        page = client.get(f"/studies/{study.public_id}/").content.decode()
        assert (address(study, original=original) in page) == (response.status_code == 200)
    wanted = {"owner": 200, "taker": 404 if original else 200, "viewer": 404}
    assert answers == wanted
    assert NAME not in page


def test_a_study_without_objects_or_without_identity_has_no_such_address(client, study):
    client.force_login(make_user(study.trust))
    SourceIdentity.objects.all().delete()
    assert client.get(address(study, original=True)).status_code == 404
    assert address(study, original=True) not in _page(client, study)
    assert client.get(address(study)).status_code == 200
    StoredFile.objects.all().delete()
    assert client.get(address(study)).status_code == 404
    assert address(study) not in _page(client, study)


def test_the_page_offers_those_of_each_slice_and_says_why_there_are_none(client, study):
    result = study.results.get()
    result.report["dicom"] = [{"folder": "rest_mid", "reason": "The files do not say where."}]
    result.save()
    client.force_login(make_user(study.trust))
    page = _page(client, study)
    stored = study.files.get(name="dicom.zip")
    assert f'<a href="/files/{stored.public_id}/?download">Stress, mid</a>' in page
    assert "Rest, mid:" in page
    assert "The files do not say where." in page
    response = client.get(f"/files/{stored.public_id}/?download")
    assert zipfile.ZipFile(io.BytesIO(b"".join(response))).testzip() is None


def _page(client, study: Study) -> str:
    response = client.get(f"/studies/{study.public_id}/")
    assert response.status_code == 200
    return response.content.decode()


def test_objects_that_are_no_longer_what_was_stored_break_the_download_off(client, study):
    broken = study.files.get(name="measurements.dcm")
    with broken.file.storage.open(broken.file.name, "wb") as handle:
        handle.write(b"\1" * broken.size)
    client.force_login(make_user(study.trust))
    with pytest.raises(OSError, match=broken.public_id):
        b"".join(client.get(address(study)))

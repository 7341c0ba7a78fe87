"""Files in an S3 bucket or an Azure container: the whole way of a study, over the real protocol."""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import boto3
import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from moto.server import ThreadedMotoServer

from corecmr.settings.base import file_storages
from processing import health, runs, tasks
from studies import erasure
from studies.models import StoredFile, Study
from tests.people import make_trust, make_user
from tests.processing.conftest import phantom_files, send  # noqa: F401  (fixtures)

pytestmark = pytest.mark.django_db

BUCKET = "corecmr-files"


#: Azurite's own account, as its documentation has it.
ACCOUNT = "devstoreaccount1"
ACCOUNT_KEY = (
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6"  # pragma: allowlist secret
    "IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="  # pragma: allowlist secret
)


@dataclass
class Store:
    """Where the site keeps its files; keys: what lies there, by how its names begin."""

    keys: Callable[[str], set[str]]
    away: dict[str, str]


@pytest.fixture(scope="module")
def s3_server() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@contextmanager
def s3(server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """An empty bucket that the site keeps its files in."""
    values = {
        "BUCKET": BUCKET, "ENDPOINT": server, "REGION": "eu-west-2", "ACCESS_KEY": "key",
        "SECRET_KEY": "secret",
    }  # fmt: skip
    for name, value in values.items():
        monkeypatch.setenv(f"CORECMR_S3_{name}", value)
    resource = boto3.resource(
        "s3", endpoint_url=server, region_name="eu-west-2", aws_access_key_id="key",
        aws_secret_access_key="secret",
    )  # fmt: skip
    bucket = resource.Bucket(BUCKET)
    bucket.create(CreateBucketConfiguration={"LocationConstraint": "eu-west-2"})
    yield Store(
        lambda prefix: {one.key for one in bucket.objects.filter(Prefix=prefix)},
        {"endpoint_url": "http://127.0.0.1:9"},
    )
    bucket.objects.all().delete()
    bucket.delete()
    resource.meta.client.close()


@contextmanager
def azure(server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """An empty container of Azurite, Microsoft's own emulator."""
    from azure.storage.blob import BlobServiceClient

    def connection(address: str) -> str:
        return (
            f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={ACCOUNT_KEY};"
            f"BlobEndpoint={address}/{ACCOUNT};"
        )

    monkeypatch.setenv("CORECMR_AZURE_CONTAINER", BUCKET)
    monkeypatch.setenv("CORECMR_AZURE_CONNECTION", connection(server))
    with BlobServiceClient.from_connection_string(connection(server)) as service:
        container = service.create_container(BUCKET)
        yield Store(
            lambda prefix: set(container.list_blob_names(name_starts_with=prefix)),
            {"connection_string": connection("http://127.0.0.1:9")},
        )
        container.delete_container()


#: Azurite is a large package of npm's: `make drill-s3` fetches it and tells where it answers.
AZURITE = os.environ.get("CORECMR_TEST_AZURITE", "")


@pytest.fixture(params=["s3", *(["azure"] if AZURITE else [])])
def bucket(request, s3_server, settings, monkeypatch) -> Iterator[Store]:
    made = s3(s3_server, monkeypatch) if request.param == "s3" else azure(AZURITE, monkeypatch)
    with made as store:
        settings.STORAGES = {**settings.STORAGES, **file_storages(settings.VAR_DIR)}
        yield store


def keys(bucket: Store, prefix: str = "") -> set[str]:
    return bucket.keys(prefix)


@pytest.fixture
def study(bucket, send) -> Study:  # noqa: F811
    user = make_user(make_trust())
    study = send(user)
    tasks.execute_run(runs.submit(study, engine="mcaq", by=user).pk)
    assert study.results.count() == 1
    study.reader = user
    return study


def test_a_study_goes_all_its_way_through_the_bucket(bucket, study, settings, client):
    files = list(study.files.all())
    assert len(files) > 30
    # Each file is an object of its own, under a name that tells nothing, and is what its row says.
    assert keys(bucket, "media/") == {f"media/{stored.file.name}" for stored in files}
    for stored in files:
        with stored.file.open("rb") as handle:
            assert hashlib.sha256(handle.read()).hexdigest() == stored.sha256
    assert keys(bucket, "quarantine/") == set()
    assert not list((settings.VAR_DIR / "quarantine").rglob("*.*"))

    client.force_login(study.reader)
    film = study.files.get(name="cine.mp4", folder="stress_mid")
    whole = b"".join(client.get(f"/files/{film.public_id}/"))
    part = client.get(f"/files/{film.public_id}/", headers={"Range": "bytes=100-199"})
    assert part.status_code == 206
    assert b"".join(part) == whole[100:200]
    body = b"".join(client.get(f"/studies/{study.public_id}/everything.zip"))
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        assert archive.testzip() is None
        assert archive.read(f"corecmr-{study.reference}/stress_mid/cine.mp4") == whole


def test_an_erased_study_leaves_nothing_in_the_bucket(bucket, study):
    asked = erasure.request(study, by=study.reader, reason="patient")
    erasure.confirm(asked, by=make_user(study.trust))
    erasure.finish(asked.pk)
    assert keys(bucket) == set()
    assert not StoredFile.objects.exists()


def test_an_object_is_never_overwritten(bucket):
    first = storages["default"].save("ab/abc", ContentFile(b"first"))
    second = storages["default"].save("ab/abc", ContentFile(b"second"))
    assert first == "ab/abc"
    assert second != first
    with storages["default"].open(first) as handle:
        assert handle.read() == b"first"


def test_a_bucket_that_is_away_is_found_and_told_without_its_address(bucket, settings):
    found = {check.name: check for check in health.deep()}
    assert found["storage"].ok
    away = file_storages(settings.VAR_DIR)
    for one in away.values():
        one["OPTIONS"] |= bucket.away
    settings.STORAGES = {**settings.STORAGES, **away}
    found = {check.name: check for check in health.deep()}
    assert found["storage"].ok is False
    assert "127.0.0.1" not in found["storage"].sentence

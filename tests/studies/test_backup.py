"""A whole site backed up, restored into an empty one, and compared in every part."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg2
import pyrage
import pytest
from django.conf import settings
from django.db import connections

from scripts.steps import CHECKOUT

pytestmark = pytest.mark.django_db

SEED = """
import hashlib
from django.core.files.base import ContentFile
from accounts import audit
from studies import erasure, uploads
from studies.models import StoredFile, Study
from tests.people import make_result, make_study, make_trust, make_user
trust = make_trust()
one, other = make_user(trust), make_user(trust)
studies = []
for n in range(3):
    study = make_study(trust)
    result = make_result(study)
    for k in range(4):
        data = bytes([n, k]) * (200_000 if k == 0 else 50)
        stored = StoredFile(
            study=study, result=result, kind="data", name=f"{k}.npy", size=len(data),
            content_type="application/octet-stream", sha256=hashlib.sha256(data).hexdigest(),
        )
        stored.file.save("x", ContentFile(data))
    audit.record(one, "study.view", study)
    studies.append(study)
upload = uploads.receive(one, [("IM_0001", ContentFile(b"waiting bytes" * 99))])
"""
ERASE = """
from accounts.models import User
from studies import erasure
from studies.models import Study
study = Study.objects.order_by("pk").first()
one, other = User.objects.order_by("pk")[:2]
asked = erasure.request(study, by=one, reason="patient")
erasure.confirm(asked, by=other)
erasure.finish(asked.pk)
print(study.public_id)
"""
TOLD = """
import hashlib, json
from accounts import chain
from studies.models import StoredFile, Study, UploadItem
from django.core.files.storage import storages
def digest(store, key):
    with storages[store].open(key) as handle:
        return hashlib.sha256(handle.read()).hexdigest()
print(json.dumps({
    "studies": sorted(Study.objects.values_list("public_id", flat=True)),
    "files": {f.public_id: [f.sha256, digest("default", f.file.name)]
              for f in StoredFile.objects.all()},
    "waiting": [digest("quarantine", i.key) for i in UploadItem.objects.exclude(key="")],
    "chain": [chain.verify().length, chain.verify().reason],
}))
"""


@dataclass
class Place:
    """One site: a database of its own and a folder of its own."""

    url: str
    var: Path
    recipient: str

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ, "DJANGO_SETTINGS_MODULE": "corecmr.settings.test",
            "DATABASE_URL": self.url, "CORECMR_VAR_DIR": str(self.var),
            "CORECMR_BACKUP_RECIPIENTS": self.recipient, "PYTHONPATH": str(CHECKOUT),
        }  # fmt: skip

    def manage(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        ended = subprocess.run(
            [sys.executable, CHECKOUT / "manage.py", *arguments], env=self.environment, text=True,
            check=False, capture_output=True,
        )  # fmt: skip
        assert not check or ended.returncode == 0, ended.stderr
        return ended

    def script(self, text: str) -> str:
        start = "import django; django.setup()\n"
        return subprocess.run(
            [sys.executable, "-c", start + text], env=self.environment, text=True, check=True,
            stdout=subprocess.PIPE,
        ).stdout.strip()  # fmt: skip

    def told(self) -> dict:
        return json.loads(self.script(TOLD))


@pytest.fixture(scope="module")
def key() -> pyrage.x25519.Identity:
    return pyrage.x25519.Identity.generate()


@pytest.fixture
def places(tmp_path, key) -> Iterator[tuple[Place, Place]]:
    """A site with content, and an empty one."""
    told = connections["default"].get_connection_params()
    names = ["corecmr_backup_from", "corecmr_backup_to"]

    def run(statement: str) -> None:
        with closing(
            psycopg2.connect(
                dbname="postgres", host=told["host"], port=told.get("port"),
                user=told["user"], password=told.get("password"),
            )
        ) as server:  # fmt: skip
            server.autocommit = True
            with server.cursor() as cursor:
                cursor.execute(statement)

    made = []
    for name in names:
        run(f"DROP DATABASE IF EXISTS {name}")
        run(f"CREATE DATABASE {name}")
        who = f"{quote(told['user'])}:{quote(told.get('password') or '', safe='')}"
        port = f"&port={told['port']}" if told.get("port") else ""
        url = f"postgresql://{who}@/{name}?host={quote(str(told['host']), safe='')}{port}"
        (tmp_path / name).mkdir()
        made.append(Place(url, tmp_path / name, str(key.to_public())))
    yield made[0], made[1]
    for name in names:
        run(f"DROP DATABASE {name} WITH (FORCE)")


def backed_up(place: Place, folder: Path) -> Path:
    place.manage("backup", str(folder))
    (archive,) = folder.glob("corecmr-*.tar.age")
    return archive


def test_a_site_comes_back_whole_and_forgets_what_was_erased_since(places, tmp_path, key):
    here, there = places
    here.manage("migrate", "--verbosity", "0")
    here.script(SEED)
    before = here.told()
    assert len(before["files"]) == 12
    archive = backed_up(here, tmp_path / "backups")
    # Nothing of the site can be read without the secret key.
    raw = archive.read_bytes()
    assert b"waiting bytes" not in raw
    assert before["studies"][0].encode() not in raw
    erased = here.script(ERASE)

    secret = tmp_path / "key.txt"
    secret.write_text(f"# backup key\n{key}\n")
    # The ledger of erasures lies outside of the database and outlives it.
    (there.var / "erasures.jsonl").write_text((here.var / "erasures.jsonl").read_text())
    said = there.manage("restore", str(archive), "--key", str(secret)).stdout
    assert re.search(r"files that differ +0$", said, re.MULTILINE)
    assert re.search(r"tables whose count differs +0$", said, re.MULTILINE)
    assert re.search(r"record of actions +whole, ", said)
    assert re.search(r"studies erased again +1$", said, re.MULTILINE)

    after = there.told()
    assert after["studies"] == [one for one in before["studies"] if one != erased]
    assert after["waiting"] == before["waiting"]
    assert len(after["files"]) == 8
    for name, (promised, found) in after["files"].items():
        assert promised == found == before["files"][name][0]
    assert after["chain"][1] == ""
    assert after["chain"][0] > before["chain"][0]
    # The next check of the site's health finds the backup.
    assert there.script(
        "from processing import health\n"
        "print([c.ok for c in health.deep() if c.name in ('database', 'migrations', 'storage')])"
    ) == "[True, True, True]"  # fmt: skip


def test_nothing_is_restored_over_something_or_with_a_wrong_key(places, tmp_path, key):
    here, there = places
    here.manage("migrate", "--verbosity", "0")
    here.script(SEED)
    archive = backed_up(here, tmp_path / "backups")
    secret, wrong = tmp_path / "key.txt", tmp_path / "wrong.txt"
    secret.write_text(str(key))
    wrong.write_text(str(pyrage.x25519.Identity.generate()))
    again = here.manage("restore", str(archive), "--key", str(secret), check=False)
    assert again.returncode
    assert "The database is not empty" in again.stderr
    shut = there.manage("restore", str(archive), "--key", str(wrong), check=False)
    assert shut.returncode
    assert "cannot be opened" in shut.stderr
    # A backup that was cut off, as by a full disk on its way.
    cut = tmp_path / "cut.tar.age"
    cut.write_bytes(archive.read_bytes()[:-5000])
    ended = there.manage("restore", str(cut), "--key", str(secret), check=False)
    assert ended.returncode
    assert "Traceback" not in ended.stderr


def test_without_a_key_no_backup_is_made(places, tmp_path):
    here, _there = places
    here.recipient = ""
    here.manage("migrate", "--verbosity", "0")
    ended = here.manage("backup", str(tmp_path / "out"), check=False)
    assert ended.returncode
    assert "CORECMR_BACKUP_RECIPIENTS is not set" in ended.stderr
    assert not list((tmp_path / "out").glob("*")) if (tmp_path / "out").exists() else True


def test_a_new_key_opens_what_its_public_part_closed(places):
    here, _there = places
    said = here.manage("backup", "--new-key").stdout
    public = re.search(r"age1\w+", said)
    secret = re.search(r"AGE-SECRET-KEY-\w+", said)
    assert public is not None
    assert secret is not None
    closed = pyrage.encrypt(b"x", [pyrage.x25519.Recipient.from_str(public[0])])
    assert pyrage.decrypt(closed, [pyrage.x25519.Identity.from_str(secret[0])]) == b"x"
    assert settings.BACKUP_RECIPIENTS == []

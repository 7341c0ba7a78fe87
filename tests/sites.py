"""Two sites with databases of their own: one to be backed up, one to restore into."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg2

from scripts.steps import CHECKOUT

SEED = """
import hashlib, os
STUDIES = int(os.environ.get("SEED_STUDIES", "3"))
from django.core.files.base import ContentFile
from accounts import audit
from studies import erasure, uploads
from studies.models import StoredFile, Study
from tests.people import make_result, make_study, make_trust, make_user
trust = make_trust()
one, other = make_user(trust), make_user(trust)
studies = []
for n in range(STUDIES):
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


@contextmanager
def two_sites(told: dict[str, Any], folder: Path, recipient: str) -> Iterator[tuple[Place, Place]]:
    """Two empty databases beside the one that ``told`` connects to, and a folder for each."""
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
        (folder / name).mkdir()
        made.append(Place(url, folder / name, recipient))
    yield made[0], made[1]
    for name in names:
        run(f"DROP DATABASE {name} WITH (FORCE)")

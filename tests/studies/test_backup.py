"""A whole site backed up, restored into an empty one, and compared in every part."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pyrage
import pytest
from django.conf import settings
from django.db import connections

from tests.sites import ERASE, SEED, Place, two_sites

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def key() -> pyrage.x25519.Identity:
    return pyrage.x25519.Identity.generate()


@pytest.fixture
def places(tmp_path, key) -> Iterator[tuple[Place, Place]]:
    told = connections["default"].get_connection_params()
    with two_sites(told, tmp_path, str(key.to_public())) as sites:
        yield sites


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

"""A site backed up while it has something to lose, and restored: every hash, count and link."""

from __future__ import annotations

import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from scripts.bench.table import Figure
from scripts.drill.database import scene

STUDIES = 150


def measure(said: Callable[[str], None]) -> Iterator[Figure]:
    import pyrage

    key = pyrage.x25519.Identity.generate()
    os.environ["SEED_STUDIES"] = str(STUDIES)
    with scene(), tempfile.TemporaryDirectory() as name:
        from django.db import connection

        from tests.sites import ERASE, SEED, two_sites

        folder = Path(name)
        secret = folder / "key.txt"
        secret.write_text(str(key))
        params = connection.get_connection_params()
        with two_sites(params, folder, str(key.to_public())) as (here, there):
            said("making a site")
            here.manage("migrate", "--verbosity", "0")
            here.script(SEED)
            before = here.told()
            said("backing it up")
            begun = time.monotonic()
            here.manage("backup", str(folder / "backups"))
            backed_up = time.monotonic() - begun
            (archive,) = (folder / "backups").glob("*.age")
            erased = here.script(ERASE)
            ledger = (here.var / "erasures.jsonl").read_text()
            (there.var / "erasures.jsonl").write_text(ledger)
            said("restoring it")
            begun = time.monotonic()
            told = there.manage("restore", str(archive), "--key", str(secret)).stdout
            restored = time.monotonic() - begun
            after = there.told()
    where = f"{STUDIES} studies, {len(before['files'])} files"
    kept = {name: found for name, found in before["files"].items() if name in after["files"]}
    wrong = sum(after["files"][name] != found for name, found in kept.items())
    missing = len(set(before["studies"]) - set(after["studies"]) - {erased})
    yield Figure("files that differ", where, wrong, reach=0)
    yield Figure("studies that are missing", where, missing, reach=0)
    yield Figure("tables whose count differs", where, _number(told, "count differs"), reach=0)
    yield Figure("breaks of the record", where, float("whole" not in told), reach=0)
    yield Figure("erased again, of 1", where, _number(told, "erased again"), reach=1,
                 larger_is_better=True)  # fmt: skip
    yield Figure("minutes to back up", where, backed_up / 60)
    yield Figure("minutes to restore", where, restored / 60)


def _number(told: str, words: str) -> float:
    found = re.search(rf"{words} +(\d+)", told)
    return float(found[1]) if found else float("nan")

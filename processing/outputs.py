"""An engine's output folder becomes stored files and rows, together with the run's end."""

from __future__ import annotations

import json
from pathlib import Path

from django.db import transaction

from accounts import audit
from processing import objects, runs
from processing.models import Run
from studies import results, storage
from studies.models import Result, StoredFile

_KINDS = {
    "mbf.png": StoredFile.Kind.MAP,
    "scanner_mbf.png": StoredFile.Kind.MAP,
    "cine.mp4": StoredFile.Kind.CINE,
    "original.mp4": StoredFile.Kind.CINE,
    "corrected.frames": StoredFile.Kind.FRAMES,
    "original.frames": StoredFile.Kind.FRAMES,
    "poster.png": StoredFile.Kind.POSTER,
    "report.json": StoredFile.Kind.REPORT,
    objects.PACK: StoredFile.Kind.OBJECTS,
    objects.REPORT: StoredFile.Kind.OBJECTS,
}


class LostRun(Exception):
    """The run belongs to another worker now; what this one made is thrown away."""


def store(run: Run, output: Path) -> Result:
    """Store what lies in ``output`` as a new result of the run's study. Raises LostRun."""
    report = json.loads((output / "report.json").read_text())
    objects.pack(output)
    paths = sorted(path for path in output.rglob("*") if path.is_file())
    whole = {output, output / objects.FOLDER}
    with storage.Batch() as batch:
        keys = []
        for number, path in enumerate(paths):
            keys.append(batch.write(path))
            if not runs.heartbeat(run, "store", number / len(paths)):
                raise LostRun
        rows = [
            storage.row(
                run.study,
                path,
                key,
                kind=_KINDS.get(path.name, StoredFile.Kind.DATA),
                folder="" if path.parent in whole else path.parent.name,
            )
            for path, key in zip(paths, keys, strict=True)
        ]
        with transaction.atomic():
            if not runs.lock_mine(run):
                raise LostRun
            result = results.record(run.study_id, report)
            for row in rows:
                row.result = result
            StoredFile.objects.bulk_create(rows)
            audit.record(None, "result.create", result, run=run.public_id)
            runs.succeed(run, result)
    return result

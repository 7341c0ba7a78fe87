"""From quarantine to storage: a limited child judges and rebuilds, then rows and files are made.

Doing it twice changes nothing: files and studies are found again by their hashes and uids.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import shutil
import tempfile
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.dateparse import parse_date

from accounts import audit
from accounts.models import Trust
from corecmr import sandbox
from corecmr.queue import enqueue
from studies import identity, storage, uploads
from studies.models import Series, StoredFile, Study, Upload, UploadItem

if TYPE_CHECKING:
    from collections.abc import Iterator

log = logging.getLogger(__name__)


class IngestError(Exception):
    """Why an upload could not be taken in; the text is for the person who sent it."""


def ingest(upload: Upload) -> None:
    """Check, de-identify, sort and store the files of a claimed upload."""
    try:
        with _scratch() as scratch:
            manifest = _judge(upload, scratch)
            _store(upload, manifest, scratch / "out")
    except _LostLease:
        return
    except IngestError as error:
        uploads.fail(upload, str(error))
        return
    uploads.empty_quarantine(upload)


@contextmanager
def _scratch() -> Iterator[Path]:
    settings.SCRATCH_DIR.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder = Path(tempfile.mkdtemp(prefix="intake-", dir=settings.SCRATCH_DIR))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def trust_key(trust: Trust) -> bytes:
    """The key of this trust's pseudonyms: without it none can be traced or guessed."""
    return hmac.digest(
        settings.DEIDENTIFICATION_KEY.encode(), f"trust:{trust.public_id}".encode(), "sha256"
    )


def _judge(upload: Upload, scratch: Path) -> dict[str, Any]:
    """Let the child read every file; gives its manifest. The child sees no name, only numbers."""
    incoming = scratch / "in"
    incoming.mkdir()
    files = []
    for item in upload.items.order_by("pk"):
        path = incoming / str(item.pk)
        with storage.quarantine().open(item.key, "rb") as source, path.open("wb") as target:
            shutil.copyfileobj(source, target, 1024**2)
        files.append({"id": str(item.pk), "path": str(path)})
    progress = {"done": 0}

    def on_line(line: str) -> None:
        value = sandbox.parse_json_line(line).get("done")
        if isinstance(value, int):
            progress["done"] = value

    request = {
        "files": files,
        "out": str(scratch / "out"),
        "key_hex": trust_key(upload.trust).hex(),
    }
    (scratch / "out").mkdir()
    outcome = sandbox.run(
        "studies.dicom.intake",
        [],
        sandbox.Limits(
            memory_bytes=settings.INTAKE_MEMORY_BYTES,
            wall_seconds=settings.INTAKE_WALL_SECONDS,
            cpu_seconds=settings.INTAKE_WALL_SECONDS,
        ),
        stdin=json.dumps(request),
        on_line=on_line,
        keep_going=lambda: uploads.heartbeat(upload, progress["done"]),
    )
    manifest = scratch / "out" / "manifest.json"
    if outcome.returncode == 0 and manifest.exists():
        return json.loads(manifest.read_text())
    identifier = hashlib.sha256(upload.public_id.encode()).hexdigest()[:8]
    log.error(
        "intake %s ended by %s with %s: %s",
        identifier, outcome.ended_by, outcome.returncode, _last_line(outcome.stderr),
    )  # fmt: skip
    if outcome.ended_by == "wall":
        raise IngestError("Checking these files took too long. Send one study at a time.")
    raise IngestError(
        "These files could not be checked: one of them is damaged in a way that stops the "
        f"reader. Send one series at a time to find it (log id {identifier})."
    )


def _last_line(text: str) -> str:
    """The kind of error only: its message may hold something read from a file."""
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].split(":", 1)[0][:80] if lines else ""


def _store(upload: Upload, manifest: dict[str, Any], out: Path) -> None:
    verdicts = {entry["id"]: entry for entry in manifest["files"]}
    perfusion = [
        found
        for found in manifest["studies"]
        if any(series["role"] == "perfusion" for series in found["series"])
    ]
    with storage.Batch() as batch:
        keys = _write_new(upload, perfusion, verdicts, out, batch)
        with transaction.atomic():
            if not uploads.mine_locked(upload):
                raise _LostLease
            _settle_items(upload, manifest, verdicts)
            if not perfusion:
                return _nothing_found(upload)
            studies = [_store_study(upload, found, verdicts, out, keys) for found in perfusion]
            upload.studies.set(studies)
            Upload.objects.filter(pk=upload.pk).update(
                state=Upload.State.DONE,
                done=upload.total,
                finished_at=timezone.now(),
                lease_until=None,
                changes=_changes(manifest),
            )
            audit.record(upload.user, "upload.ingest", upload, studies=len(studies))
            for study in studies:
                enqueue("submit", study.pk)


class _LostLease(Exception):
    """Another worker has this upload now; what we wrote is taken back."""


def _changes(manifest: dict[str, Any]) -> Counter[str]:
    """What became of the attributes of all files that were rebuilt."""
    total: Counter[str] = Counter()
    for verdict in manifest["files"]:
        total.update(verdict.get("changes") or {})
    return total


def _nothing_found(upload: Upload) -> None:
    Upload.objects.filter(pk=upload.pk).update(
        state=Upload.State.FAILED,
        reason=(
            "None of these files belongs to a first-pass perfusion series. Choose the folder that "
            "holds the films of the contrast's first pass, as exported from the scanner or the "
            "picture archive."
        ),
        finished_at=timezone.now(),
        lease_until=None,
    )
    audit.record(None, "upload.fail", upload)


def _write_new(
    upload: Upload,
    perfusion: list[dict[str, Any]],
    verdicts: dict[str, dict[str, Any]],
    out: Path,
    batch: storage.Batch,
) -> dict[str, str]:
    """Write the files that the trust does not hold yet; gives their keys by file id."""
    keys: dict[str, str] = {}
    for found in perfusion:
        held = set(
            StoredFile.objects.filter(
                study__trust=upload.trust,
                study__study_uid=found["study_uid"],
                kind=StoredFile.Kind.SOURCE,
            ).values_list("sha256", flat=True)
        )
        for series in found["series"]:
            for file_id in series["file_ids"]:
                if verdicts[file_id]["sha256"] in held:
                    continue
                held.add(verdicts[file_id]["sha256"])
                keys[file_id] = batch.write(out / f"{file_id}.dcm")
                if len(keys) % 50 == 0 and not uploads.heartbeat(upload, upload.total):
                    raise _LostLease
    return keys


def _settle_items(
    upload: Upload, manifest: dict[str, Any], verdicts: dict[str, dict[str, Any]]
) -> None:
    """Say of each file what became of it."""
    unused = {
        entry["id"]: entry["reason"] for study in manifest["studies"] for entry in study["unused"]
    }
    used = {
        file_id
        for study in manifest["studies"]
        for series in study["series"]
        for file_id in series["file_ids"]
    }
    for item in upload.items.all():
        identifier = str(item.pk)
        verdict = verdicts.get(identifier)
        if identifier in used:
            item.state = UploadItem.State.STORED
        elif verdict is not None and not verdict["accepted"]:
            item.state, item.reason = UploadItem.State.REJECTED, verdict["reason"]
        else:
            item.state = UploadItem.State.UNUSED
            item.reason = unused.get(identifier, "It belongs to no perfusion series.")
        item.save(update_fields=["state", "reason"])


def _store_study(
    upload: Upload,
    found: dict[str, Any],
    verdicts: dict[str, dict[str, Any]],
    out: Path,
    keys: dict[str, str],
) -> Study:
    patient, scanner = found.get("patient") or {}, found.get("scanner") or {}
    study, created = Study.objects.get_or_create(
        trust=upload.trust,
        study_uid=found["study_uid"],
        defaults={
            "uploaded_by": upload.user,
            "patient_pseudonym": found.get("patient_pseudonym") or "",
            "patient_sex": (patient.get("sex") or "")[:1],
            "patient_age": patient.get("age_years"),
            "study_date": parse_date(found.get("study_date") or ""),
            "manufacturer": (scanner.get("manufacturer") or "")[:64],
            "scanner_model": (scanner.get("model") or "")[:64],
            "scanner_pseudonym": (scanner.get("pseudonym") or "")[:16],
            "field_t": scanner.get("field_t"),
        },
    )
    if created:
        audit.record(upload.user, "study.create", study)
    identity.record(
        study,
        (
            json.loads((out / f"{file_id}.json").read_text())
            for file_id in dict.fromkeys(
                name for series in found["series"] for name in series["file_ids"]
            )
        ),
    )
    slices: dict[str, int] = {}
    stored: set[str] = set()
    for entry in found["series"]:
        index = slices.get(entry["uid"], 0)
        slices[entry["uid"]] = index + 1
        series, _ = Series.objects.update_or_create(
            study=study,
            uid=entry["uid"],
            slice_index=index,
            defaults={
                "role": entry["role"],
                "state": entry["state"],
                "level": entry["level"] or "",
                "description": (entry["description"] or "")[:64],
                "frames": entry["frames"],
                "rows": entry["rows"],
                "cols": entry["cols"],
                "time_source": entry["time_source"] or "",
                "duration_s": entry["duration_s"],
                "median_interval_s": entry["median_interval_s"],
                "reasons": entry["reasons"],
            },
        )
        rows = []
        for file_id in entry["file_ids"]:
            if file_id in stored:
                continue  # a multi-frame file holds several slices; it is stored once
            stored.add(file_id)
            verdict = verdicts[file_id]
            if file_id not in keys:
                upload.items.filter(pk=int(file_id)).update(state=UploadItem.State.DUPLICATE)
                continue
            rows.append(
                storage.row(
                    study,
                    out / f"{file_id}.dcm",
                    keys[file_id],
                    kind=StoredFile.Kind.SOURCE,
                    sha256=verdict["sha256"],
                    series=series,
                    folder="source",
                    name=f"{verdict['sop_instance_uid']}.dcm",
                )
            )
        StoredFile.objects.bulk_create(rows)
    return study

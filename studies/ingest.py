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
from studies import record, storage, uploads
from studies.models import Series, StoredFile, Study, Upload, UploadItem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from django.db.models import QuerySet

log = logging.getLogger(__name__)


class IngestError(Exception):
    """Why an upload could not be taken in; the text is for the person who sent it."""


def ingest(upload: Upload) -> None:
    """Check, de-identify, sort and store the files of a claimed upload."""
    try:
        with _scratch() as scratch:
            manifest = _judge(upload, scratch)
            while True:
                _understand_whole(upload, manifest, scratch)
                try:
                    _store(upload, manifest, scratch / "out")
                    break
                except _HeldChanged:
                    continue  # another upload of the same study was quicker by a moment
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
    request = {
        "files": files,
        "out": str(scratch / "out"),
        "key_hex": trust_key(upload.trust).hex(),
    }
    (scratch / "out").mkdir()
    manifest = scratch / "out" / "manifest.json"
    return _child(upload, "studies.dicom.intake", request, manifest)


def _child(
    upload: Upload, module: str, request: dict[str, Any], manifest: Path, done: int = 0
) -> dict[str, Any]:
    """Run a limited child and give the manifest that it wrote. Raises IngestError.

    done: how many files count as checked while the child does not say.
    """
    progress = {"done": done}

    def on_line(line: str) -> None:
        value = sandbox.parse_json_line(line).get("done")
        if isinstance(value, int) and not done:
            progress["done"] = value

    outcome = sandbox.run(
        module,
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
    if outcome.ended_by == "caller":
        raise _LostLease
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


def _understand_whole(upload: Upload, manifest: dict[str, Any], scratch: Path) -> None:
    """Where the trust holds images of a study already, sort them together with the new ones.

    A study comes in parts: its second half alone tells neither levels nor whole films.
    """
    verdicts = {entry["id"]: entry for entry in manifest["files"]}
    for number, found in enumerate(manifest["studies"]):
        new = {name for name in _ids_of(found) if verdicts.get(name, {}).get("accepted")}
        hashes = {verdicts[name]["sha256"] for name in new}
        held = StoredFile.objects.filter(
            study__trust=upload.trust,
            study__study_uid=found["study_uid"],
            kind=StoredFile.Kind.SOURCE,
        ).exclude(sha256__in=hashes)
        folder = scratch / f"held-{number}"
        files = _fetched(upload, held, folder)
        found["held"] = {int(entry["id"].removeprefix(_HELD)) for entry in files}
        if not files:
            continue
        files += [
            {"id": name, "path": str(scratch / "out" / f"{name}.dcm"), "held": False}
            for name in sorted(new, key=int)
        ]
        request = {"files": files, "out": str(folder / "manifest.json")}
        whole = _child(
            upload, "studies.dicom.understand", request, folder / "manifest.json", upload.total
        )
        for refused in whole.pop("refused"):
            verdicts[refused["id"]].update(accepted=False, reason=refused["reason"])
        found.update(whole)
        shutil.rmtree(folder)


def _ids_of(found: dict[str, Any]) -> set[str]:
    """The files of a study in a manifest, used or not."""
    used = {name for series in found["series"] for name in series["file_ids"]}
    return used | {entry["id"] for entry in found["unused"]}


def _fetched(upload: Upload, held: QuerySet[StoredFile], folder: Path) -> list[dict[str, Any]]:
    """Copy stored images into ``folder``; gives them as the child's request has them."""
    files = []
    for stored in held.order_by("pk"):
        folder.mkdir(exist_ok=True)
        path = folder / f"{stored.pk}.dcm"
        with storage.open_stored(stored) as source, path.open("wb") as target:
            shutil.copyfileobj(source, target, 1024**2)
        files.append({"id": f"{_HELD}{stored.pk}", "path": str(path), "held": True})
        if len(files) % 50 == 0 and not uploads.heartbeat(upload, upload.total):
            raise _LostLease
    return files


#: Before the key of an image that the trust holds already; ids of new files are numbers.
_HELD = "held-"


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
            left_out = [one for found in manifest["studies"] for one in found["left_out"]]
            Upload.objects.filter(pk=upload.pk).update(left_out=left_out)
            if not perfusion:
                return _nothing_found(upload)
            studies = [_store_study(upload, found, verdicts, out, keys) for found in perfusion]
            upload.studies.set(studies)
            upload.refresh_from_db(fields=["answers"])
            for study in studies:
                record.from_upload(study, upload)
            Upload.objects.filter(pk=upload.pk).update(
                state=Upload.State.DONE,
                done=upload.total,
                finished_at=timezone.now(),
                lease_until=None,
            )
            audit.record(upload.user, "upload.ingest", upload, studies=len(studies))
            for study in studies:
                enqueue("submit", study.pk)


class _HeldChanged(Exception):
    """The trust holds other images of a study than those that it was understood with."""


class _LostLease(Exception):
    """Another worker has this upload now; what we wrote is taken back."""


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
                if file_id.startswith(_HELD) or verdicts[file_id]["sha256"] in held:
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
    Study.objects.select_for_update().get(pk=study.pk)
    new = {verdicts[name]["sha256"] for name in _ids_of(found) if not name.startswith(_HELD)}
    held = study.files.filter(kind=StoredFile.Kind.SOURCE).exclude(sha256__in=new)
    if set(held.values_list("pk", flat=True)) != found["held"]:
        raise _HeldChanged
    rows = []
    stored: set[str] = set()
    for entry, series in zip(found["series"], _store_series(study, found["series"]), strict=True):
        for file_id in entry["file_ids"]:
            if file_id in stored:
                continue  # a multi-frame file holds several slices; it is stored once
            stored.add(file_id)
            if file_id.startswith(_HELD):
                study.files.filter(pk=int(file_id.removeprefix(_HELD))).update(series=series)
                continue
            verdict = verdicts[file_id]
            if file_id not in keys:
                study.files.filter(sha256=verdict["sha256"], kind=StoredFile.Kind.SOURCE).update(
                    series=series
                )
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


def _store_series(study: Study, found: list[dict[str, Any]]) -> list[Series]:
    """The study's series as they are understood now, in the order of ``found``.

    A row stays that of the series which holds its frame, and keeps what a person corrected in it;
    rows of series that are no longer found go.
    """
    rows = list(study.series.select_for_update())
    kept: list[Series] = []
    for entry in found:
        frames = {(uid, number) for uid, number in entry["frame_ids"]}
        row = next(
            (
                one for one in rows
                if one not in kept and (one.sop_instance_uid, one.frame_number) in frames
            ),
            None,
        )  # fmt: skip
        if row is None:
            taken = [one.slice_index for one in [*rows, *kept] if one.uid == entry["uid"]]
            uid, number = entry["frame_ids"][0]
            row = Series(
                study=study, uid=entry["uid"], slice_index=max(taken, default=-1) + 1,
                sop_instance_uid=uid, frame_number=number,
            )  # fmt: skip
        row.understood = {
            "state": entry["state"], "level": entry["level"] or "", "role": entry["role"],
        }  # fmt: skip
        for key, value in {**row.understood, **row.corrected}.items():
            setattr(row, key, value)
        row.description = (entry["description"] or "")[:64]
        row.frames, row.rows, row.cols = entry["frames"], entry["rows"], entry["cols"]
        row.time_source = entry["time_source"] or ""
        row.duration_s = entry["duration_s"]
        row.median_interval_s = entry["median_interval_s"]
        row.reasons = entry["reasons"]
        row.save()
        kept.append(row)
    study.series.exclude(pk__in=[row.pk for row in kept]).delete()
    return kept

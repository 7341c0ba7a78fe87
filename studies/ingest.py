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
from corecmr.queue import enqueue
from studies import examinations, identity, judging, storage, uploads
from studies.models import Series, StoredFile, Study, Upload, UploadItem

if TYPE_CHECKING:
    from collections.abc import Iterator

log = logging.getLogger(__name__)


_NO_ROOM = (
    "The site has no room left for these files, and nothing of them was stored. Tell your "
    "administrator, and send them again when there is room."
)


class IngestError(Exception):
    """Why an upload could not be taken in; the text is for the person who sent it."""


def ingest(upload: Upload) -> None:
    """Check, de-identify, sort and store the files of a claimed upload."""
    try:
        with _scratch() as scratch:
            manifest = _judge(upload, scratch)
            if _asks(upload, manifest):
                return
            examinations.keep_only(manifest, upload.keep)
            _store(upload, manifest, scratch / "out")
    except _LostLease:
        return
    except IngestError as error:
        uploads.fail(upload, str(error))
        return
    except OSError as error:
        if not storage.is_full(error):
            raise
        log.error("ingest found no room on the disk")
        uploads.fail(upload, _NO_ROOM)
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
    """Let a child read every file; gives its manifest. The child sees no name, only numbers."""
    incoming, out = scratch / "in", scratch / "out"
    incoming.mkdir()
    out.mkdir()
    files = [
        (str(item.pk), storage.quarantine_path(item.key, incoming))
        for item in upload.items.filter(parent=None).order_by("pk")
    ]
    try:
        judged = judging.judge(
            files,
            out,
            trust_key(upload.trust),
            beat=lambda done, total: uploads.heartbeat(upload, done, total),
        )
    except judging.Stopped:
        raise _LostLease from None
    except judging.TookTooLong:
        raise IngestError("Checking these files took too long. Send one study at a time.") from None
    except judging.BrokeDown as how:
        identifier = hashlib.sha256(upload.public_id.encode()).hexdigest()[:8]
        log.error("intake %s ended by %s", identifier, how)
        raise IngestError(
            "These files could not be checked: the site's reader does not work (log id "
            f"{identifier}). Try again; if it happens again, tell your administrator the id."
        ) from None
    return judged.manifest


def _asks(upload: Upload, manifest: dict[str, Any]) -> bool:
    """Whether the sender must say first which examinations to keep; then the upload waits."""
    if upload.keep is not None:
        return False
    names = {str(item.pk): ("", item.name) for item in upload.items.filter(parent=None)}
    for verdict in manifest["files"]:
        if "archive" in verdict:
            names[verdict["id"]] = verdict["folder"], verdict["name"]
    found = examinations.to_ask_about(manifest, names)
    if found and not uploads.ask(upload, found):
        raise _LostLease
    return bool(found)


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
            total = _settle_items(upload, manifest, perfusion, verdicts, keys)
            if not perfusion:
                return _nothing_found(upload, total)
            studies = [_store_study(upload, found, verdicts, out, keys) for found in perfusion]
            upload.studies.set(studies)
            Upload.objects.filter(pk=upload.pk).update(
                state=Upload.State.DONE,
                done=total,
                total=total,
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


def _nothing_found(upload: Upload, total: int) -> None:
    Upload.objects.filter(pk=upload.pk).update(
        state=Upload.State.FAILED,
        done=total,
        total=total,
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
    upload: Upload,
    manifest: dict[str, Any],
    kept: list[dict[str, Any]],
    verdicts: dict[str, dict[str, Any]],
    keys: dict[str, str],
) -> int:
    """Say of each file what became of it; gives their number, without archives that were opened."""
    unused = {
        entry["id"]: entry["reason"] for study in manifest["studies"] for entry in study["unused"]
    }
    used = {
        file_id for study in kept for series in study["series"] for file_id in series["file_ids"]
    }
    archives = {str(item.pk): item for item in upload.items.filter(parent=None)}
    members = []
    for file_id, verdict in verdicts.items():
        first = verdict.get("same_as", file_id)
        if verdict.get("opened"):
            state, reason = UploadItem.State.OPENED, ""
        elif not verdicts[first]["accepted"]:
            state, reason = UploadItem.State.REJECTED, verdicts[first]["reason"]
        elif first in used:
            new = first == file_id and file_id in keys
            state, reason = UploadItem.State.STORED if new else UploadItem.State.DUPLICATE, ""
        else:
            state = UploadItem.State.UNUSED
            reason = verdicts[first].get("unused") or unused.get(
                first, "It belongs to no perfusion series."
            )
        if file_id in archives:
            archives[file_id].state, archives[file_id].reason = state, reason
        else:
            members.append(
                UploadItem(
                    upload=upload, parent=archives[verdict["archive"]], name=verdict["name"],
                    size=verdict["unpacked"], state=state, reason=reason,
                )
            )  # fmt: skip
    UploadItem.objects.bulk_update(archives.values(), ["state", "reason"], batch_size=1000)
    UploadItem.objects.bulk_create(members, batch_size=1000)
    return sum(not verdict.get("opened") for verdict in verdicts.values())


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
                continue  # the trust holds it already
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

"""From quarantine to storage: a limited child judges and rebuilds, then rows and files are made.

Doing it twice changes nothing: files and studies are found again by their hashes and uids.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import shutil
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.dateparse import parse_date
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts import audit
from accounts.models import Trust
from corecmr import sandbox, temporary
from corecmr.queue import enqueue
from studies import examinations, identity, judging, record, storage, uploads
from studies.models import Series, StoredFile, Study, Upload, UploadItem

if TYPE_CHECKING:
    from django.db.models import QuerySet

log = logging.getLogger(__name__)


_NO_ROOM = gettext_lazy(
    "The site has no room left for these files, and nothing of them was stored. Tell your "
    "administrator, and send them again when there is room."
)


class IngestError(Exception):
    """Why an upload could not be taken in; the text is for the person who sent it."""


def ingest(upload: Upload) -> None:
    """Check, de-identify, sort and store the files of a claimed upload."""
    try:
        with temporary.scratch("intake-") as scratch:
            manifest = _judge(upload, scratch)
            if _asks(upload, manifest):
                return
            examinations.keep_only(manifest, upload.keep)
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
    except OSError as error:
        if not storage.is_full(error):
            raise
        log.error("ingest found no room on the disk")
        uploads.fail(upload, str(_NO_ROOM))
        return
    uploads.empty_quarantine(upload)


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
        raise IngestError(
            _("Checking these files took too long. Send one study at a time.")
        ) from None
    except judging.BrokeDown as how:
        identifier = hashlib.sha256(upload.public_id.encode()).hexdigest()[:8]
        log.error("intake %s ended by %s", identifier, how)
        raise IngestError(
            _(
                "These files could not be checked: the site's reader does not work (log id "
                "%(id)s). Try again; if it happens again, tell your administrator the id."
            )
            % {"id": identifier}
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


def _understand_whole(upload: Upload, manifest: dict[str, Any], scratch: Path) -> None:
    """Where the trust holds images of a study already, sort them together with the new ones.

    A study comes in parts: its second half alone tells neither levels nor whole films.
    """
    verdicts = {entry["id"]: entry for entry in manifest["files"]}
    for number, found in enumerate(manifest["studies"]):
        new = {
            name for name in examinations.files_of(found) if verdicts.get(name, {}).get("accepted")
        }
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
            for name in sorted(new)
        ]
        whole = _understood(upload, {"files": files, "out": str(folder / "manifest.json")})
        for refused in whole.pop("refused"):
            verdicts[refused["id"]].update(accepted=False, reason=refused["reason"])
        found.update(whole)
        shutil.rmtree(folder)


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


def _understood(upload: Upload, request: dict[str, Any]) -> dict[str, Any]:
    """Let a limited child sort rebuilt images; gives what it wrote. Raises IngestError."""
    outcome = sandbox.run(
        "studies.dicom.understand",
        [],
        sandbox.Limits(
            memory_bytes=settings.INTAKE_MEMORY_BYTES,
            wall_seconds=settings.INTAKE_WALL_SECONDS,
            cpu_seconds=settings.INTAKE_WALL_SECONDS,
        ),
        stdin=json.dumps(request),
        keep_going=lambda: uploads.heartbeat(upload, upload.total),
    )
    if outcome.ended_by == "caller":
        raise _LostLease
    written = Path(request["out"])
    if outcome.returncode == 0 and written.exists():
        return json.loads(written.read_text())
    identifier = hashlib.sha256(upload.public_id.encode()).hexdigest()[:8]
    log.error("understanding %s ended by %s, %s", identifier, outcome.ended_by, outcome.returncode)
    raise IngestError(
        _(
            "These files could not be put together with those of this study that are here already "
            "(log id %(id)s). Try again; if it happens again, tell your administrator the id."
        )
        % {"id": identifier}
    )


#: Before the key of an image that the trust holds already; ids of new files never begin so.
_HELD = "held-"


def _store(upload: Upload, manifest: dict[str, Any], out: Path) -> None:
    verdicts = {entry["id"]: entry for entry in manifest["files"]}
    perfusion = [found for found in manifest["studies"] if examinations.is_usable(found)]
    with storage.Batch() as batch:
        keys = _write_new(upload, perfusion, verdicts, out, batch)
        with transaction.atomic():
            if not uploads.mine_locked(upload):
                raise _LostLease
            total = _settle_items(upload, manifest, perfusion, verdicts, keys)
            left_out = [one for found in manifest["studies"] for one in found["left_out"]]
            Upload.objects.filter(pk=upload.pk).update(left_out=left_out)
            if not perfusion:
                return _nothing_found(upload, total)
            studies = [_store_study(upload, found, verdicts, out, keys) for found in perfusion]
            upload.studies.set(studies)
            upload.refresh_from_db(fields=["answers"])
            for study in studies:
                record.from_upload(study, upload)
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


class _HeldChanged(Exception):
    """The trust holds other images of a study than those that it was understood with."""


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
        reason=_(
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
                first, _("It belongs to no perfusion series.")
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
    Study.objects.select_for_update().get(pk=study.pk)
    new = {
        verdicts[name]["sha256"]
        for name in examinations.files_of(found)
        if not name.startswith(_HELD)
    }
    held = study.files.filter(kind=StoredFile.Kind.SOURCE).exclude(sha256__in=new)
    if set(held.values_list("pk", flat=True)) != found["held"]:
        raise _HeldChanged
    identity.record(
        study,
        (
            json.loads((out / f"{file_id}.json").read_text())
            for file_id in dict.fromkeys(
                name
                for series in found["series"]
                for name in series["file_ids"]
                if not name.startswith(_HELD)
            )
        ),
    )
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

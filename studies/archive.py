"""Everything of a study, or its DICOM objects alone, as one ZIP, streamed while it is read."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterator
from io import BytesIO

from django.http import StreamingHttpResponse
from django.utils import timezone
from zipstream import ZIP_STORED, ZipStream

from accounts import audit
from accounts.models import User
from studies import access, corrections, offline
from studies.dicom.write.relink import Original, relinked
from studies.identity import Identity
from studies.intended_use import INTENDED_USE
from studies.models import Result, StoredFile, Study

_CHUNK = 256 * 1024


def stream(study: Study, result: Result | None, *, to: User) -> StreamingHttpResponse:
    """The rebuilt source images and the files of ``result``, with a manifest of their hashes."""
    access.require(to, "download", study)
    files = list(study.files.filter(result=None))
    if result is not None:
        # What the workspace draws is made of the arrays that are in it anyway.
        files += list(result.files.exclude(kind=StoredFile.Kind.FRAMES))
    audit.record(to, "study.download", study, files=len(files))
    root = f"corecmr-{study.reference}"
    # Stored, not deflated: films and pictures are compressed already, and it costs a reader time.
    archive = ZipStream(compress_type=ZIP_STORED)
    lines = []
    for stored in files:
        name = f"{root}/{stored}"
        archive.add(chunks(stored), name)
        lines.append({"path": str(stored), "size": stored.size, "sha256": stored.sha256})
    told = corrections.as_file(study)
    made = {} if told is None else {corrections.EXPORTED_AS: told}
    made[offline.INDEX] = offline.index_html(study, result, files)
    if result is not None:
        made[offline.SEGMENTS] = "".join(offline.segments_csv(result)).encode()
    for name, data in made.items():
        archive.add(data, f"{root}/{name}")
        digest = hashlib.sha256(data).hexdigest()
        lines.append({"path": name, "size": len(data), "sha256": digest})
    manifest = {
        "intended_use": INTENDED_USE,
        "reference": study.reference,
        "made_at": timezone.now().isoformat(timespec="seconds"),
        "engine": {"name": result.engine, "version": result.engine_version} if result else None,
        "files": lines,
    }
    archive.add(json.dumps(manifest, indent=1).encode(), f"{root}/manifest.json")
    response = StreamingHttpResponse(iter(archive), content_type="application/zip")
    response["Content-Disposition"] = f'attachment; filename="{root}.zip"'
    return response


def stream_objects(
    result: Result, *, to: User, identity: Identity | None = None
) -> StreamingHttpResponse:
    """The DICOM objects of ``result``: pseudonymous, or under the identity of their archive.

    Each object is a file of its own, whichever way it is stored.
    """
    study, original = result.study, None if identity is None else _original(identity)
    files = list(result.files.filter(kind=StoredFile.Kind.OBJECTS))
    verb = "objects.download" if original is None else "objects.download_identified"
    audit.record(to, verb, study, files=len(files))
    root = f"corecmr-{study.reference}-dicom{'' if original is None else '-for-archive'}"

    response = StreamingHttpResponse(
        _zipped_objects(files, root, original), content_type="application/zip"
    )
    response["Content-Disposition"] = f'attachment; filename="{root}.zip"'
    return response


def _zipped_objects(
    files: list[StoredFile], root: str, original: Original | None
) -> Iterator[bytes]:
    """Only one slice's objects are in memory at a time."""
    archive = ZipStream(compress_type=ZIP_STORED)
    for stored in files:
        for name, data in objects_of(stored):
            told = data if original is None else relinked(data, original)
            archive.add(told, f"{root}/{name}")
            yield from archive.all_files()
    yield from archive.finalize()


def objects_of(stored: StoredFile) -> Iterator[tuple[str, bytes]]:
    """Names and bytes of the objects in a stored file."""
    data = b"".join(chunks(stored))
    if not zipfile.is_zipfile(BytesIO(data)):
        yield str(stored), data
        return
    with zipfile.ZipFile(BytesIO(data)) as pack:
        for name in pack.namelist():
            yield f"{stored.folder}/{name}", pack.read(name)


def _original(identity: Identity) -> Original:
    patient, study = identity.patient, identity.study
    told = {
        "PatientName": patient.get("name"),
        "PatientID": patient.get("number"),
        "IssuerOfPatientID": patient.get("issuer"),
        "PatientBirthDate": patient.get("birth_date"),
        "PatientSex": patient.get("sex"),
        "AccessionNumber": study.get("accession_number"),
        "StudyID": study.get("id"),
        "StudyDate": study.get("date"),
        "StudyTime": study.get("time"),
    }
    return Original(study["uid"], identity.uids, {k: v for k, v in told.items() if v})


def chunks(stored: StoredFile) -> Iterator[bytes]:
    """The bytes of a file; a file that changed in storage breaks the download off."""
    digest = hashlib.sha256()
    with stored.file.open("rb") as handle:
        while chunk := handle.read(_CHUNK):
            digest.update(chunk)
            yield chunk
    if digest.hexdigest() != stored.sha256:
        raise OSError(f"stored file {stored.public_id} is not what was stored")

"""Everything of a study as one ZIP, streamed while it is read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator

from django.http import StreamingHttpResponse
from django.utils import timezone
from zipstream import ZIP_STORED, ZipStream

from accounts import audit
from accounts.models import User
from studies import access
from studies.intended_use import INTENDED_USE
from studies.models import Result, StoredFile, Study

_CHUNK = 256 * 1024


def stream(study: Study, result: Result | None, *, to: User) -> StreamingHttpResponse:
    """The rebuilt source images and the files of ``result``, with a manifest of their hashes."""
    access.require(to, "download", study)
    files = list(study.files.filter(result=None))
    if result is not None:
        files += list(result.files.all())
    audit.record(to, "study.download", study, files=len(files))
    root = f"corecmr-{study.reference}"
    # Stored, not deflated: films and pictures are compressed already, and it costs a reader time.
    archive = ZipStream(compress_type=ZIP_STORED)
    lines = []
    for stored in files:
        name = f"{root}/{stored}"
        archive.add(_chunks(stored), name)
        lines.append({"path": str(stored), "size": stored.size, "sha256": stored.sha256})
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


def _chunks(stored: StoredFile) -> Iterator[bytes]:
    """The bytes of a file; a file that changed in storage breaks the download off."""
    digest = hashlib.sha256()
    with stored.file.open("rb") as handle:
        while chunk := handle.read(_CHUNK):
            digest.update(chunk)
            yield chunk
    if digest.hexdigest() != stored.sha256:
        raise OSError(f"stored file {stored.public_id} is not what was stored")

"""Ten uploads of 300 MB at once, in pieces, while readers go on reading.

Nothing may be lost: what lies in quarantine is what was sent, byte for byte. What it costs a web
process is told by how far its memory grows at its peak.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import os
import random
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from scripts.bench.table import Figure
from scripts.drill.database import scene
from scripts.drill.load_readers import OPTIONS, Told, read, signed_in
from scripts.drill.memory import growth
from scripts.drill.served import served

UPLOADS, FILES_EACH, FILE_BYTES = 10, 2, 150 * 1024**2
PIECE_BYTES = 8 * 1024**2
READERS = 10
MOST_GROWTH_MB = 64
#: Readers are asked for as long as files come.
_LONGEST_SECONDS = 900.0


@dataclass
class Sent:
    """What went out: by upload, the SHA-256 of each file; and what was not taken."""

    hashes: dict[str, list[str]] = field(default_factory=dict)
    refused: list[int] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


def measure(said: Callable[[str], None]) -> Iterator[Figure]:
    each = int(os.environ.get("DRILL_FILE_MB", str(FILE_BYTES // 1024**2))) * 1024**2
    with scene():
        from django.conf import settings
        from django.db import connection

        from tests.people import make_result, make_study, make_trust, make_user

        trust = make_trust("Drill Trust")
        people = [make_user(trust) for _ in range(UPLOADS + READERS)]
        studies = [make_study(trust) for _ in range(20)]
        for study in studies:
            make_result(study, summed=True)
        cookies = [signed_in(person) for person in people]
        uploads = [_begun(person) for person in people[:UPLOADS]]
        name = str(connection.settings_dict["NAME"])
        with served(name, *OPTIONS, CORECMR_VAR_DIR=str(settings.VAR_DIR)) as (port, web):
            address = ("127.0.0.1", port)
            read(address, cookies[UPLOADS:], [s.public_id for s in studies], 5)  # each is warm
            said(f"{UPLOADS} uploads of {FILES_EACH * each // 1024**2} MB")
            with growth(web) as grown:
                sent, told, seconds = _all_at_once(
                    address, uploads, cookies, [s.public_id for s in studies], each
                )
        lost = _lost(sent)
    where = f"{UPLOADS} × {FILES_EACH * each // 1024**2} MB, {seconds:.0f} s"
    yield Figure("files lost or differing", where, lost, reach=0)
    yield Figure("pieces that were refused", where, len(sent.refused), reach=0)
    yield Figure(
        "a web process grew by, MB", where, max(grown.values()) / 1024**2, reach=MOST_GROWTH_MB
    )
    pages = f"{READERS} readers, {len(told.seconds)} pages"
    yield Figure("answers that are errors", pages, told.errors, reach=0)
    yield Figure(
        "page p95 meanwhile, ms", pages, 1000 * told.percentile(0.95),
        note=f"median {1000 * told.percentile(0.5):.0f}",
    )  # fmt: skip


def _begun(person: Any) -> str:
    from studies import uploads

    return uploads.start(person).public_id


def _all_at_once(
    address: Any, uploads: list[str], cookies: list[str], studies: list[str], each: int
) -> tuple[Sent, Told, float]:
    sent, told = Sent(), Told()
    senders = [
        threading.Thread(target=_send, args=(address, upload, cookie, number, each, sent))
        for number, (upload, cookie) in enumerate(zip(uploads, cookies, strict=False))
    ]
    done = threading.Event()
    reader = threading.Thread(
        target=lambda: read(
            address, cookies[UPLOADS:], studies, _LONGEST_SECONDS, into=told, until=done
        )
    )
    begun = time.monotonic()
    for thread in [*senders, reader]:
        thread.start()
    for thread in senders:
        thread.join()
    seconds = time.monotonic() - begun
    done.set()
    reader.join()
    return sent, told, seconds


def _send(
    address: Any, upload: str, cookie: str, number: int, each: int, sent: Sent
) -> None:  # fmt: skip
    """The files of one upload, one after the other, each piece in a request with its hash."""
    token = secrets.token_hex(16)
    shared = {
        "Cookie": f"{cookie}; csrftoken={token}", "X-CSRFToken": token, "Tus-Resumable": "1.0.0",
    }  # fmt: skip
    draw = random.Random(number)  # noqa: S311  (a drill that can be done again)
    connection = http.client.HTTPConnection(*address, timeout=300)
    for index in range(FILES_EACH):
        whole, at = hashlib.sha256(), 0
        name = base64.b64encode(f"IM_{index:04d}".encode()).decode()
        status, headers = _ask(connection, "POST", f"/uploads/{upload}/parts/", b"", {
            **shared, "Upload-Length": str(each), "Upload-Metadata": f"filename {name}",
        })  # fmt: skip
        if status != 201:
            with sent.lock:
                sent.refused.append(status)
            return
        url = headers["Location"]
        while at < each:
            piece = draw.randbytes(min(PIECE_BYTES, each - at))
            whole.update(piece)
            digest = base64.b64encode(hashlib.sha256(piece).digest()).decode()
            status, _headers = _ask(connection, "PATCH", url, piece, {
                **shared, "Upload-Offset": str(at), "Upload-Checksum": f"sha256 {digest}",
                "Content-Type": "application/offset+octet-stream",
            })  # fmt: skip
            if status != 204:
                with sent.lock:
                    sent.refused.append(status)
                return
            at += len(piece)
        with sent.lock:
            sent.hashes.setdefault(upload, []).append(whole.hexdigest())
    connection.close()


def _ask(
    connection: http.client.HTTPConnection, method: str, url: str, body: bytes, headers: Any
) -> tuple[int, Any]:
    connection.request(method, url, body=body, headers=headers)
    answer = connection.getresponse()
    answer.read()
    return answer.status, answer.headers


def _lost(sent: Sent) -> int:
    """Files that do not lie in quarantine as they were sent."""
    from django.core.files.storage import storages

    from studies.models import UploadItem

    wrong = UPLOADS * FILES_EACH - sum(map(len, sent.hashes.values()))
    for upload, hashes in sent.hashes.items():
        held = []
        for item in UploadItem.objects.filter(upload__public_id=upload):
            with storages["quarantine"].open(item.key) as stored:
                found = hashlib.file_digest(stored, "sha256").hexdigest()
            held.append(found)
            wrong += found != item.sha256
        wrong += len(set(hashes) - set(held))
    return wrong

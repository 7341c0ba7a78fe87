"""The one way for stored bytes to leave: permission, record, and headers that keep them inert."""

from __future__ import annotations

import re
from collections.abc import Iterator
from io import BytesIO
from typing import IO

from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.utils.http import http_date, parse_http_date_safe, quote_etag

from accounts import audit
from accounts.models import User
from accounts.person import person
from studies import access
from studies.models import StoredFile

_RANGE = re.compile(r"bytes=(\d*)-(\d*)$")
_CHUNK = 256 * 1024
#: Shown in the page, by type or by name; all else is a download.
_INLINE = frozenset({"image/png", "video/mp4", "application/x-corecmr-frames"})
_INLINE_NAMES = frozenset({"curves.json"})


def serve(request: HttpRequest, public_id: str) -> HttpResponse:
    """Answer with a stored file, whole or in part, to a person who may have it."""
    stored = StoredFile.objects.select_related("study").filter(public_id=public_id).first()
    if stored is None:
        raise Http404
    shown = stored.content_type in _INLINE or stored.name in _INLINE_NAMES
    inline = shown and "download" not in request.GET
    access.require(person(request), "see" if inline else "download", stored.study)
    if request.GET.get("as") == "jpeg" and stored.content_type == "image/png":
        return _as_jpeg(request, stored)
    etag = quote_etag(stored.sha256)
    if request.headers.get("If-None-Match") == etag:
        # No byte goes out, but the person looks at the copy that the browser kept.
        audit.record_once(person(request), _verb(inline), stored, kind=stored.kind)
        response: HttpResponse = HttpResponse(status=304)
        return _headers(response, stored, etag, inline)
    part = _asked_part(request, stored, etag)
    if part is not None and not part:
        response = HttpResponse(status=416)
        response["Content-Range"] = f"bytes */{stored.size}"
        return _headers(response, stored, etag, inline)
    wanted = part or range(stored.size)
    status = 200 if part is None else 206
    _record(person(request), _verb(inline), stored, wanted)
    if request.method == "HEAD":
        response = HttpResponse(status=status)
    else:
        # Opened before the first byte goes out: a lost file is an error page, not half a film.
        part_of_file = _Part(stored.file.open("rb"), wanted)
        response = StreamingHttpResponse(part_of_file, status=status)  # type: ignore[assignment]
    response["Content-Length"] = str(len(wanted))
    if part is not None:
        response["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{stored.size}"
    return _headers(response, stored, etag, inline)


def _as_jpeg(request: HttpRequest, stored: StoredFile) -> HttpResponse:
    """A picture for programs and slides that take no PNG; always a download."""
    from PIL import Image  # only here: the site's processes need it for nothing else

    access.require(person(request), "download", stored.study)
    _record(person(request), _verb(inline=False), stored, range(stored.size))
    with stored.file.open("rb") as handle, Image.open(handle) as picture:
        made = BytesIO()
        picture.convert("RGB").save(made, "JPEG", quality=92)
    response = HttpResponse(made.getvalue())
    etag = quote_etag(f"{stored.sha256}-jpeg")
    response = _headers(response, stored, etag, inline=False)
    response["Content-Type"] = "image/jpeg"
    response["Content-Disposition"] = response["Content-Disposition"].replace(".png", ".jpg")
    response["Accept-Ranges"] = "none"
    return response


def _verb(inline: bool) -> str:
    return "file.view" if inline else "file.download"


def _record(user: User, verb: str, stored: StoredFile, wanted: range) -> None:
    """A film is fetched in many parts: its start is the viewing, a later part belongs to one."""
    record = audit.record if wanted.start == 0 else audit.record_once
    record(user, verb, stored, kind=stored.kind)


def _asked_part(request: HttpRequest, stored: StoredFile, etag: str) -> range | None:
    """The bytes asked for, empty if there are none such; ``None`` where the whole file is due.

    The whole is due when no single range is asked for, or when the asker's copy is stale.
    """
    asked = _RANGE.match(request.headers.get("Range", ""))
    if asked is None or not any(asked.groups()):
        return None
    if_range = request.headers.get("If-Range")
    if if_range is not None and if_range != etag:
        modified = parse_http_date_safe(if_range)
        if modified is None or modified < int(stored.created_at.timestamp()):
            return None
    first, final = asked.groups()
    if not first:
        return range(max(0, stored.size - int(final)), stored.size)
    return range(int(first), min(int(final) + 1, stored.size) if final else stored.size)


class _Part:
    """Some bytes of an open file, in chunks; the file is closed with the answer, read or not."""

    def __init__(self, handle: IO[bytes], wanted: range) -> None:
        self._handle, self._wanted = handle, wanted
        self.close = handle.close

    def __iter__(self) -> Iterator[bytes]:
        self._handle.seek(self._wanted.start)
        left = len(self._wanted)
        while left > 0 and (chunk := self._handle.read(min(_CHUNK, left))):
            left -= len(chunk)
            yield chunk
        self.close()


def _headers(response: HttpResponse, stored: StoredFile, etag: str, inline: bool) -> HttpResponse:
    """Our own name, no sniffing, and a policy under which nothing in the file can run."""
    kind = "inline" if inline else "attachment"
    name = f"{stored.study.reference}-{stored.folder}-{stored.name}".replace("--", "-")
    safe = re.sub(r"[^A-Za-z0-9._-]", "_", name)
    response["Content-Disposition"] = f'{kind}; filename="{safe}"'
    response["Content-Type"] = stored.content_type
    response["Accept-Ranges"] = "bytes"
    response["ETag"] = etag
    response["Last-Modified"] = http_date(stored.created_at.timestamp())
    response["Cache-Control"] = "private, no-cache"
    response["Content-Security-Policy"] = "default-src 'none'; sandbox"
    response["X-Content-Type-Options"] = "nosniff"
    return response

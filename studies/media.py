"""The one way for stored bytes to leave: permission, record, and headers that keep them inert."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import IO

from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.utils.http import http_date, parse_http_date_safe, quote_etag

from accounts import audit
from studies import access
from studies.models import StoredFile

_RANGE = re.compile(r"bytes=(\d*)-(\d*)$")
_CHUNK = 256 * 1024
#: Shown in the page; all else is a download.
_INLINE = frozenset({"image/png", "video/mp4"})


def serve(request: HttpRequest, public_id: str) -> HttpResponse:
    """Answer with a stored file, whole or in part, to a person who may have it."""
    stored = StoredFile.objects.select_related("study").filter(public_id=public_id).first()
    if stored is None:
        raise Http404
    inline = stored.content_type in _INLINE and "download" not in request.GET
    access.require(request.user, "see" if inline else "download", stored.study)  # type: ignore[arg-type]
    etag = quote_etag(stored.sha256)
    if request.headers.get("If-None-Match") == etag:
        response: HttpResponse = HttpResponse(status=304)
        return _headers(response, stored, etag, inline)
    start, end = _asked_range(request, stored, etag)
    if start is None:
        response = HttpResponse(status=416)
        response["Content-Range"] = f"bytes */{stored.size}"
        return _headers(response, stored, etag, inline)
    whole = (start, end) == (0, stored.size - 1) and "Range" not in request.headers
    if start == 0:
        # A film is fetched in many parts; the first one is the viewing.
        audit.record(
            request.user, "file.view" if inline else "file.download", stored, kind=stored.kind
        )
    length = end - start + 1
    if request.method == "HEAD":
        response = HttpResponse(status=200 if whole else 206)
    else:
        handle = stored.file.open("rb")
        response = StreamingHttpResponse(  # type: ignore[assignment]
            _part(handle, start, length), status=200 if whole else 206
        )
    response["Content-Length"] = str(length)
    if not whole:
        response["Content-Range"] = f"bytes {start}-{end}/{stored.size}"
    return _headers(response, stored, etag, inline)


def _asked_range(request: HttpRequest, stored: StoredFile, etag: str) -> tuple[int | None, int]:
    """First and last byte asked for; the whole file where no range is asked, or it is stale."""
    last = stored.size - 1
    asked = _RANGE.match(request.headers.get("Range", ""))
    if asked is None or not any(asked.groups()) or stored.size == 0:
        return 0, last
    if_range = request.headers.get("If-Range")
    if if_range is not None and if_range != etag:
        modified = parse_http_date_safe(if_range)
        if modified is None or modified < int(stored.created_at.timestamp()):
            return 0, last
    first, final = asked.groups()
    if not first:
        return max(0, stored.size - int(final)), last
    start = int(first)
    end = min(int(final), last) if final else last
    return (start, end) if start <= end else (None, last)


def _part(handle: IO[bytes], start: int, length: int) -> Iterator[bytes]:
    with handle:
        handle.seek(start)
        while length > 0:
            chunk = handle.read(min(_CHUNK, length))
            if not chunk:
                return
            length -= len(chunk)
            yield chunk


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

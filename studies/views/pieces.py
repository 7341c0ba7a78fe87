"""Files that come in pieces: the tus protocol 1.0, https://tus.io/protocols/resumable-upload.

Core, creation, checksum, expiration and termination. Each answer comes to the sender alone;
others meet the same 404 as at nobody's.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse, UnreadablePostError
from django.urls import reverse
from django.utils import timezone
from django.utils.http import http_date
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from accounts.person import person
from studies import pieces, uploads
from studies.models import UploadPart
from studies.refusals import UploadError

VERSION = "1.0.0"
EXTENSIONS = "creation,checksum,expiration,termination"
CHECKSUMS = ("sha256", "sha1")
#: No web thread is to be held for long: larger files come in several requests.
MOST_A_REQUEST = 64 * 1024**2
#: A sender whose line is dead gives up its place after this, and may come again.
SILENCE_SECONDS = 30.0
_FINGERPRINT = re.compile(r"[0-9a-f]{64}|")
_MOST_MEMBERS = 10_000

View = Callable[..., HttpResponse]


class _Answer(Exception):
    """An answer other than success."""

    def __init__(self, status: int, message: str, **headers: str) -> None:
        super().__init__(message)
        self.response = _refusal(status, message)
        for name, value in headers.items():
            self.response[name.replace("_", "-")] = value


def _refusal(status: int, message: str) -> HttpResponse:
    reason = "Checksum Mismatch" if status == 460 else None
    said = {"error": "upload_refused", "message": message}
    return JsonResponse(said, status=status, reason=reason)


def _tus(view: View) -> View:
    """Speak version 1.0.0 and no other; errors become their statuses."""

    @wraps(view)
    def speak(request: HttpRequest, **arguments: Any) -> HttpResponse:
        if request.method != "OPTIONS" and request.headers.get("Tus-Resumable") != VERSION:
            response = _refusal(412, _("This site speaks tus 1.0.0 only."))
            response["Tus-Version"] = VERSION
            return response
        try:
            response = view(request, **arguments)
        except _Answer as answer:
            response = answer.response
        except UploadError as error:
            response = _refusal(error.status, str(error))
        except pieces.Busy:
            response = _refusal(423, _("Another window is sending this file. Try again shortly."))
        except pieces.WrongOffset:
            response = _refusal(409, _("This piece does not go on where the last one ended."))
        except pieces.Damaged:
            response = _refusal(460, _("This piece was damaged on its way. Send it again."))
        except pieces.DiskFull:
            response = _refusal(507, str(uploads.DISK_FULL))
        except pieces.Gone:
            raise Http404 from None
        response["Tus-Resumable"] = VERSION
        return response

    return speak


@require_http_methods(["OPTIONS", "POST"])
@_tus
def create(request: HttpRequest, public_id: str) -> HttpResponse:
    """Announce a file; what it is called stands in Upload-Metadata."""
    upload = uploads.own_or_404(person(request), public_id)
    if request.method == "OPTIONS":
        return _options()
    if "Upload-Defer-Length" in request.headers:
        raise _Answer(400, _("The size of a file must be known when it is announced."))
    size = _number(request, "Upload-Length")
    if size > settings.UPLOAD_MAX_TOTAL_BYTES:
        raise _Answer(
            413,
            _("One upload may hold %(mb)s MB. Send one study at a time.")
            % {"mb": settings.UPLOAD_MAX_TOTAL_BYTES // 1024**2},
        )
    told = _metadata(request.headers.get("Upload-Metadata", ""))
    fingerprint, members = told.get("fingerprint", ""), told.get("members", "1")
    if not _FINGERPRINT.fullmatch(fingerprint):
        raise _Answer(400, _("The fingerprint of a file has 64 hexadecimal digits."))
    if not members.isdecimal() or not 1 <= int(members) <= _MOST_MEMBERS:
        raise _Answer(400, _("The number of files in a packet makes no sense."))
    part = uploads.expect(
        upload, name=told.get("filename", ""), size=size, members=int(members),
        fingerprint=fingerprint,
    )  # fmt: skip
    response = HttpResponse(status=201)
    response["Location"] = reverse("upload_part", args=[public_id, part.public_id])
    return _expires(response, part)


@require_http_methods(["OPTIONS", "HEAD", "PATCH", "DELETE", "POST"])
@_tus
def part(request: HttpRequest, public_id: str, part_id: str) -> HttpResponse:
    """One file: how far it is, its next piece, or an end to it."""
    upload = uploads.own_or_404(person(request), public_id)
    found = upload.parts.filter(public_id=part_id).first()
    if found is None:
        raise Http404
    method = request.method
    if method == "POST":
        # For networks that let no other method through.
        method = request.headers.get("X-HTTP-Method-Override", "").upper()
    if method == "OPTIONS":
        return _options()
    if method == "HEAD":
        return _head(found)
    if method == "PATCH":
        return _patch(request, found)
    if method == "DELETE":
        uploads.take_back(found)
        return HttpResponse(status=204)
    raise _Answer(405, _("This is no way to send a file."))


def _options() -> HttpResponse:
    response = HttpResponse(status=204)
    response["Tus-Version"] = VERSION
    response["Tus-Extension"] = EXTENSIONS
    response["Tus-Max-Size"] = str(settings.UPLOAD_MAX_TOTAL_BYTES)
    response["Tus-Checksum-Algorithm"] = ",".join(CHECKSUMS)
    return response


def _head(part: UploadPart) -> HttpResponse:
    offset = part.size if part.item_id else pieces.size(part.key)
    if offset == part.size:
        # The process may have died between the last byte and the row.
        uploads.finish(part)
    response = HttpResponse()
    response["Upload-Offset"] = str(offset)
    response["Upload-Length"] = str(part.size)
    response["Upload-Metadata"] = _told(part)
    response["Cache-Control"] = "no-store"
    return _expires(response, part)


def _patch(request: HttpRequest, part: UploadPart) -> HttpResponse:
    if request.content_type != "application/offset+octet-stream":
        raise _Answer(415, _("A piece of a file comes as application/offset+octet-stream."))
    at = _number(request, "Upload-Offset")
    if "Content-Length" not in request.headers or not request.headers["Content-Length"].isdecimal():
        raise _Answer(411, _("The size of a piece must be known when it is sent."))
    comes = int(request.headers["Content-Length"])
    if comes > MOST_A_REQUEST:
        raise _Answer(
            413,
            _("One piece may hold %(mb)s MB. Send the file in several.")
            % {"mb": MOST_A_REQUEST // 1024**2},
        )
    if at + comes > part.size:
        raise _Answer(413, _("This piece goes beyond the end of the file that was announced."))
    digest = _checksum(request.headers.get("Upload-Checksum", ""))
    if part.item_id is not None:
        if at != part.size:
            raise pieces.WrongOffset
        offset = part.size
    else:
        with _impatient(request):
            offset = uploads.add_piece(part, _incoming(request, comes), at=at, digest=digest)
    response = HttpResponse(status=204)
    response["Upload-Offset"] = str(offset)
    return _expires(response, part)


def _incoming(request: HttpRequest, comes: int) -> Iterator[bytes]:
    """The request's body, a mebibyte at a time; ends early where the sender went away."""
    while comes > 0:
        try:
            piece = request.read(min(pieces.PIECE_BYTES, comes))
        except (UnreadablePostError, TimeoutError):
            return
        if not piece:
            return
        comes -= len(piece)
        yield piece


@contextmanager
def _impatient(request: HttpRequest) -> Iterator[None]:
    """Do not wait for ever on a line that died without a word, holding the file meanwhile.

    gunicorn's threads know no time limit of their own, but give us their socket.
    """
    socket = request.META.get("gunicorn.socket")
    if socket is None:
        yield
        return
    before = socket.gettimeout()
    socket.settimeout(SILENCE_SECONDS)
    try:
        yield
    finally:
        socket.settimeout(before)


def _number(request: HttpRequest, name: str) -> int:
    value = request.headers.get(name, "")
    if not re.fullmatch(r"[0-9]{1,18}", value):
        raise _Answer(400, _("%(header)s must be a number of bytes.") % {"header": name})
    return int(value)


def _metadata(header: str) -> dict[str, str]:
    told: dict[str, str] = {}
    for pair in header.split(","):
        name, _space, value = pair.strip().partition(" ")
        if name:
            try:
                told[name] = base64.b64decode(value, validate=True).decode()
            except (binascii.Error, UnicodeDecodeError):
                raise _Answer(400, _("Upload-Metadata cannot be read.")) from None
    return told


def _told(part: UploadPart) -> str:
    told = {"filename": part.name, "members": str(part.members), "fingerprint": part.fingerprint}
    return ",".join(
        f"{name} {base64.b64encode(value.encode()).decode()}".strip()
        for name, value in told.items()
    )


def _checksum(header: str) -> tuple[str, bytes] | None:
    if not header:
        return None
    name, _space, value = header.partition(" ")
    try:
        digest = base64.b64decode(value, validate=True)
    except binascii.Error:
        digest = b""
    if name not in CHECKSUMS or not digest:
        raise _Answer(400, _("The checksum must be of SHA-256 or SHA-1."))
    return name, digest


def _expires(response: HttpResponse, part: UploadPart) -> HttpResponse:
    if part.item_id is None:
        until = timezone.now() + uploads.RECEIVING_EXPIRES
        response["Upload-Expires"] = http_date(until.timestamp())
    return response

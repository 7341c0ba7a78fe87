"""The way in: every upload, from whichever door, is started, filled and completed here."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from io import FileIO
from pathlib import PurePosixPath
from typing import Any

from django.conf import settings
from django.core.files import File
from django.db import connection, transaction
from django.db.models import Exists, F, OuterRef, QuerySet, Sum
from django.db.models.functions import Now
from django.http import Http404
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts import audit
from accounts.models import User
from corecmr.queue import enqueue
from studies import pieces, quota, storage
from studies.models import Upload, UploadItem, UploadPart
from studies.refusals import NoRoom, TooLarge, UploadError

#: While a worker checks an upload it renews this lease; a lapsed one is taken up again.
#: A waiting upload whose message may have been lost is rung again after this.
RING_AGAIN = timedelta(seconds=30)
LEASE = timedelta(seconds=60)
MOST_ATTEMPTS = 3
#: An upload whose sender has been silent for so long is cleared away.
RECEIVING_EXPIRES = timedelta(days=1)
#: A question that is not answered for so long is taken as "keep nothing".
ANSWER_EXPIRES = timedelta(days=1)
NO_ANSWER = gettext_lazy(
    "You were asked which examinations to keep and did not answer within a day, so nothing was "
    "stored. Send the files again if you need them."
)
DISK_FULL = gettext_lazy(
    "The site's disk is full, so nothing more can be taken. What has arrived is kept. Tell your "
    "administrator, and try again later."
)


def own_or_404(user: User, public_id: str) -> Upload:
    """An upload is its sender's until it is a study; others meet the same 404 as at nobody's."""
    upload = Upload.objects.filter(public_id=public_id, user=user).first()
    if upload is None or not user.can("upload"):
        raise Http404
    return upload


@transaction.atomic
def start(user: User, *, manifest: str = "") -> Upload:
    """Open an upload for the person's trust.

    With the ``manifest`` of one that was interrupted, that one is given again.
    """
    if not user.can("upload") or user.trust is None:
        raise UploadError(_("Your account may not upload studies. Ask your administrator."))
    quota.lock(user.trust.pk)
    if manifest:
        interrupted = user.uploads.filter(
            state=Upload.State.RECEIVING, trust=user.trust, manifest=manifest
        ).first()
        if interrupted is not None:
            return interrupted
    quota.require_upload(user.pk, user.trust.pk)
    upload = Upload.objects.create(user=user, trust=user.trust, manifest=manifest)
    audit.record(user, "upload.start", upload)
    return upload


def add_files(upload: Upload, files: Iterable[tuple[str, File]]) -> int:
    """Put files, given as (name, content), into quarantine; gives how many the upload holds.

    A file that comes again (a retried request) is counted once.
    """
    _require_receiving(upload)
    for name, content in files:
        shown, size = shown_name(name), content.size or 0
        if not _is_archive(content):
            _require_file_size(shown, size)
        _require_total(upload, size)
        quota.require_bytes(upload, size)
        try:
            key, size, sha256 = storage.quarantine_write(content)
        except OSError as error:
            if storage.is_full(error):
                raise NoRoom(DISK_FULL) from None
            raise
        try:
            kept = _add_item(upload, name=shown, key=key, size=size, sha256=sha256)
        except Exception:
            storage.quarantine_delete([key])
            raise
        if not kept:
            storage.quarantine_delete([key])
    return file_count(upload)


@transaction.atomic
def _add_item(upload: Upload, *, name: str, key: str, size: int, sha256: str) -> bool:
    """The row of a file that lies in quarantine; False if the upload holds the same already."""
    quota.lock(upload.trust_id)
    _require_receiving(Upload.objects.select_for_update().get(pk=upload.pk))
    if any(item.name == name for item in upload.items.filter(sha256=sha256)):
        return False
    _require_total(upload, size)
    quota.require_bytes(upload, size)
    UploadItem.objects.create(upload=upload, name=name, key=key, size=size, sha256=sha256)
    return True


def expect(
    upload: Upload, *, name: str, size: int, members: int = 1, fingerprint: str = ""
) -> UploadPart:
    """Announce a file that will come in pieces: room is kept for it.

    An announcement that comes again, by its fingerprint, gives the same part. ``members`` says
    how many files the sender packed into it.
    """
    shown = shown_name(name)
    if members == 1 and not shown.lower().endswith(".zip"):
        _require_file_size(shown, size)
    try:
        key = pieces.new()
    except pieces.DiskFull:
        raise NoRoom(DISK_FULL) from None
    try:
        part = _announce(
            upload, name=shown, key=key, size=size, members=members, fingerprint=fingerprint
        )
    except Exception:
        pieces.drop([key])
        raise
    if part.key != key:
        pieces.drop([key])
    if size == 0:
        finish(part)
    return part


@transaction.atomic
def _announce(upload: Upload, *, size: int, fingerprint: str, **fields: Any) -> UploadPart:
    quota.lock(upload.trust_id)
    locked = Upload.objects.select_for_update().get(pk=upload.pk)
    _require_receiving(locked)
    announced = locked.parts.filter(fingerprint=fingerprint).first() if fingerprint else None
    if announced is not None and announced.size == size:
        return announced
    if announced is not None:
        fingerprint = ""  # another file with the digest of this one: it is told apart by its bytes
    _require_total(locked, size)
    quota.require_bytes(locked, size)
    return UploadPart.objects.create(upload=locked, size=size, fingerprint=fingerprint, **fields)


def add_piece(
    part: UploadPart, bytes_: Iterable[bytes], *, at: int, digest: tuple[str, bytes] | None = None
) -> int:
    """Add to a file that comes in pieces; gives how far it is. The last piece finishes it.

    Raises the exceptions of ``pieces``.
    """
    size = pieces.add(part.key, bytes_, at=at, digest=digest)
    UploadPart.objects.filter(pk=part.pk).update(touched_at=Now())
    if size == part.size:
        finish(part)
    return size


def finish(part: UploadPart) -> None:
    """All bytes of a part are there: it becomes a file of the upload. Doing it twice is one."""
    if part.item_id is not None:
        return
    with pieces.whole(part.key) as handle:
        if part.members > 1 and _files_inside(handle) != part.members:
            _drop_part(part)
            raise UploadError(
                _("A packet of files arrived damaged and was thrown away. Send the folder again.")
            )
        if part.size > settings.UPLOAD_MAX_FILE_BYTES and not _is_archive(handle):
            _drop_part(part)
            _require_file_size(part.name, part.size)
        sha256 = pieces.sha256(handle)
        pieces.settle(part.key)
        with transaction.atomic():
            Upload.objects.select_for_update().get(pk=part.upload_id)
            again = UploadPart.objects.get(pk=part.pk)
            if again.item_id is None:
                again.item = UploadItem.objects.create(
                    upload_id=part.upload_id, name=part.name, key=part.key, size=part.size,
                    sha256=sha256, holds=part.members,
                )  # fmt: skip
                again.name = ""  # the item has it, and forgets it when it may
                again.save(update_fields=["item", "name"])
    part.refresh_from_db()


def take_back(part: UploadPart) -> None:
    """The sender does not want this file sent: row and bytes go."""
    with transaction.atomic():
        locked = Upload.objects.select_for_update().get(pk=part.upload_id)
        _require_receiving(locked)
        _drop_part(part)


def _drop_part(part: UploadPart) -> None:
    if part.item is not None:
        part.item.delete()  # and the part with it
    part.delete()
    pieces.drop([part.key])


def _files_inside(handle: FileIO) -> int:
    """How many files a plain ZIP says it holds, by the 22 bytes that end it; 0 if it is none."""
    if handle.seek(0, 2) < 22:
        return 0
    handle.seek(-22, 2)
    end = handle.read(22)
    return int.from_bytes(end[10:12], "little") if end[:4] == b"PK\x05\x06" else 0


def _is_archive(content: File | FileIO) -> bool:
    """An archive may be as large as an upload: its files are told apart when it is checked."""
    content.seek(0)
    start = content.read(4)
    content.seek(0)
    return start in {b"PK\x03\x04", b"PK\x05\x06"}


def shown_name(name: str) -> str:
    """The file's own name, as the person knows it."""
    return PurePosixPath(name.replace("\\", "/")).name[:255] or _("file without a name")


def file_count(upload: Upload) -> int:
    """Files that have arrived, those in packets among them."""
    return upload.items.filter(parent=None).aggregate(total=Sum("holds"))["total"] or 0


def _require_receiving(upload: Upload) -> None:
    if upload.state != Upload.State.RECEIVING:
        raise UploadError(_("This upload is complete. Start a new one for more files."))


def _require_file_size(shown: str, size: int) -> None:
    if size > settings.UPLOAD_MAX_FILE_BYTES:
        raise TooLarge(
            _("%(name)s is larger than %(mb)s MB. Leave it out and send the rest again.")
            % {"name": shown, "mb": settings.UPLOAD_MAX_FILE_BYTES // 1024**2}
        )


def _require_total(upload: Upload, more: int) -> None:
    if quota.held(Upload.objects.filter(pk=upload.pk)) + more > settings.UPLOAD_MAX_TOTAL_BYTES:
        raise TooLarge(
            _("One upload may hold %(mb)s MB. Send one study at a time.")
            % {"mb": settings.UPLOAD_MAX_TOTAL_BYTES // 1024**2}
        )


def complete(upload: Upload, *, sent: int | None = None, keep_all: bool = False) -> int:
    """All files are here: ring the check in the same transaction. Doing it twice is one.

    Gives how many files the upload holds; with ``sent`` it must be as many as were sent.
    ``keep_all`` stores every examination without asking: for archives that hold many.
    """
    with transaction.atomic():
        locked = Upload.objects.select_for_update().get(pk=upload.pk)
        if locked.state != Upload.State.RECEIVING:
            return locked.total
        received = file_count(locked)
        if locked.parts.filter(item=None).exists():
            raise UploadError(
                _("Some files are still on their way. Wait until all are sent, and try again.")
            )
        if received == 0:
            raise UploadError(
                _("No file was sent. Choose the folder that holds the study's images.")
            )
        if sent is not None and sent != received:
            raise UploadError(
                _("%(sent)s files were sent but %(received)s arrived. Send the folder again.")
                % {"sent": sent, "received": received}
            )
        locked.state = Upload.State.QUEUED
        locked.total = received
        locked.lease_until = timezone.now() + RING_AGAIN
        locked.keep = Upload.EVERYTHING if keep_all else None
        locked.save(update_fields=["state", "total", "lease_until", "keep"])
        audit.record(locked.user, "upload.complete", locked, files=received)
        enqueue("ingest", locked.pk)
    return received


def receive(user: User, files: Iterable[tuple[str, File]], *, keep_all: bool = False) -> Upload:
    """A whole upload in one call: what a plain form or a command does."""
    upload = start(user)
    try:
        add_files(upload, files)
        complete(upload, keep_all=keep_all)
    except Exception:
        withdraw(upload)
        raise
    upload.refresh_from_db()
    return upload


def withdraw(upload: Upload) -> bool:
    """Take an upload back before its studies are stored: rows and files go.

    A worker that is checking it meanwhile finds that it is gone, and stops. False if it was
    stored or refused already.
    """
    with transaction.atomic():
        locked = Upload.objects.select_for_update().filter(pk=upload.pk).first()
        if locked is None or not locked.is_open:
            return False
        keys = list(locked.items.exclude(key="").values_list("key", flat=True))
        coming = list(locked.parts.filter(item=None).values_list("key", flat=True))
        audit.record(locked.user, "upload.withdraw", locked, files=file_count(locked))
        locked.delete()
    storage.quarantine_delete(keys)
    pieces.drop(coming)
    return True


def claim(pk: int) -> Upload | None:
    """Take the upload for checking, with a lease and a new fence; ``None`` if it is taken."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE studies_upload
               SET state = 'checking', attempt = attempt + 1, fence = fence + 1,
                   lease_until = now() + %s * interval '1 second'
             WHERE id = %s
               AND (state = 'queued' OR (state = 'checking' AND lease_until < now()))
            RETURNING id
            """,
            [LEASE.total_seconds(), pk],
        )
        if cursor.fetchone() is None:
            return None
    return Upload.objects.select_related("user", "trust").get(pk=pk)


def heartbeat(upload: Upload, done: int, total: int | None = None) -> bool:
    """Renew the lease; False if the upload is no longer ours.

    ``total`` grows while archives are opened. Packets count with the files they hold from the
    start, so it never falls.
    """
    return bool(
        _mine(upload).update(
            done=done,
            total=max(upload.total, total or 0),
            lease_until=Now() + LEASE,
        )
    )


def ask(upload: Upload, examinations: list[dict[str, Any]]) -> bool:
    """Let the upload wait until its sender says what to keep; False if it is no longer ours."""
    with transaction.atomic():
        moved = _mine(upload).update(
            state=Upload.State.ASKED,
            examinations=examinations,
            attempt=0,
            lease_until=Now() + ANSWER_EXPIRES,
        )
        if moved:
            patients = len({one["patient"] for one in examinations})
            audit.record(
                None, "upload.ask", upload, examinations=len(examinations), patients=patients
            )
    return bool(moved)


def answer(upload: Upload, keep: Iterable[str]) -> bool:
    """The sender keeps these examinations, by uid: check again and store them.

    Uids that were not offered count as not given. False if the upload does not wait for an answer.
    Raises UploadError where none is kept: taking the upload back is a deed of its own.
    """
    with transaction.atomic():
        locked = Upload.objects.select_for_update().filter(pk=upload.pk).first()
        if locked is None or locked.state != Upload.State.ASKED:
            return False
        offered = [one["uid"] for one in locked.examinations if one["usable"]]
        kept = [uid for uid in offered if uid in set(keep)]
        if not kept:
            raise UploadError(
                _("Choose the examinations to keep, or withdraw the upload to keep none.")
            )
        locked.state, locked.keep = Upload.State.QUEUED, kept
        locked.done, locked.examinations = 0, []
        locked.lease_until = timezone.now() + RING_AGAIN
        locked.save(update_fields=["state", "keep", "done", "examinations", "lease_until"])
        audit.record(
            locked.user, "upload.answer", locked, kept=len(kept), examinations=len(offered)
        )
        enqueue("ingest", locked.pk)
    return True


def _expire(upload: Upload) -> None:
    """No answer came: nothing is kept, neither bytes nor names."""
    with transaction.atomic():
        moved = Upload.objects.filter(
            pk=upload.pk, state=Upload.State.ASKED, lease_until__lt=Now()
        ).update(
            state=Upload.State.FAILED, reason=NO_ANSWER, examinations=[], finished_at=Now(),
            lease_until=None,
        )  # fmt: skip
        if not moved:
            return
        audit.record(None, "upload.expire", upload, files=file_count(upload))
    empty_quarantine(upload)
    upload.items.update(name="")


def fail(upload: Upload, reason: str) -> None:
    """Set the upload aside with a sentence for the person; what lay in quarantine goes."""
    with transaction.atomic():
        moved = _mine(upload).update(
            state=Upload.State.FAILED, reason=reason, finished_at=Now(), lease_until=None
        )
        if not moved:
            return
        audit.record(None, "upload.fail", upload)
    empty_quarantine(upload)


def empty_quarantine(upload: Upload) -> None:
    """Delete what came in; names of files that were stored go too, they may name a patient."""
    storage.quarantine_delete(upload.items.values_list("key", flat=True))
    upload.items.update(key="")
    upload.items.filter(
        state__in=[UploadItem.State.STORED, UploadItem.State.DUPLICATE, UploadItem.State.OPENED]
    ).update(name="")


def mine_locked(upload: Upload) -> bool:
    """Lock the row inside a transaction and say whether the upload is still ours."""
    return _mine(upload).select_for_update().exists()


def _mine(upload: Upload) -> QuerySet[Upload]:
    return Upload.objects.filter(pk=upload.pk, fence=upload.fence, state=Upload.State.CHECKING)


def reap() -> int:
    """Ring again for uploads whose worker is gone; give up after a few; clear abandoned ones."""
    now = timezone.now()
    rung = 0
    stale = Upload.objects.filter(state=Upload.State.CHECKING, lease_until__lt=now)
    for upload in stale.filter(attempt__gte=MOST_ATTEMPTS):
        fail(upload, _("The check of these files broke off three times. Send the study again."))
    for upload in stale.filter(attempt__lt=MOST_ATTEMPTS):
        with transaction.atomic():
            if Upload.objects.filter(
                pk=upload.pk, state=Upload.State.CHECKING, lease_until__lt=Now()
            ).update(
                state=Upload.State.QUEUED, lease_until=Now() + RING_AGAIN, fence=F("fence") + 1
            ):
                enqueue("ingest", upload.pk)
                rung += 1
    # Waiting for long: the message may have been lost on its way.
    for pk in Upload.objects.filter(state=Upload.State.QUEUED, lease_until__lt=now).values_list(
        "pk", flat=True
    ):
        with transaction.atomic():
            if Upload.objects.filter(
                pk=pk, state=Upload.State.QUEUED, lease_until__lt=Now()
            ).update(lease_until=Now() + RING_AGAIN):
                enqueue("ingest", pk)
                rung += 1
    for upload in Upload.objects.filter(state=Upload.State.ASKED, lease_until__lt=now):
        _expire(upload)
    abandoned = now - RECEIVING_EXPIRES
    touched = UploadPart.objects.filter(upload=OuterRef("pk"), touched_at__gte=abandoned)
    for upload in Upload.objects.filter(
        ~Exists(touched), state=Upload.State.RECEIVING, created_at__lt=abandoned
    ):
        withdraw(upload)
    return rung


def sweep() -> int:
    """Delete bytes in quarantine that no row knows: a process died between the two. Says how many.

    Those of the last days are left alone: their rows may be on their way.
    """
    old = timezone.now() - 2 * RECEIVING_EXPIRES
    gone = [
        key
        for key in pieces.strays(old.timestamp())
        if not UploadItem.objects.filter(key=key).exists()
        and not UploadPart.objects.filter(key=key).exists()
    ]
    pieces.drop(gone)
    return len(gone)

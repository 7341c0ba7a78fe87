"""The way in: every upload, from whichever door, is started, filled and completed here."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from pathlib import PurePosixPath

from django.conf import settings
from django.core.files import File
from django.db import connection, transaction
from django.db.models import F, QuerySet, Sum
from django.db.models.functions import Now
from django.utils import timezone

from accounts import audit
from accounts.models import User
from corecmr.queue import enqueue
from studies import storage
from studies.models import Upload, UploadItem

#: While a worker checks an upload it renews this lease; a lapsed one is taken up again.
#: A waiting upload whose message may have been lost is rung again after this.
RING_AGAIN = timedelta(seconds=30)
LEASE = timedelta(seconds=60)
MOST_ATTEMPTS = 3
RECEIVING_EXPIRES = timedelta(days=1)


class UploadError(Exception):
    """Why files were not taken; the text is for the person who sends them."""


@transaction.atomic
def start(user: User) -> Upload:
    """Open an upload for the person's trust."""
    if not user.can("upload") or user.trust is None:
        raise UploadError("Your account may not upload studies. Ask your administrator.")
    upload = Upload.objects.create(user=user, trust=user.trust)
    audit.record(user, "upload.start", upload)
    return upload


def add_files(upload: Upload, files: Iterable[tuple[str, File]]) -> int:
    """Put files, given as (name, content), into quarantine; gives how many the upload holds.

    A file that comes again (a retried request) is counted once.
    """
    if upload.state != Upload.State.RECEIVING:
        raise UploadError("This upload is complete. Start a new one for more files.")
    held = upload.items.aggregate(total=Sum("size"))["total"] or 0
    for name, content in files:
        shown = PurePosixPath(name.replace("\\", "/")).name[:255] or "file without a name"
        size = content.size or 0
        most = most_bytes(content)
        if size > most:
            megabytes = most // 1024**2
            raise UploadError(
                f"{shown} is larger than {megabytes} MB. Leave it out and send the rest again."
            )
        held += size
        if held > settings.UPLOAD_MAX_TOTAL_BYTES:
            megabytes = settings.UPLOAD_MAX_TOTAL_BYTES // 1024**2
            raise UploadError(f"One upload may hold {megabytes} MB. Send one study at a time.")
        key, size, sha256 = storage.quarantine_write(content)
        with transaction.atomic():
            Upload.objects.select_for_update().get(pk=upload.pk)
            twin = upload.items.filter(name=shown, sha256=sha256).exists()
            if not twin:
                UploadItem.objects.create(
                    upload=upload, name=shown, key=key, size=size, sha256=sha256
                )
        if twin:
            storage.quarantine_delete([key])
            held -= size
    return upload.items.count()


def most_bytes(content: File) -> int:
    """How large a file may be: an archive is as large as the files in it, which are told apart."""
    start = content.read(4)
    content.seek(0)
    archive = start in {b"PK\x03\x04", b"PK\x05\x06"}
    return settings.UPLOAD_MAX_TOTAL_BYTES if archive else settings.UPLOAD_MAX_FILE_BYTES


def complete(upload: Upload, *, sent: int | None = None) -> None:
    """All files are here: ring the check in the same transaction. Doing it twice is one."""
    with transaction.atomic():
        locked = Upload.objects.select_for_update().get(pk=upload.pk)
        if locked.state != Upload.State.RECEIVING:
            return
        received = locked.items.filter(parent=None).count()
        if received == 0:
            raise UploadError("No file was sent. Choose the folder that holds the study's images.")
        if sent is not None and sent != received:
            raise UploadError(
                f"{sent} files were sent but {received} arrived. Send the folder again."
            )
        locked.state = Upload.State.QUEUED
        locked.total = received
        locked.lease_until = timezone.now() + RING_AGAIN
        locked.save(update_fields=["state", "total", "lease_until"])
        audit.record(locked.user, "upload.complete", locked, files=received)
        enqueue("ingest", locked.pk)


def receive(user: User, files: Iterable[tuple[str, File]]) -> Upload:
    """A whole upload in one call: what a plain form or a command does."""
    upload = start(user)
    try:
        add_files(upload, files)
        complete(upload)
    except Exception:
        withdraw(upload)
        raise
    upload.refresh_from_db()
    return upload


def withdraw(upload: Upload) -> None:
    """Take an upload back before it was checked: rows and files go."""
    keys = list(upload.items.values_list("key", flat=True))
    with transaction.atomic():
        audit.record(upload.user, "upload.withdraw", upload, files=len(keys))
        upload.delete()
    storage.quarantine_delete(keys)


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

    ``total`` grows while archives are opened.
    """
    return bool(
        _mine(upload).update(
            done=done,
            total=upload.total if total is None else total,
            lease_until=Now() + LEASE,
        )
    )


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
        fail(upload, "The check of these files broke off three times. Send the study again.")
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
    abandoned = now - RECEIVING_EXPIRES
    for upload in Upload.objects.filter(state=Upload.State.RECEIVING, created_at__lt=abandoned):
        withdraw(upload)
    return rung

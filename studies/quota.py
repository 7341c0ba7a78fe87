"""How much may wait to be checked: bytes and open uploads, of a person and of a trust.

Counted are the files in quarantine, and those on their way at the size that was announced, so
that what was promised room has it.
"""

from __future__ import annotations

from django.conf import settings
from django.db.models import QuerySet, Sum
from django.utils.translation import gettext as _

from accounts.models import Trust
from studies.models import Upload, UploadItem, UploadPart
from studies.refusals import TooLarge

MEGABYTE = 1024**2


class OverQuota(TooLarge):
    """There is no room for more until something is checked or withdrawn."""


def lock(trust_id: int) -> None:
    """Let others of this trust wait until the transaction ends, so that no two take one room."""
    Trust.objects.select_for_update(no_key=True).get(pk=trust_id)


def require_bytes(upload: Upload, more: int) -> None:
    """Raise OverQuota unless ``more`` bytes have room. Exact after ``lock``."""
    mine = Upload.objects.filter(user_id=upload.user_id)
    theirs = Upload.objects.filter(trust_id=upload.trust_id)
    if held(mine) + more > settings.QUOTA_PERSON_BYTES:
        raise OverQuota(
            _(
                "Your files that wait to be checked may take %(mb)s MB together, and these would "
                "take more. Wait until your other uploads are checked, or withdraw one of them."
            )
            % {"mb": settings.QUOTA_PERSON_BYTES // MEGABYTE}
        )
    if held(theirs) + more > settings.QUOTA_TRUST_BYTES:
        raise OverQuota(
            _(
                "The files of your trust that wait to be checked may take %(mb)s MB together, and "
                "these would take more. Try again when other uploads of your trust are checked."
            )
            % {"mb": settings.QUOTA_TRUST_BYTES // MEGABYTE}
        )


def require_upload(user_id: int, trust_id: int) -> None:
    """Raise OverQuota unless one more upload may be open. Exact after ``lock``."""
    open_ = Upload.objects.filter(state__in=Upload.OPEN)
    if open_.filter(user_id=user_id).count() >= settings.QUOTA_PERSON_UPLOADS:
        raise OverQuota(
            _(
                "You may have %(number)s uploads under way at once. Wait until one of them is "
                "checked, or withdraw one."
            )
            % {"number": settings.QUOTA_PERSON_UPLOADS}
        )
    if open_.filter(trust_id=trust_id).count() >= settings.QUOTA_TRUST_UPLOADS:
        raise OverQuota(
            _(
                "Your trust may have %(number)s uploads under way at once. Try again when one of "
                "them is checked."
            )
            % {"number": settings.QUOTA_TRUST_UPLOADS}
        )


def held(uploads: QuerySet[Upload]) -> int:
    """Bytes of these uploads that lie in quarantine or have been promised room there."""
    there = UploadItem.objects.filter(upload__in=uploads).exclude(key="")
    coming = UploadPart.objects.filter(upload__in=uploads, item=None)
    return sum(rows.aggregate(total=Sum("size"))["total"] or 0 for rows in (there, coming))

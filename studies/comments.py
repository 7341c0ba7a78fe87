"""Comments on a study: written, changed, taken back, with what was said before; people called."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import audit
from accounts.models import User
from studies import access
from studies.models import Comment, Notification, Study
from studies.notifications import notify, people_of

MOST_CHARACTERS = 4000
_PLACE = ("folder", "frame", "row", "column", "segment", "result_number")


class CommentError(Exception):
    """Why a comment was not kept; the text is for the person who wrote it."""


def write(
    study: Study, *, by: User, text: str, place: Mapping[str, Any], tell: Iterable[User] = ()
) -> Comment:
    """Keep a comment, and tell the people it calls. Raises CommentError.

    place: any of folder, frame, row, column, segment and result_number; empty for the whole study.
    tell: of those that ``people`` gives; others are not told, since they cannot see the study.
    """
    access.require(by, "comment", study)
    text = _checked(text)
    with transaction.atomic():
        comment = Comment.objects.create(
            study=study, by=by, by_name=str(by), text=text,
            **{name: place[name] for name in _PLACE if place.get(name) not in (None, "")},
        )  # fmt: skip
        audit.record(by, "comment.write", study, comment=comment.public_id)
        called = {one.pk for one in tell}
        may_know = [one for one in people(study, by) if one.pk in called]
        notify(may_know, Notification.Kind.MENTIONED, study=study, by=by)
    return comment


def change(comment: Comment, *, by: User, text: str) -> None:
    """Put other words in their place; what was said before stays readable. Raises CommentError."""
    _require_own(comment, by)
    text = _checked(text)
    with transaction.atomic():
        locked = Comment.objects.select_for_update().get(pk=comment.pk)
        if locked.text == text or locked.deleted_at is not None:
            return
        locked.earlier = [*locked.earlier, _earlier(locked)]
        locked.text, locked.changed_at = text, timezone.now()
        locked.save(update_fields=["earlier", "text", "changed_at"])
        audit.record(by, "comment.change", locked.study, comment=locked.public_id)


def take_back(comment: Comment, *, by: User) -> None:
    """Hide the words; that there was a comment, and what it said, stays for the owning trust."""
    _require_own(comment, by)
    with transaction.atomic():
        locked = Comment.objects.select_for_update().get(pk=comment.pk)
        if locked.deleted_at is not None:
            return
        locked.earlier = [*locked.earlier, _earlier(locked)]
        locked.text, locked.deleted_at = "", timezone.now()
        locked.save(update_fields=["earlier", "text", "deleted_at"])
        audit.record(by, "comment.take_back", locked.study, comment=locked.public_id)


def _earlier(comment: Comment) -> dict[str, str]:
    return {"text": comment.text, "at": (comment.changed_at or comment.created_at).isoformat()}


def _checked(text: str) -> str:
    text = text.replace("\r\n", "\n").strip()
    if not text:
        raise CommentError(_("The comment is empty. Write it, or leave it."))
    if len(text) > MOST_CHARACTERS:
        raise CommentError(
            _("A comment may have %(most)s characters. Shorten it.") % {"most": MOST_CHARACTERS}
        )
    return text


def _require_own(comment: Comment, by: User) -> None:
    access.require(by, "comment", comment.study)
    if comment.by_id != by.pk:
        raise CommentError(_("Only who wrote a comment may change it or take it back."))


def people(study: Study, user: User) -> list[User]:
    """Whom the person may call by name: those who see the study and whom the person may know.

    Of one's own trust all who read; of others only who has written here or shares it.
    """
    own = list(people_of(user.trust)) if user.trust is not None else []
    met = User.objects.filter(
        pk__in=[
            *study.comments.exclude(by=None).values_list("by", flat=True),
            *study.shares.filter(revoked_at=None).exclude(by=None).values_list("by", flat=True),
            *study.shares.filter(revoked_at=None)
            .exclude(to_user=None)
            .values_list("to_user", flat=True),
        ]
    )
    found = {one.pk: one for one in (*own, *met) if one.pk != user.pk}
    return sorted(
        (one for one in found.values() if access.may(one, "see", study)),
        key=lambda one: str(one).lower(),
    )

"""A study by its short reference: among those that the asker may see, and not by trying.

A reference finds, it opens nothing: what is another's and what is nobody's is one answer. Five
invalid tries within a quarter of an hour lock the look-up of that person, and only that; a valid
one in between takes none of them back. Everything is counted in the database under a lock of the
person's row, so parallel requests and a second session count together.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.http import Http404
from django.utils import timezone

from accounts import audit
from accounts.identifiers import clean_reference
from accounts.letters import letter
from accounts.models import User
from accounts.notices import tell_administrators
from studies import access
from studies.models import LookupGuard, Study

log = logging.getLogger(__name__)

MOST_INVALID = 5
WINDOW = timedelta(minutes=15)
FIRST_LOCK = timedelta(minutes=15)
LONGEST_LOCK = timedelta(days=1)
#: After so long without a lock the next one is short again.
FORGIVEN = timedelta(days=1)


@dataclass(frozen=True)
class Answer:
    """The study, or none; ``locked_until`` where the look-up is locked, now or from now on."""

    study: Study | None = None
    locked_until: datetime | None = None


def find(text: str, *, by: User) -> Answer:
    """The study with the reference ``text``; 404 for people who read no studies at all."""
    if not by.can("read_studies"):
        raise Http404
    LookupGuard.objects.get_or_create(user=by)
    with transaction.atomic():
        guard = LookupGuard.objects.select_for_update().get(user=by)
        now = timezone.now()
        if guard.locked_until is not None and guard.locked_until > now:
            audit.record(by, "lookup.locked")
            return Answer(locked_until=guard.locked_until)
        reference = clean_reference(text)
        study = access.visible_to(by).filter(reference=reference).first()
        if study is not None:
            audit.record(by, "lookup.found", study)
            return Answer(study)
        return Answer(locked_until=_count(guard, now))


def _count(guard: LookupGuard, now: datetime) -> datetime | None:
    """Note an invalid try; gives the end of the lock if it was one too many.

    What was typed is not kept: it may be a name.
    """
    audit.record(guard.user, "lookup.invalid")
    since = (now - WINDOW).timestamp()
    invalid = [*(at for at in guard.invalid_at if at > since), now.timestamp()]
    if len(invalid) < MOST_INVALID:
        guard.invalid_at = invalid
        guard.save(update_fields=["invalid_at"])
        return None
    if guard.locked_until is None or guard.locked_until < now - FORGIVEN:
        guard.locks = 0
    lock = min(FIRST_LOCK * 2**guard.locks, LONGEST_LOCK)
    guard.invalid_at, guard.locks = [], min(guard.locks + 1, 10)
    guard.locked_until = now + lock
    guard.save()
    audit.record(guard.user, "lookup.lock", minutes=int(lock.total_seconds() // 60))
    person, until = guard.user, guard.locked_until
    transaction.on_commit(lambda: _tell_administrators(person, until))
    return guard.locked_until


def _tell_administrators(person: User, until: datetime) -> None:
    # The lock holds without the mail; the record has it too.
    tell_administrators(*letter("studies/mail/lookup_locked", person=person, until=until))

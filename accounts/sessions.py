"""How long somebody stays signed in: 30 minutes without doing anything, 12 hours in all.

What a page asks for by itself, such as a poll or a film, is not doing anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any

from allauth.usersessions.models import UserSession
from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone

from accounts.models import User
from corecmr.errors import wants_json

BEGAN, ACTIVE = "session_began_at", "session_active_at"
#: Set once the session stands in the list of its owner.
LISTED = "session_listed"
#: What somebody does is noted at most so often: a session that changes is written to the database.
_NOTED_EVERY_SECONDS = 10


def now() -> float:
    return timezone.now().timestamp()


def begin(session: Any) -> None:
    """Start both clocks; called at each sign-in."""
    session[BEGAN] = session[ACTIVE] = now()


def note_activity(session: Any) -> None:
    """Somebody did something, now."""
    moment = now()
    if moment - session.get(ACTIVE, 0) >= _NOTED_EVERY_SECONDS:
        session[ACTIVE] = moment


def is_activity(request: HttpRequest) -> bool:
    """Whether a person did something: opened a page or sent something.

    Browsers say in Sec-Fetch-Mode what a request is for. Without it what is asked for by htmx or
    as JSON counts as a page's own doing.
    """
    if request.method not in {"GET", "HEAD"}:
        return True
    mode = request.headers.get("Sec-Fetch-Mode")
    if mode:
        return mode == "navigate"
    return "HX-Request" not in request.headers and not wants_json(request)


@dataclass(frozen=True)
class Left:
    """Seconds until the session ends, and whether doing something makes them more."""

    seconds: float
    extendable: bool


def left(session: Any) -> Left:
    moment = now()
    in_all = session.get(BEGAN, moment) + settings.SESSION_LONGEST_SECONDS - moment
    idle = session.get(ACTIVE, moment) + settings.SESSION_IDLE_SECONDS - moment
    return Left(min(in_all, idle), extendable=in_all > settings.SESSION_IDLE_SECONDS)


def has_ended(session: Any) -> bool:
    return left(session).seconds <= 0


@dataclass(frozen=True)
class Open:
    """A session of somebody, as their settings page lists it."""

    row: UserSession
    active_at: float
    is_current: bool


def open_sessions(user: User, current_key: str | None) -> list[Open]:
    """Sessions of ``user`` that still let somebody in, the latest first; others are ended."""
    found = []
    for row in UserSession.objects.purge_and_list(user):
        store = _store(row.session_key)
        if has_ended(store):
            row.end()
        else:
            active = store.get(ACTIVE, row.created_at.timestamp())
            found.append(Open(row, active, row.session_key == current_key))
    return sorted(found, key=lambda one: one.active_at, reverse=True)


def end_all(user: User) -> None:
    """Sign somebody out everywhere."""
    for row in UserSession.objects.filter(user=user):
        row.end()


def _store(key: str) -> Any:
    return import_module(settings.SESSION_ENGINE).SessionStore(key)

"""The record: one call at every view, download, share, change and refusal."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.utils import timezone

from accounts.models import AuditEvent, User
from corecmr import logs

#: Within this time of its start, what a page asks for by itself belongs to one viewing.
ONE_VIEWING = timedelta(minutes=10)

#: Apps that know objects by names people say, such as a study's reference, add a function here
#: that gives the ids of all that belongs to one: the record itself holds ids only.
named_objects: list[Callable[[str], set[str]]] = []


def record(actor: Any, verb: str, obj: Any = None, **detail: str | int | bool | None) -> None:
    """Write that ``actor`` (a user, or ``None`` for the system) did ``verb`` to ``obj``.

    ``detail`` takes ids, counts and names of our own; nothing of a patient, no file name.
    Called inside the transaction of the change it records, so that neither exists alone.
    """
    AuditEvent.objects.create(
        actor=actor.public_id if isinstance(actor, User) else "",
        verb=verb,
        object_type=obj._meta.model_name if obj is not None else "",
        object_id=getattr(obj, "public_id", "") if obj is not None else "",
        detail=detail,
        request_id=logs.request_id.get(),
    )


def record_refusal(actor: User, *, view: str, asked: str, method: str, status: int) -> None:
    """Write that ``actor`` was refused ``view``, of the object with the public id ``asked``."""
    AuditEvent.objects.create(
        actor=actor.public_id,
        verb="access.refused",
        object_id=asked,
        detail={"view": view, "method": method, "status": status},
        request_id=logs.request_id.get(),
    )


def record_once(actor: User, verb: str, obj: Any = None, **detail: str | int | bool | None) -> None:
    """Write it unless it belongs to a viewing on record: what a page asks for by itself."""
    if not recorded_lately(actor, verb, obj, ONE_VIEWING):
        record(actor, verb, obj, **detail)


def recorded_lately(actor: User, verb: str, obj: Any, within: timedelta) -> bool:
    """Whether ``actor`` is on record for the same a short while ago."""
    return AuditEvent.objects.filter(
        actor=actor.public_id,
        verb=verb,
        object_id=obj.public_id if obj is not None else "",
        at__gt=timezone.now() - within,
    ).exists()


def ids_named(text: str) -> set[str]:
    """The ids of what ``text`` names, as a study's reference does; none if it names nothing."""
    return set().union(*(find(text) for find in named_objects))

"""The record: one call at every view, download, share, change and refusal."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.utils import timezone

from accounts.models import AuditEvent, User
from corecmr import logs


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


def recorded_lately(actor: User, verb: str, obj: Any, within: timedelta) -> bool:
    """Whether ``actor`` is on record for the same a short while ago."""
    return AuditEvent.objects.filter(
        actor=actor.public_id,
        verb=verb,
        object_id=obj.public_id,
        at__gt=timezone.now() - within,
    ).exists()

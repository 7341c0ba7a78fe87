"""Which of the installed engines a person may choose."""

from __future__ import annotations

from accounts.models import User
from processing.engines import engine_names
from processing.models import EngineUse


def offered(user: User) -> list[str]:
    """Names of engines, in their order: an engine that administrators kept for some trusts is
    offered to the people of these alone."""
    kept = {use.engine for use in EngineUse.objects.all()}
    if not kept:
        return engine_names()
    own = user.memberships.values("trust")
    allowed = set(EngineUse.objects.filter(trusts__in=own).values_list("engine", flat=True))
    return [name for name in engine_names() if name not in kept or name in allowed]

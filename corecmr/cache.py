"""The cache that limits on attempts are counted in: what still counts is never thrown away."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.core.cache.backends.db import DatabaseCache


class LimitsCache(DatabaseCache):
    """Django's cache in the database, which makes room only by what has run out.

    Django would delete entries at random beyond a number: whoever comes from many addresses fills
    the table and so wins back the tries that were counted against an account.
    """

    def _cull(self, db: Any, cursor: Any, now: datetime, num: int) -> None:
        super()._cull(db, cursor, now, 0)  # type: ignore[misc]

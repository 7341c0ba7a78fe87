"""What keeps a person from trying references until one fits."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models


class LookupGuard(models.Model):
    """One row a person: locked while a look-up is decided, so that no two are decided at once."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+"
    )
    #: Times (seconds since 1970) of invalid tries in the last quarter of an hour.
    invalid_at = models.JSONField(default=list)
    locked_until = models.DateTimeField(null=True)
    #: How often it locked, one lock soon after the other: each is twice as long.
    locks = models.PositiveSmallIntegerField(default=0)

    class Meta:
        verbose_name: ClassVar = "guard of the look-up"

    def __str__(self) -> str:
        return f"look-up of {self.user}"

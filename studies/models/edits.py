"""What a person drew over a result, before an analysis was made with it."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils import timezone


class ContourEdit(models.Model):
    """Outlines drawn over one result, by folder name; the result itself is never changed.

    content: as the engine takes what a person gives, see ``studies.edits``. version: counts what
    was kept, so that of two people who draw at once neither overwrites the other unseen.
    """

    result = models.OneToOneField(
        "studies.Result", on_delete=models.CASCADE, related_name="contour_edit"
    )
    content = models.JSONField(default=dict)
    version = models.PositiveIntegerField(default=1)
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    updated_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering: ClassVar = ["result"]

    def __str__(self) -> str:
        return f"Outlines over {self.result}"

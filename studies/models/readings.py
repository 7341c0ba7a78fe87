"""What a reader made of each segment of a result: accepted, or set aside with the reason."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class SetAside(models.TextChoices):
    """Why a segment's value does not count."""

    DARK_RIM = "dark_rim", _("dark rim artefact")
    OUTLINE = "outline", _("outline does not fit")
    MOTION = "motion", _("motion is left")
    SIGNAL = "signal", _("signal is lost or spoilt")
    OTHER = "other", _("other reason")


class Reading(models.Model):
    """A reader went through the segments of one result. The result itself is never changed.

    set_aside: by state, then AHA segment as text, a reason of ``SetAside``; all else is accepted.
    summary: as ``summary`` of report.json, without what was set aside. version: counts what was
    kept, so that of two readers neither overwrites the other unseen.
    """

    result = models.OneToOneField(
        "studies.Result", on_delete=models.CASCADE, related_name="reading"
    )
    set_aside = models.JSONField(default=dict)
    summary = models.JSONField(default=dict)
    version = models.PositiveIntegerField(default=1)
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    #: As it stood on the day: the account may be closed or renamed later.
    by_name = models.CharField(max_length=200)
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering: ClassVar = ["result"]

    def __str__(self) -> str:
        return f"Reading of {self.result}"

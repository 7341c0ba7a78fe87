"""What a reader wrote and signed about a result: versions that stay."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils import timezone

from accounts.identifiers import PublicIdField


class Report(models.Model):
    """One version of a study's report. A draft has no signature; a signed one never changes."""

    public_id = PublicIdField()
    study = models.ForeignKey("studies.Study", on_delete=models.CASCADE, related_name="reports")
    result = models.ForeignKey("studies.Result", on_delete=models.CASCADE, related_name="reports")
    version = models.PositiveIntegerField()
    text = models.TextField()
    #: Counts the times the draft was saved: who saves over what they have not read is told so.
    saves = models.PositiveIntegerField(default=0)
    written_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    saved_at = models.DateTimeField(default=timezone.now)
    signed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    #: As it stood on the day: the account may be closed or renamed later.
    signed_name = models.CharField(max_length=200, blank=True)
    signed_at = models.DateTimeField(null=True)
    #: How the segments were read when it was signed, see ``readings.frozen``; None if nobody did.
    reading = models.JSONField(null=True)

    class Meta:
        ordering: ClassVar = ["study", "-version"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["study", "version"], name="report_version_once"),
            models.UniqueConstraint(
                fields=["study"],
                condition=models.Q(signed_at=None),
                name="one_draft_report_per_study",
            ),
        ]

    def __str__(self) -> str:
        return f"Report {self.version} of {self.study}"

    @property
    def is_signed(self) -> bool:
        return self.signed_at is not None

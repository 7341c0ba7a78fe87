"""A study's end: who asked for it, who confirmed it, and what was deleted; and when it is due."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.identifiers import PublicIdField


class Erasure(models.Model):
    """Request and certificate in one. Nothing of the patient: ids of ours, counts and times."""

    class Reason(models.TextChoices):
        PATIENT = "patient", _("The patient asked for it")
        MISTAKE = "mistake", _("It was uploaded by mistake")
        WRONG = "wrong", _("It is the wrong patient or examination")
        OVER = "over", _("It is no longer needed")
        RETENTION = "retention", _("The trust’s retention period is over")
        RESTORED = "restored", _("It had been erased before a backup was restored")

    #: What no person chooses.
    BY_THE_SITE = (Reason.RETENTION, Reason.RESTORED)

    public_id = PublicIdField()
    trust = models.ForeignKey("accounts.Trust", on_delete=models.PROTECT, related_name="erasures")
    study = models.ForeignKey(
        "studies.Study", on_delete=models.SET_NULL, null=True, related_name="erasures"
    )
    study_public_id = models.CharField(max_length=26)
    reference = models.CharField(max_length=7, db_index=True)
    reason = models.CharField(max_length=10, choices=Reason.choices)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    requested_at = models.DateTimeField(default=timezone.now)
    withdrawn_at = models.DateTimeField(null=True)
    confirmed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    confirmed_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    #: How many of what was deleted, by kind.
    counts = models.JSONField(default=dict)
    #: Keys of files that are still to be deleted, as [storage, key].
    pending = models.JSONField(default=list)
    #: Under which ids the record knows what belonged to the study.
    object_ids = models.JSONField(default=list)

    class Meta:
        ordering: ClassVar = ["-requested_at"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["study"],
                condition=Q(withdrawn_at=None, confirmed_at=None),
                name="one_open_erasure_per_study",
            )
        ]

    def __str__(self) -> str:
        return f"Erasure of {self.reference}"

    @property
    def is_open(self) -> bool:
        """Whether it waits for a second person."""
        return self.withdrawn_at is None and self.confirmed_at is None


class Retention(models.Model):
    """How long a trust keeps its studies, counted from the day they were received."""

    trust = models.OneToOneField(
        "accounts.Trust", on_delete=models.CASCADE, related_name="retention"
    )
    days = models.PositiveIntegerField(_("days"), validators=[MinValueValidator(30)])

    class Meta:
        verbose_name = _("retention period")
        verbose_name_plural = _("retention periods")

    def __str__(self) -> str:
        return f"{self.trust}: {self.days} days"

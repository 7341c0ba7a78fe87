"""A study is one patient examination, owned by one trust; a series is one slice over time."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.identifiers import PublicIdField, new_reference


class State(models.TextChoices):
    STRESS = "stress", _("Stress")
    REST = "rest", _("Rest")
    UNKNOWN = "unknown", _("State not known")


class Level(models.TextChoices):
    BASAL = "basal", _("Basal")
    MID = "mid", _("Mid")
    MID2 = "mid2", _("Mid, second slice")
    APICAL = "apical", _("Apical")


class Study(models.Model):
    """Nothing here names the patient: uids and dates are those of the rebuilt files."""

    public_id = PublicIdField()
    reference = models.CharField(max_length=7, unique=True, default=new_reference, editable=False)
    trust = models.ForeignKey("accounts.Trust", on_delete=models.PROTECT, related_name="studies")
    uploaded_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    study_uid = models.CharField(max_length=64)
    patient_pseudonym = models.CharField(max_length=64, blank=True)
    patient_sex = models.CharField(max_length=1, blank=True)
    patient_age = models.PositiveSmallIntegerField(null=True, blank=True)
    study_date = models.DateField(null=True, blank=True)
    manufacturer = models.CharField(max_length=64, blank=True)
    scanner_model = models.CharField(max_length=64, blank=True)
    scanner_pseudonym = models.CharField(max_length=16, blank=True)
    field_t = models.FloatField(null=True, blank=True)
    research_permission = models.BooleanField(default=False)
    #: Why it must be kept whatever else is decided; "" is no hold.
    hold_reason = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering: ClassVar = ["-created_at"]
        verbose_name_plural = "studies"
        constraints: ClassVar = [
            # Within a trust only: a wider rule would tell one trust what another one holds.
            models.UniqueConstraint(fields=["trust", "study_uid"], name="study_once_per_trust")
        ]

    def __str__(self) -> str:
        return self.reference


class Series(models.Model):
    """What ingest understood of one slice over time, with its reasons."""

    class Role(models.TextChoices):
        PERFUSION = "perfusion", _("Perfusion")
        AIF = "aif", _("Arterial input")

    public_id = PublicIdField()
    study = models.ForeignKey(Study, on_delete=models.CASCADE, related_name="series")
    uid = models.CharField(max_length=64)
    slice_index = models.PositiveSmallIntegerField(default=0)
    role = models.CharField(max_length=10, choices=Role.choices, default=Role.PERFUSION)
    state = models.CharField(max_length=10, choices=State.choices, default=State.UNKNOWN)
    level = models.CharField(max_length=10, choices=Level.choices, blank=True)
    description = models.CharField(max_length=64, blank=True)
    frames = models.PositiveIntegerField()
    rows = models.PositiveIntegerField()
    cols = models.PositiveIntegerField()
    time_source = models.CharField(max_length=64, blank=True)
    duration_s = models.FloatField(null=True)
    median_interval_s = models.FloatField(null=True)
    reasons = models.JSONField(default=list)

    class Meta:
        ordering: ClassVar = ["study", "-state", "slice_index"]
        verbose_name_plural = "series"
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["study", "uid", "slice_index"], name="series_once_per_study"
            )
        ]

    def __str__(self) -> str:
        return f"{self.get_state_display()} {self.get_level_display()}"

"""A study is one patient examination, owned by one trust; a series is one slice over time."""

from __future__ import annotations

from typing import Any, ClassVar

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


class ResearchConsent(models.TextChoices):
    NOT_ASKED = "", _("Not asked")
    GIVEN = "given", _("Given")
    NOT_GIVEN = "not_given", _("Not given")
    OPTED_OUT = "opted_out", _("Opted out")


#: With these a study is never released for research.
AGAINST_RESEARCH = (ResearchConsent.NOT_GIVEN, ResearchConsent.OPTED_OUT)


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
    #: The patient's own word, which goes before the trust's: see ``record.py``.
    research_consent = models.CharField(
        max_length=10, choices=ResearchConsent.choices, blank=True, default=""
    )
    research_consent_on = models.DateField(null=True, blank=True)
    #: What was given, where DICOM and the protocol do not say it or say it wrongly.
    agent = models.CharField(max_length=20, blank=True)
    dose_mmol_per_kg = models.FloatField(null=True, blank=True)
    stressor = models.CharField(max_length=20, blank=True)
    #: "" the one whose rule fits, "none", or the id of a protocol of the trust.
    protocol_wanted = models.CharField(max_length=26, blank=True)
    #: Why it must be kept whatever else is decided; "" is no hold.
    hold_reason = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering: ClassVar = ["-created_at"]
        verbose_name_plural = "studies"
        constraints: ClassVar = [
            # Within a trust only: a wider rule would tell one trust what another one holds.
            models.UniqueConstraint(fields=["trust", "study_uid"], name="study_once_per_trust"),
            models.CheckConstraint(
                condition=~models.Q(
                    research_permission=True, research_consent__in=["not_given", "opted_out"]
                ),
                name="no_research_against_the_patient",
            ),
        ]

    def __str__(self) -> str:
        return self.reference


class Series(models.Model):
    """What ingest understood of one slice over time, with its reasons, and what a person corrected.

    State, level and role are those that hold; ``understood`` keeps what ingest said of them, and
    ``corrected`` what a person said instead. One frame names the series, whatever is added to it.
    """

    class Role(models.TextChoices):
        PERFUSION = "perfusion", _("Perfusion")
        AIF = "aif", _("Arterial input")
        MAP = "map", _("Flow map by the scanner")
        UNUSED = "unused", _("Not used")

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
    sop_instance_uid = models.CharField(max_length=64, blank=True)
    frame_number = models.PositiveIntegerField(default=1)
    understood = models.JSONField(default=dict)
    corrected = models.JSONField(default=dict)
    corrected_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    corrected_at = models.DateTimeField(null=True)

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

    @property
    def understood_words(self) -> str:
        """What sorting had said of what a person corrected, in words."""
        names: dict[str, Any] = {"state": State, "level": Level, "role": Series.Role}
        return ", ".join(
            str(names[key](self.understood[key]).label).lower()
            for key in self.corrected
            if self.understood.get(key)
        )

    @property
    def correction(self) -> dict[str, Any]:
        """What a person corrected, as ``dicom.correct`` takes it; empty where nobody did."""
        if not self.corrected:
            return {}
        return {
            "sop_instance_uid": self.sop_instance_uid,
            "frame_number": self.frame_number,
            **self.corrected,
        }

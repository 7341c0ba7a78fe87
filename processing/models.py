"""Runs and protocols. A run is one execution of one engine on one study; runs.py alone moves it.

A protocol is what a trust knows of its sequence and DICOM does not say; protocols.py alone
writes it.
"""

from __future__ import annotations

from typing import Any, ClassVar, NoReturn

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.identifiers import PublicIdField
from processing import states

STAGE_LABELS = {
    "": _("Waiting"),
    "fetch": _("Fetching the images"),
    "read": _("Reading the images"),
    "motion": _("Holding the heart still"),
    "segmentation": _("Finding the heart muscle"),
    "flow": _("Computing blood flow"),
    "write": _("Drawing maps and films"),
    "store": _("Storing the result"),
}


class Protocol(models.Model):
    """A trust's protocol by its name now; what it says stands in its versions."""

    public_id = PublicIdField()
    trust = models.ForeignKey("accounts.Trust", on_delete=models.PROTECT, related_name="protocols")
    name = models.CharField(_("name"), max_length=80)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering: ClassVar = ["name"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["trust", "name"], name="protocol_name_once_per_trust")
        ]

    def __str__(self) -> str:
        return self.name


class UnchangingQuerySet(models.QuerySet["ProtocolVersion"]):
    """Results refer to versions: they are added, never changed and never deleted."""

    def update(self, **fields: Any) -> NoReturn:
        raise TypeError("A version of a protocol is never changed.")

    def delete(self) -> NoReturn:
        raise TypeError("A version of a protocol is never deleted.")


class ProtocolVersion(models.Model):
    class Use(models.TextChoices):
        FITTING = "fitting", _("By itself, for each study that fits the scanner below")
        CHOSEN = "chosen", _("Only when a person chooses it")
        RETIRED = "retired", _("No longer")

    class InputSeries(models.TextChoices):
        EITHER = "", _("With or without")
        WITH = "with", _("Only studies with one")
        WITHOUT = "without", _("Only studies without one")

    protocol = models.ForeignKey(Protocol, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    name = models.CharField(_("name"), max_length=80)
    use = models.CharField(max_length=10, choices=Use.choices, default=Use.FITTING)
    manufacturer = models.CharField(max_length=64, blank=True)
    scanner_model = models.CharField(max_length=64, blank=True)
    scanner_pseudonym = models.CharField(max_length=16, blank=True)
    field_t = models.FloatField(null=True, blank=True)
    input_series = models.CharField(max_length=10, choices=InputSeries.choices, blank=True)
    values = models.JSONField(default=dict)
    made_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    made_at = models.DateTimeField(default=timezone.now)

    objects = UnchangingQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["protocol", "-number"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["protocol", "number"], name="protocol_version_once")
        ]

    def __str__(self) -> str:
        return f"{self.name}, version {self.number}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if self.pk is not None:
            raise TypeError("A version of a protocol is never changed.")
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError("A version of a protocol is never deleted.")


class Run(models.Model):
    class State(models.TextChoices):
        QUEUED = states.QUEUED, _("Waiting")
        RUNNING = states.RUNNING, _("Running")
        SUCCEEDED = states.SUCCEEDED, _("Finished")
        FAILED = states.FAILED, _("Failed")
        CANCELLED = states.CANCELLED, _("Cancelled")

    public_id = PublicIdField()
    study = models.ForeignKey("studies.Study", on_delete=models.CASCADE, related_name="runs")
    engine = models.CharField(max_length=40)
    parameters = models.JSONField(default=dict)
    protocol_version = models.ForeignKey(
        ProtocolVersion, on_delete=models.PROTECT, null=True, related_name="runs"
    )
    input_key = models.CharField(max_length=64)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    state = models.CharField(max_length=10, choices=State.choices, default=State.QUEUED)
    stage = models.CharField(max_length=20, blank=True)
    fraction = models.FloatField(default=0)
    attempt = models.PositiveIntegerField(default=0)
    own_faults = models.PositiveIntegerField(default=0)
    fence = models.PositiveIntegerField(default=0)
    lease_until = models.DateTimeField(null=True)
    heartbeat_at = models.DateTimeField(null=True)
    rung_at = models.DateTimeField(default=timezone.now)
    created_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True)
    reason = models.TextField(blank=True)
    result = models.OneToOneField(
        "studies.Result", on_delete=models.SET_NULL, null=True, related_name="run"
    )

    class Meta:
        ordering: ClassVar = ["-created_at"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["study", "engine", "input_key"],
                condition=Q(state__in=sorted(states.OPEN)),
                name="one_open_run_per_request",
            )
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["state", "lease_until"],
                condition=Q(state__in=sorted(states.OPEN)),
                name="open_runs",
            ),
            # What a trust was served lately is asked each time a worker takes the next run.
            models.Index(fields=["finished_at"], name="runs_by_end"),
        ]

    def __str__(self) -> str:
        return f"Run of {self.engine} on {self.study}"

    @property
    def is_open(self) -> bool:
        return self.state in states.OPEN

    @property
    def stage_label(self) -> str:
        return str(STAGE_LABELS.get(self.stage, self.stage))

    @property
    def percent(self) -> int:
        return round(100 * self.fraction)


class RunEvent(models.Model):
    """One move of a run: the history behind its state."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="events")
    at = models.DateTimeField(default=timezone.now)
    before = models.CharField(max_length=10, blank=True)
    after = models.CharField(max_length=10)
    detail = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering: ClassVar = ["id"]

    def __str__(self) -> str:
        return f"{self.before or 'new'} → {self.after}"


class Pulse(models.Model):
    """When a worker cluster last answered: the watchdog looks at it."""

    cluster = models.CharField(max_length=40, unique=True)
    rung_at = models.DateTimeField(null=True)
    answered_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return self.cluster


class EngineCard(models.Model):
    """What an engine's version reached on phantoms whose flow is known; see ``card.py``."""

    engine = models.CharField(max_length=40)
    version = models.CharField(max_length=40)
    conforms = models.BooleanField()
    studies = models.PositiveIntegerField()
    figures = models.JSONField(default=dict)
    made_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering: ClassVar = ["engine", "-made_at"]

    def __str__(self) -> str:
        return f"{self.engine} {self.version}"


class EngineUse(models.Model):
    """Who may choose an engine; one that has no row is open to every trust."""

    engine = models.CharField(max_length=40, unique=True)
    trusts: models.ManyToManyField[models.Model, models.Model] = models.ManyToManyField(
        "accounts.Trust",
        blank=True,
        related_name="+",
        help_text=_("Only people of these trusts may choose it. None: nobody may."),
    )

    class Meta:
        ordering: ClassVar = ["engine"]

    def __str__(self) -> str:
        return self.engine

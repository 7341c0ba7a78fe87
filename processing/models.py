"""A run is one execution of one engine on one study. Its state is moved by runs.py alone."""

from __future__ import annotations

from typing import ClassVar

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
            )
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

"""What a run found. It belongs to the study, stands without the run, and is never overwritten."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils import timezone

from accounts.identifiers import PublicIdField
from studies.models.studies import Level, State


class Result(models.Model):
    public_id = PublicIdField()
    study = models.ForeignKey("studies.Study", on_delete=models.CASCADE, related_name="results")
    number = models.PositiveIntegerField()
    engine = models.CharField(max_length=40)
    engine_version = models.CharField(max_length=40)
    parameters = models.JSONField(default=dict)
    report = models.JSONField()
    created_at = models.DateTimeField(default=timezone.now)
    #: What cohorts are chosen by, from the report: see ``results.py``. ml/min/g; None is not known.
    is_newest = models.BooleanField(default=False)
    stress_mbf = models.FloatField(null=True)
    rest_mbf = models.FloatField(null=True)
    reserve = models.FloatField(null=True)
    endo_epi = models.FloatField(null=True)
    light = models.CharField(max_length=10, blank=True)
    #: Reserve by AHA segment.
    reserves = models.JSONField(default=dict)

    class Meta:
        ordering: ClassVar = ["study", "-number"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["study", "number"], name="result_number_once"),
            models.UniqueConstraint(
                fields=["study"], condition=models.Q(is_newest=True), name="one_newest_result"
            ),
        ]

    def __str__(self) -> str:
        return f"Result {self.number} of {self.study}"


class SegmentFlow(models.Model):
    """Flow of one AHA segment of one series, ml/min/g, with its 90 % interval."""

    result = models.ForeignKey(Result, on_delete=models.CASCADE, related_name="segment_flows")
    folder = models.CharField(max_length=64)
    state = models.CharField(max_length=10, choices=State.choices)
    level = models.CharField(max_length=10, choices=Level.choices)
    segment = models.PositiveSmallIntegerField()
    mbf = models.FloatField(null=True)
    low = models.FloatField(null=True)
    high = models.FloatField(null=True)
    ischaemic = models.BooleanField(null=True)

    class Meta:
        ordering: ClassVar = ["result", "folder", "segment"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["result", "folder", "segment"], name="segment_once_per_series"
            ),
            models.CheckConstraint(
                condition=models.Q(segment__gte=1, segment__lte=16), name="aha_segment_1_to_16"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.folder} segment {self.segment}"

"""What colleagues say about a study: answers to a question that came with a share, and comments."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.identifiers import PublicIdField
from studies.segments import AHA_NAMES


class Answer(models.Model):
    """The signed answer to a share's question. It never changes; more is said in comments."""

    class Finding(models.TextChoices):
        NO_DEFECT = "no_defect", _("No perfusion defect seen")
        DEFECT = "defect", _("Perfusion defect seen")
        UNCERTAIN = "uncertain", _("Uncertain")
        UNREADABLE = "unreadable", _("Cannot be judged from these images")

    class Quality(models.TextChoices):
        GOOD = "good", _("Good")
        LIMITED = "limited", _("Limited, but can be judged")
        POOR = "poor", _("Not fit to be judged")

    public_id = PublicIdField()
    share = models.OneToOneField("studies.Share", on_delete=models.CASCADE, related_name="answer")
    finding = models.CharField(max_length=12, choices=Finding.choices)
    #: AHA segment numbers that it concerns.
    segments = models.JSONField(default=list)
    quality = models.CharField(max_length=8, choices=Quality.choices)
    text = models.TextField(blank=True)
    #: The number of the result that was read; the answer is about it.
    result_number = models.PositiveIntegerField(null=True)
    signed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    #: As they stood on the day, and so does the asker's: accounts may be closed or renamed later.
    signed_name = models.CharField(max_length=200)
    signed_trust = models.CharField(max_length=200, blank=True)
    asked_name = models.CharField(max_length=200, blank=True)
    signed_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering: ClassVar = ["signed_at"]

    def __str__(self) -> str:
        return f"Answer of {self.signed_name}"

    @property
    def segment_names(self) -> list[str]:
        return [f"{number} {AHA_NAMES[number]}" for number in self.segments if number in AHA_NAMES]


class Comment(models.Model):
    """One remark on a study, pinned to a place in it or to the whole.

    folder, frame, row, column: a pixel of a series' source grid, as the workspace counts; segment:
    an AHA number. What was said before a change is kept in ``earlier``.
    """

    public_id = PublicIdField()
    study = models.ForeignKey("studies.Study", on_delete=models.CASCADE, related_name="comments")
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    by_name = models.CharField(max_length=200)
    text = models.TextField()
    result_number = models.PositiveIntegerField(null=True)
    folder = models.CharField(max_length=64, blank=True)
    frame = models.PositiveIntegerField(null=True)
    row = models.PositiveIntegerField(null=True)
    column = models.PositiveIntegerField(null=True)
    segment = models.PositiveSmallIntegerField(null=True)
    #: [{"text", "at"}], the oldest first.
    earlier = models.JSONField(default=list)
    created_at = models.DateTimeField(default=timezone.now)
    changed_at = models.DateTimeField(null=True)
    deleted_at = models.DateTimeField(null=True)

    class Meta:
        ordering: ClassVar = ["created_at", "pk"]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=models.Q(segment=None) | models.Q(segment__gte=1, segment__lte=16),
                name="comment_on_aha_segment_1_to_16",
            )
        ]

    def __str__(self) -> str:
        return f"Comment of {self.by_name}"

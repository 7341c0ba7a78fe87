"""An upload is on its way in: what came, in quarantine, and what was said about each file."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.identifiers import PublicIdField


class Upload(models.Model):
    class State(models.TextChoices):
        RECEIVING = "receiving", _("Receiving files")
        QUEUED = "queued", _("Waiting to be checked")
        CHECKING = "checking", _("Checking files")
        DONE = "done", _("Checked")
        FAILED = "failed", _("Could not be used")

    OPEN = (State.RECEIVING, State.QUEUED, State.CHECKING)

    public_id = PublicIdField()
    trust = models.ForeignKey("accounts.Trust", on_delete=models.PROTECT, related_name="uploads")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="uploads"
    )
    state = models.CharField(max_length=10, choices=State.choices, default=State.RECEIVING)
    studies = models.ManyToManyField("studies.Study", related_name="uploads")
    done = models.PositiveIntegerField(default=0)
    total = models.PositiveIntegerField(default=0)
    attempt = models.PositiveIntegerField(default=0)
    fence = models.PositiveIntegerField(default=0)
    lease_until = models.DateTimeField(null=True)
    reason = models.TextField(blank=True)
    #: What de-identification did to these files: "TAG action" and how often, without values.
    changes = models.JSONField(default=dict)
    created_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering: ClassVar = ["-created_at"]

    def __str__(self) -> str:
        return f"Upload {self.public_id}"

    @property
    def is_open(self) -> bool:
        return self.state in self.OPEN


class UploadItem(models.Model):
    """One file of an upload. Its name, which may name a patient, stays only while it is needed."""

    class State(models.TextChoices):
        RECEIVED = "received", _("Received")
        STORED = "stored", _("Stored")
        DUPLICATE = "duplicate", _("Already stored")
        UNUSED = "unused", _("Left out")
        REJECTED = "rejected", _("Refused")

    upload = models.ForeignKey(Upload, on_delete=models.CASCADE, related_name="items")
    name = models.CharField(max_length=255, blank=True)
    key = models.CharField(max_length=100, blank=True)
    size = models.PositiveBigIntegerField()
    sha256 = models.CharField(max_length=64)
    state = models.CharField(max_length=10, choices=State.choices, default=State.RECEIVED)
    reason = models.TextField(blank=True)

    class Meta:
        ordering: ClassVar = ["id"]

    def __str__(self) -> str:
        return f"file {self.pk} of {self.upload_id}"

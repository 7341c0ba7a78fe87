"""An upload is on its way in: what came, in quarantine, and what was said about each file."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.identifiers import PublicIdField
from studies.models.fields import SealedListField, SealedNameField


class Upload(models.Model):
    class State(models.TextChoices):
        RECEIVING = "receiving", _("Receiving files")
        QUEUED = "queued", _("Waiting to be checked")
        CHECKING = "checking", _("Checking files")
        ASKED = "asked", _("Waiting for your answer")
        DONE = "done", _("Checked")
        FAILED = "failed", _("Could not be used")

    OPEN = (State.RECEIVING, State.QUEUED, State.CHECKING, State.ASKED)
    #: ``keep`` where the sender wants all examinations without being asked.
    EVERYTHING = "all"

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
    #: What its sender said of the record before the studies were there, see ``record.py``.
    answers = models.JSONField(default=dict)
    #: What is no perfusion series, by series: number, kind, images, rows, cols, reason.
    left_out = models.JSONField(default=list)
    #: What de-identification did to these files: "TAG action" and how often, without values.
    changes = models.JSONField(default=dict)
    #: A digest of what was chosen to be sent: the same choice goes on with what was interrupted.
    manifest = models.CharField(max_length=64, blank=True)
    #: What the sender is asked about, as studies/examinations.py tells it.
    examinations = SealedListField(default=list, blank=True)
    #: The answer: uids of the studies to keep, or EVERYTHING; null while there is none.
    keep = models.JSONField(null=True, blank=True)
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
        OPENED = "opened", _("Opened")  # an archive: its files are items of their own

    upload = models.ForeignKey(Upload, on_delete=models.CASCADE, related_name="items")
    #: The archive that a file came out of.
    parent = models.ForeignKey(
        "self", on_delete=models.CASCADE, null=True, blank=True, related_name="members"
    )
    name = SealedNameField(default="", blank=True)
    key = models.CharField(max_length=100, blank=True)
    size = models.PositiveBigIntegerField()
    sha256 = models.CharField(max_length=64)
    #: How many files it is: more than one where the sender packed them together.
    holds = models.PositiveIntegerField(default=1)
    state = models.CharField(max_length=10, choices=State.choices, default=State.RECEIVED)
    reason = models.TextField(blank=True)

    class Meta:
        ordering: ClassVar = ["id"]
        indexes: ClassVar = [models.Index(fields=["sha256"], name="item_by_hash")]

    def __str__(self) -> str:
        return f"file {self.pk} of {self.upload_id}"


class UploadPart(models.Model):
    """A file that comes in pieces. Its bytes lie in quarantine, as far as they have come.

    The size of what lies there is how far it is. Once all is there it has its ``item``.
    """

    public_id = PublicIdField()
    upload = models.ForeignKey(Upload, on_delete=models.CASCADE, related_name="parts")
    item = models.OneToOneField(
        UploadItem, on_delete=models.CASCADE, null=True, related_name="part"
    )
    name = SealedNameField(default="", blank=True)
    key = models.CharField(max_length=100)
    size = models.PositiveBigIntegerField()
    members = models.PositiveIntegerField(default=1)
    fingerprint = models.CharField(max_length=64, blank=True)
    touched_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering: ClassVar = ["id"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["upload", "fingerprint"],
                condition=~models.Q(fingerprint=""),
                name="one_part_for_a_fingerprint",
            )
        ]

    def __str__(self) -> str:
        return f"part {self.pk} of {self.upload_id}"

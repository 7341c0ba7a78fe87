"""A share: an explicit, expiring, revocable grant on one study to a person or a trust."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.identifiers import PublicIdField


class Share(models.Model):
    public_id = PublicIdField()
    study = models.ForeignKey("studies.Study", on_delete=models.CASCADE, related_name="shares")
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    to_user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, blank=True, related_name="+"
    )
    to_trust = models.ForeignKey(
        "accounts.Trust", on_delete=models.CASCADE, null=True, blank=True, related_name="+"
    )
    may_download = models.BooleanField(default=True)
    may_comment = models.BooleanField(default=False)
    may_run = models.BooleanField(default=False)
    reason = models.CharField(max_length=300)
    #: What the other side is asked, and until when; "" asks nothing.
    question = models.TextField(blank=True)
    due_on = models.DateField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar = ["-created_at"]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(to_user__isnull=True) ^ Q(to_trust__isnull=True),
                name="share_goes_to_a_person_or_a_trust",
            )
        ]

    def __str__(self) -> str:
        return f"share of {self.study} with {self.to_user or self.to_trust}"

    @property
    def is_live(self) -> bool:
        return self.revoked_at is None and self.expires_at > timezone.now()

    @property
    def verbs(self) -> frozenset[str]:
        granted = {"download": self.may_download, "comment": self.may_comment, "run": self.may_run}
        return frozenset({"see"} | {verb for verb, may in granted.items() if may})

"""What somebody should know: something was shared with them, or their analysis has ended."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.identifiers import PublicIdField


class Notification(models.Model):
    """One line for one person. It goes with the study that it is about."""

    class Kind(models.TextChoices):
        SHARED = "shared", _("A study was shared with you")
        UNSHARED = "unshared", _("A study is no longer shared with you")
        FINISHED = "finished", _("An analysis has finished")
        FAILED = "failed", _("An analysis has failed")
        ASKED = "asked", _("A question about a study waits for your answer")
        ANSWERED = "answered", _("Your question about a study was answered")
        MENTIONED = "mentioned", _("A comment calls you by name")
        PROJECT_ASKS = "asks", _("A research project asks for your trust’s data")
        PROJECT_ANSWER = "answer", _("A trust has answered your research project")

    public_id = PublicIdField()
    to = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="notifications"
    )
    kind = models.CharField(max_length=10, choices=Kind.choices)
    study = models.ForeignKey(
        "studies.Study", on_delete=models.CASCADE, null=True, related_name="notifications"
    )
    project = models.ForeignKey(
        "studies.Project", on_delete=models.CASCADE, null=True, related_name="notifications"
    )
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now)
    read_at = models.DateTimeField(null=True)

    class Meta:
        ordering: ClassVar = ["-created_at", "-pk"]
        indexes: ClassVar = [
            models.Index(
                fields=["to"], condition=models.Q(read_at=None), name="unread_notifications"
            )
        ]

    def __str__(self) -> str:
        return str(self.get_kind_display())

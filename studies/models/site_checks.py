"""What the site knows of itself: when it was last backed up, whether it still measures rightly."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class SiteCheck(models.Model):
    """The last outcome of each kind; one row a kind."""

    class Kind(models.TextChoices):
        TRUTH = "truth", _("Measurement of a phantom whose flow is known")
        BACKUP = "backup", _("Backup")

    kind = models.CharField(max_length=10, choices=Kind.choices, unique=True)
    #: When it was last due or asked for; so that of several workers one does it.
    asked_at = models.DateTimeField(default=timezone.now)
    at = models.DateTimeField(null=True)
    passed = models.BooleanField(null=True)
    detail = models.JSONField(default=dict)

    class Meta:
        ordering: ClassVar = ["kind"]

    def __str__(self) -> str:
        return str(self.get_kind_display())

    @classmethod
    def keep(cls, kind: str, *, passed: bool, detail: dict[str, Any]) -> None:
        """Write the outcome of a check that has just been done."""
        cls.objects.update_or_create(
            kind=kind, defaults={"at": timezone.now(), "passed": passed, "detail": detail}
        )

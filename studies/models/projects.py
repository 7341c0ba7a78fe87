"""Research projects: which trusts joined, who works in one, and the cohorts that are kept in it."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.identifiers import PublicIdField


class Project(models.Model):
    """What the data of several trusts are used for, by whom and until when."""

    public_id = PublicIdField()
    name = models.CharField(_("name"), max_length=120)
    purpose = models.TextField(_("purpose"), max_length=2000)
    ethics_number = models.CharField(_("ethics approval"), max_length=60)
    #: How many studies it wants to have in the end; 0 is not said.
    wanted = models.PositiveIntegerField(_("studies wanted"), default=0)
    ends_on = models.DateField(_("ends on"))
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now)
    closed_at = models.DateTimeField(null=True)
    members: models.ManyToManyField[models.Model, models.Model] = models.ManyToManyField(
        settings.AUTH_USER_MODEL, related_name="projects"
    )

    class Meta:
        ordering: ClassVar = ["-created_at"]

    def __str__(self) -> str:
        return self.name

    @property
    def is_open(self) -> bool:
        """Whether data may still be used: not closed, and its end has not come."""
        return self.closed_at is None and self.ends_on >= timezone.localdate()


class ProjectTrust(models.Model):
    """A trust that was asked to join, and what it said."""

    class State(models.TextChoices):
        ASKED = "asked", _("Asked")
        ALLOWED = "allowed", _("Allowed")
        REFUSED = "refused", _("Refused")

    public_id = PublicIdField()
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="trusts")
    trust = models.ForeignKey(
        "accounts.Trust", on_delete=models.PROTECT, related_name="project_trusts"
    )
    state = models.CharField(max_length=10, choices=State.choices, default=State.ASKED)
    asked_at = models.DateTimeField(default=timezone.now)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    decided_at = models.DateTimeField(null=True)

    class Meta:
        ordering: ClassVar = ["project", "trust__name"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["project", "trust"], name="trust_once_per_project")
        ]

    def __str__(self) -> str:
        return f"{self.trust} in {self.project}"


class Cohort(models.Model):
    """A definition of which studies count, by name; a change is a new version of it."""

    public_id = PublicIdField()
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="cohorts")
    name = models.CharField(_("name"), max_length=120)
    version = models.PositiveIntegerField(default=1)
    #: The filters as the page, the API and the export read them: names to lists of words.
    definition = models.JSONField(default=dict)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering: ClassVar = ["name", "-version"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["project", "name", "version"], name="cohort_version_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.name}, version {self.version}"

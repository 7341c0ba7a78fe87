"""The only model with a FileField: every stored file is reached by it and media.py."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils import timezone

from accounts.identifiers import PublicIdField, new_public_id


def random_key(instance: StoredFile | None, filename: str) -> str:
    """A name in storage tells nothing: 128 random bits, below two letters to spread folders."""
    key = new_public_id()
    return f"{key[:2]}/{key}"


class StoredFile(models.Model):
    class Kind(models.TextChoices):
        SOURCE = "source", "Rebuilt source image"
        MAP = "map", "Flow map, picture"
        CINE = "cine", "Corrected film"
        POSTER = "poster", "First picture of the film"
        DATA = "data", "Data"
        REPORT = "report", "Report"
        OBJECTS = "objects", "DICOM objects"
        FRAMES = "frames", "Film and maps for the workspace"

    public_id = PublicIdField()
    study = models.ForeignKey("studies.Study", on_delete=models.CASCADE, related_name="files")
    series = models.ForeignKey(
        "studies.Series", on_delete=models.SET_NULL, null=True, related_name="files"
    )
    result = models.ForeignKey(
        "studies.Result", on_delete=models.CASCADE, null=True, related_name="files"
    )
    kind = models.CharField(max_length=10, choices=Kind.choices)
    folder = models.CharField(max_length=64, blank=True)
    name = models.CharField(max_length=100)
    content_type = models.CharField(max_length=64)
    size = models.PositiveBigIntegerField()
    sha256 = models.CharField(max_length=64)
    file = models.FileField(upload_to=random_key, max_length=100)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering: ClassVar = ["folder", "name", "id"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["study", "sha256"],
                condition=models.Q(kind="source"),
                name="source_file_once_per_study",
            )
        ]

    def __str__(self) -> str:
        return f"{self.folder}/{self.name}" if self.folder else self.name

"""The link from a study to its patient: sealed, apart from it, for the owning trust alone."""

from __future__ import annotations

from django.db import models
from django.utils import timezone


class SourceIdentity(models.Model):
    """Read and written by ``studies/identity.py`` only."""

    study = models.OneToOneField(
        "studies.Study", on_delete=models.CASCADE, related_name="source_identity"
    )
    sealed = models.BinaryField()
    #: A keyed hash of the local patient number: finds a study by it, tells nothing without the key.
    number_hash = models.CharField(max_length=64, blank=True, db_index=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name_plural = "source identities"

    def __str__(self) -> str:
        return f"identity of study {self.study_id}"

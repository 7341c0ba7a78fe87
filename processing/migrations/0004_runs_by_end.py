"""What a trust was served lately, found quickly; made without locking the table of a live site."""

from __future__ import annotations

from typing import ClassVar

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False

    dependencies: ClassVar = [("processing", "0003_engine_cards")]

    operations: ClassVar = [
        AddIndexConcurrently(
            model_name="run", index=models.Index(fields=["finished_at"], name="runs_by_end")
        ),
    ]

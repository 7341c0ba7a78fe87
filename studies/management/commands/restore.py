"""Put a backup back into an empty site, and compare every part of it with its manifest."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from studies import backup


class Command(BaseCommand):
    help = "Restore a backup into an empty database and empty storage."
    # The tables come from the backup.
    requires_migrations_checks = False

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("archive", type=Path)
        parser.add_argument("--key", type=Path, required=True, help="file with the secret key")

    def handle(self, *args: Any, archive: Path, key: Path, **options: Any) -> None:
        begun = time.monotonic()
        try:
            found = backup.restore(archive, key)
        except backup.BackupError as error:
            raise CommandError(str(error)) from None
        self.stdout.write(f"files put back            {found['files']}")
        self.stdout.write(f"files that differ         {len(found['wrong'])}")
        self.stdout.write(f"tables whose count differs {len(found['counts_differ'])}")
        self.stdout.write(
            f"record of actions         {found['chain']}, {found['chain_length']} links"
        )
        self.stdout.write(f"studies erased again      {found['erased_again']}")
        self.stdout.write(f"minutes                   {(time.monotonic() - begun) / 60:.1f}")
        if found["wrong"] or found["counts_differ"] or found["chain"] != "whole":
            raise CommandError("The site is not whole: see the lines above.")

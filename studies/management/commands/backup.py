"""Make an encrypted backup of database and files, or a key for backups."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pyrage
from django.core.management.base import BaseCommand, CommandError

from studies import backup


class Command(BaseCommand):
    help = "Back up database and stored files into one encrypted file."

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("folder", type=Path, nargs="?", help="where the backup is put")
        parser.add_argument(
            "--new-key", action="store_true", help="print a new pair of keys for backups, no more"
        )
        parser.add_argument("--keep", type=int, default=0, help="keep the newest so many backups")

    def handle(
        self, *args: Any, folder: Path | None, new_key: bool, keep: int, **options: Any
    ) -> None:
        if new_key:
            identity = pyrage.x25519.Identity.generate()
            self.stdout.write(f"public (CORECMR_BACKUP_RECIPIENTS): {identity.to_public()}")
            self.stdout.write(f"secret (keep it away from this machine): {identity}")
            return
        if folder is None:
            raise CommandError("Name the folder that the backup is put into.")
        begun = time.monotonic()
        try:
            path, manifest = backup.make(folder)
        except backup.BackupError as error:
            raise CommandError(str(error)) from None
        seconds = time.monotonic() - begun
        self.stdout.write(
            f"{path.name}: {len(manifest['files'])} files, "
            f"{sum(manifest['counts'].values())} rows, {path.stat().st_size / 1024**2:.1f} MB, "
            f"{seconds:.1f} s"
        )
        if keep:
            for old in sorted(folder.glob("corecmr-*.tar.age"))[:-keep]:
                old.unlink()
                self.stdout.write(f"{old.name}: deleted, {keep} newer ones are kept")

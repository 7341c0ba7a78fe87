"""Erase the studies whose trust's retention period is over."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from studies import erasure


class Command(BaseCommand):
    help = (
        "Erase studies whose trust's retention period is over; those on hold are kept. "
        "Run it daily; with --dry-run it only says what it would do."
    )

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("--dry-run", action="store_true", help="list them, erase nothing")

    def handle(self, *args: Any, dry_run: bool, **options: Any) -> None:
        erased = kept = 0
        for study in erasure.due():
            received = f"{study.created_at:%Y-%m-%d}"
            if study.hold_reason:
                kept += 1
                self.stdout.write(f"{study.reference}, received {received}: on hold, kept")
                continue
            if not dry_run:
                done = erasure.erase_by_retention(study)
                if done is None:
                    continue
                erasure.finish(done.pk)
            erased += 1
            word = "would be erased" if dry_run else "erased"
            self.stdout.write(f"{study.reference}, received {received}: {word}")
        word = "to erase" if dry_run else "erased"
        self.stdout.write(f"{erased} {word}, {kept} on hold.")

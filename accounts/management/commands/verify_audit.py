"""Whether the record of actions is whole, and its head kept outside the database."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from accounts import chain


class Command(BaseCommand):
    help = (
        "Check the chain of the record of actions: nothing changed, deleted, put in or cut off. "
        "Names the first broken position and ends with 1, or keeps the signed head in a file."
    )

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument(
            "--heads", type=Path, default=settings.AUDIT_HEADS,
            help="file of signed heads to compare with and to add to; best on another machine",
        )  # fmt: skip

    def handle(self, *args: Any, heads: Path, **options: Any) -> None:
        finding = chain.verify(heads)
        if finding.broken_at is not None:
            raise CommandError(f"Broken at position {finding.broken_at}: {finding.reason}.")
        if finding.reason:
            raise CommandError(f"The chain is whole, but {finding.reason}.")
        head = chain.keep_head(heads)
        self.stdout.write(f"The record is whole: {finding.length} events.")
        self.stdout.write(f"Head {head.position} {head.digest or '-'}")

"""Send the daily mail of what is new to those who want it."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from studies import digest


class Command(BaseCommand):
    help = "Mail what is new since the last mail to everybody who asked for it. Run it daily."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(f"{digest.send()} mails sent.")

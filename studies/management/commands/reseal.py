"""After a change of CORECMR_IDENTITY_KEYS: seal what is kept of patients with the first key."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from studies import identity, vault


class Command(BaseCommand):
    help = __doc__

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            count = identity.reseal()
        except vault.CannotOpen:
            raise CommandError(
                "One identity opens with none of the keys. Put the key that it was sealed with "
                "behind the first one in CORECMR_IDENTITY_KEYS, and run this again."
            ) from None
        self.stdout.write(f"Sealed with the first key: {count} identities.")

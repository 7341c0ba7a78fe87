"""People of every role for the demo, with passwords made at this moment and printed once."""

from __future__ import annotations

import json
import os
import secrets
from typing import Any

from allauth.account.models import EmailAddress
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from accounts import audit
from accounts.models import Consent, Membership, Policy, Trust, User
from accounts.roles import Role

TRUSTS = (
    ("Northside NHS Trust", "RXN01", "northside.example"),
    ("Southbank NHS Trust", "RXS02", "southbank.example"),
)
PEOPLE = (
    ("consultant", "consultant@northside.example", "Dr Anna Northside", Role.CONSULTANT, 0),
    ("colleague", "consultant@southbank.example", "Dr Samuel Southbank", Role.CONSULTANT, 1),
    ("researcher", "researcher@northside.example", "Rita Research", Role.RESEARCHER, 0),
    ("administrator", "admin@corecmr.example", "Alex Admin", Role.ADMINISTRATOR, None),
    # It takes two to make a third.
    ("second", "second.admin@corecmr.example", "Bo Admin", Role.ADMINISTRATOR, None),
    ("manager", "manager@northside.example", "Toni Manager", Role.TRUST_ADMINISTRATOR, 0),
)


class Command(BaseCommand):
    help = "Make two trusts and people of every role, for the demo only."

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.SETTINGS_MODULE.endswith((".demo", ".test")):
            raise CommandError("seed_demo makes people for the demo only; this is not the demo.")
        path = settings.VAR_DIR / "demo.json"
        if User.objects.exists():
            self.stdout.write(f"The demo's people exist; their passwords lie in {path.name}.")
            return
        people = self._people()
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as handle:
            json.dump({"people": people}, handle, indent=1)
        self.stdout.write("People of the demo (shown this once):")
        for person in people:
            line = "  {role:<20} {trust:<20} {email:<32} {password}"
            self.stdout.write(line.format(**person))

    @transaction.atomic
    def _people(self) -> list[dict[str, str]]:
        trusts = [
            Trust.objects.create(
                name=name, ods_code=code, mail_domains=domain, research_allowed=True
            )
            for name, code, domain in TRUSTS
        ]
        people = []
        for key, email, name, role, number in PEOPLE:
            trust = None if number is None else trusts[number]
            password = secrets.token_urlsafe(12)
            user = User.objects.create_user(email, password, name=name, status=User.Status.APPROVED)
            EmailAddress.objects.create(user=user, email=email, verified=True, primary=True)
            Membership.objects.create(user=user, trust=trust, role=role)
            for kind in Policy.Kind.values:
                Consent.objects.create(user=user, policy=Policy.current(kind))
            audit.record(None, "account.seed", user, role=role)
            people.append(
                {
                    "key": key,
                    "role": str(Role(role).label),
                    "trust": trust.name if trust else "–",
                    "email": email,
                    "password": password,
                }
            )
        return people

"""A new version of a policy comes into force: everybody is asked to accept it."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.template import TemplateDoesNotExist
from django.template.loader import get_template

from accounts import audit
from accounts.models import Policy


class Command(BaseCommand):
    help = "Publish the next version of a policy; its text is a template of that number."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("kind", choices=Policy.Kind.values)

    def handle(self, *args: Any, **options: Any) -> None:
        kind = options["kind"]
        policy = Policy(kind=kind, version=Policy.current(kind).version + 1)
        try:
            get_template(policy.template)
        except TemplateDoesNotExist:
            raise CommandError(f"Write its text first: templates/{policy.template}") from None
        policy.save()
        audit.record(None, "policy.publish", kind=kind, version=policy.version)
        self.stdout.write(f"{policy} is in force. Everybody is asked to accept it.")

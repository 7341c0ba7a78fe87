"""The first two administrators of a new site, for it takes two to make any other."""

from __future__ import annotations

from argparse import ArgumentParser
from email.utils import parseaddr
from typing import Any

from allauth.account.forms import default_token_generator
from allauth.account.models import EmailAddress
from allauth.account.utils import user_pk_to_url_str
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.core.validators import validate_email
from django.db import transaction
from django.urls import reverse

from accounts import audit
from accounts.models import Membership, User
from accounts.roles import Role


class Command(BaseCommand):
    help = "Make the first administrators of a new site; prints a link for each, once."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("people", nargs="+", metavar="'Name <address>'")
        parser.add_argument("--site", default="", help="address of the site, for the links")

    @transaction.atomic
    def handle(self, *args: Any, **options: Any) -> None:
        people = [_person(text) for text in options["people"]]
        if len({email for _name, email in people}) != len(people):
            raise CommandError("The same address twice: two different people are needed.")
        there = User.objects.who_may("administer")
        # Below two nobody could make another one: then this command may help again.
        if there.count() >= 2:
            raise CommandError(
                "The site has its administrators; they make others, two of them together."
            )
        if there.count() + len(people) < 2:
            raise CommandError("Name two people: it takes two administrators to make any other.")
        if there.count() + len(people) > 2:
            raise CommandError("Name no more than it takes to have two administrators.")
        taken = User.objects.filter(email__in=[email for _name, email in people]).first()
        if taken is not None:
            raise CommandError(f"There is an account of {taken.email} already.")
        self.stdout.write("Each chooses a password by this link, within three days (shown once):")
        for name, email in people:
            self.stdout.write(f"  {name} <{email}>\n  {_site(options['site'])}{_make(name, email)}")


def _person(text: str) -> tuple[str, str]:
    name, email = parseaddr(text)
    try:
        validate_email(email)
    except ValidationError:
        raise CommandError(f"{text!r} is no person: write 'Name <address>'.") from None
    return name or email, email.lower()


def _make(name: str, email: str) -> str:
    """The account, without a password yet; gives the path of the link."""
    user = User.objects.create_user(email, None, name=name, status=User.Status.APPROVED)
    EmailAddress.objects.create(user=user, email=email, verified=True, primary=True)
    Membership.objects.create(user=user, trust=None, role=Role.ADMINISTRATOR)
    audit.record(None, "account.bootstrap", user, role=Role.ADMINISTRATOR.value)
    key = f"{user_pk_to_url_str(user)}-{default_token_generator.make_token(user)}"
    uidb36, _dash, token = key.partition("-")
    return reverse("account_reset_password_from_key", kwargs={"uidb36": uidb36, "key": token})


def _site(named: str) -> str:
    if named:
        return named.rstrip("/")
    host = next((host for host in settings.ALLOWED_HOSTS if not host.startswith(("*", "."))), "")
    return f"https://{host}" if host else ""

"""Ten thousand guesses at one password, from ever new forged addresses: how many are compared.

The short form stands in tests/accounts/test_sign_in.py.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable

from scripts.bench.table import Figure

GUESSES = 10_000
#: Of one account in five minutes, wherever they come from.
ALLOWED, WINDOW_SECONDS = 5, 300


def measure(said: Callable[[str], None]) -> list[Figure]:
    """With no proxy in front and with one; on a database of its own that is gone afterwards."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "corecmr.settings.test"
    import django

    django.setup()
    from django.conf import settings
    from django.test.runner import DiscoverRunner
    from django.test.utils import override_settings

    from scripts import postgres

    runner = DiscoverRunner(verbosity=0, interactive=False)
    databases = runner.setup_databases()
    figures = []
    try:
        for proxies in (0, 1):
            with override_settings(ALLAUTH_TRUSTED_PROXY_COUNT=proxies):
                figures += _guess(proxies, said)
    finally:
        runner.teardown_databases(databases)
        if settings.DATABASE_STARTED:
            postgres.stop(postgres.server(test=True))
    return figures


def _guess(proxies: int, said: Callable[[str], None]) -> list[Figure]:
    from allauth.account.models import EmailAddress
    from django.contrib.auth.signals import user_login_failed
    from django.core.cache import cache
    from django.test import Client

    from accounts.models import User

    cache.clear()
    email = f"target{proxies}@hospital.example"
    user = User.objects.create_user(email, "the-right-one-of-all", name="Dr Target")
    EmailAddress.objects.create(user=user, email=email, verified=True, primary=True)
    compared = 0

    def count(**told: object) -> None:
        nonlocal compared
        compared += 1

    # Django tells of each password that was compared and was wrong.
    user_login_failed.connect(count)
    chance = random.Random(proxies)  # noqa: S311
    client, begun = Client(), time.monotonic()
    try:
        for number in range(GUESSES // 2):
            forged = ", ".join(_address(chance) for _ in range(chance.randrange(1, 4)))
            seen = ", 192.0.2.7" if proxies else ""  # what our own proxy adds
            client.post(
                "/accounts/login/",
                {"login": email, "password": f"guess-{number}"},
                headers={"X-Forwarded-For": forged + seen, "X-Real-IP": _address(chance)},
            )
            if number % 100 == 0:
                said(f"guesses with {proxies} proxies: {number}, compared: {compared}")
    finally:
        user_login_failed.disconnect(count)
    windows = 1 + int((time.monotonic() - begun) // WINDOW_SECONDS)
    return [
        Figure(
            "guesses compared beyond five in five minutes", f"{proxies} proxies",
            compared - ALLOWED * windows, reach=0,
            note=f"{GUESSES // 2} guesses, {compared} compared, {windows} windows",
        )
    ]  # fmt: skip


def _address(chance: random.Random) -> str:
    return ".".join(str(chance.randrange(1, 255)) for _ in range(4))

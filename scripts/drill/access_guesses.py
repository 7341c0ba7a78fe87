"""Ten thousand guesses at a password, with ever new forged addresses or from many real ones: how
many are compared.

The short form stands in tests/accounts/test_sign_in.py.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable

from scripts.bench.table import Figure
from scripts.drill.database import scene

#: In each of three ways.
GUESSES = 3_400
#: Of one account in five minutes, wherever they come from.
ALLOWED, WINDOW_SECONDS = 5, 300


def measure(said: Callable[[str], None]) -> list[Figure]:
    """From one address and from 200; on a database of its own that is gone afterwards."""
    logging.disable(logging.WARNING)  # each refusal is a line
    figures = []
    with scene():
        from django.test.utils import override_settings

        for proxies, addresses in ((0, 1), (1, 1), (1, 200)):
            with override_settings(ALLAUTH_TRUSTED_PROXY_COUNT=proxies):
                figures.append(_guess(proxies, addresses, said))
    return figures


def _guess(proxies: int, addresses: int, said: Callable[[str], None]) -> Figure:
    from allauth.account.models import EmailAddress
    from django.contrib.auth.signals import user_login_failed
    from django.core.cache import cache
    from django.test import Client

    from accounts.models import User

    cache.clear()
    email = f"target{proxies}-{addresses}@hospital.example"
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
        for number in range(GUESSES):
            forged = ", ".join(_address(chance) for _ in range(chance.randrange(1, 4)))
            # What our own proxy adds: the address that it saw.
            seen = f", 192.0.2.{number % addresses}" if proxies else ""
            client.post(
                "/accounts/login/",
                {"login": email, "password": f"guess-{number}"},
                headers={"X-Forwarded-For": forged + seen, "X-Real-IP": _address(chance)},
            )
            if number % 100 == 0:
                said(f"{proxies} proxies, {addresses} addresses: {number} guesses")
    finally:
        user_login_failed.disconnect(count)
    windows = 1 + int((time.monotonic() - begun) // WINDOW_SECONDS)
    return Figure(
        "guesses compared beyond five in five minutes",
        f"{proxies} proxies, {addresses} addresses",
        compared - ALLOWED * windows, reach=0,
        note=f"{GUESSES} guesses, {compared} compared in {windows} times five minutes",
    )  # fmt: skip


def _address(chance: random.Random) -> str:
    return ".".join(str(chance.randrange(1, 255)) for _ in range(4))

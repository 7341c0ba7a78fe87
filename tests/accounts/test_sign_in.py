"""Signing in cannot be guessed, tells nobody who has an account, and locks out nobody else."""

from __future__ import annotations

import random
import re

import pytest
from allauth.core.internal import ratelimit
from django.contrib.auth.hashers import MD5PasswordHasher
from django.core import mail
from django.core.cache import cache, caches
from django.core.cache.backends.db import DatabaseCache
from django.db import connection
from django.test import Client, RequestFactory

from accounts.adapter import AccountAdapter
from accounts.models import AuditEvent
from corecmr.cache import LimitsCache
from tests.people import PASSWORD, make_trust, make_user

pytestmark = pytest.mark.django_db

LOGIN = "/accounts/login/"
#: Tries of the short form; the drill makes ten thousand.
GUESSES = 150


@pytest.fixture(autouse=True)
def _no_limits_from_other_tests():
    cache.clear()


class CountingHasher(MD5PasswordHasher):
    """The hasher of the tests, counting how often a password is compared."""

    made = 0

    def encode(self, password: str, salt: str) -> str:
        type(self).made += 1
        return super().encode(password, salt)


@pytest.fixture
def counted(settings):
    settings.PASSWORD_HASHERS = ["tests.accounts.test_sign_in.CountingHasher"]
    CountingHasher.made = 0
    return CountingHasher


def forged(number: int) -> dict[str, str]:
    """A header that names another client each time, as a guesser would write it."""
    maker = random.Random(number)
    address = ".".join(str(maker.randrange(1, 255)) for _ in range(4))
    return {
        "X-Forwarded-For": f"{address}, 10.0.0.{number % 250}",
        "X-Real-IP": address,
        "Forwarded": f"for={address}",
    }


def seen(answer) -> tuple[int, str]:
    """What somebody sees of an answer, but for what is different each time."""
    text = re.sub(r'value="\w{20,}"|id="nonce-\w+"|[0-9a-f]{16}', "", answer.content.decode())
    return answer.status_code, text


@pytest.mark.parametrize("proxies", [0, 1])
def test_forged_addresses_buy_no_tries(client, counted, settings, proxies):
    """Of many guesses from ever new "addresses" five are compared with the password."""
    settings.ALLAUTH_TRUSTED_PROXY_COUNT = proxies
    user = make_user(make_trust())
    counted.made = 0
    for number in range(GUESSES):
        headers = forged(number)
        if proxies:  # what the guesser wrote, and behind it what our proxy saw
            headers["X-Forwarded-For"] += ", 192.0.2.7"
        client.post(LOGIN, {"login": user.email, "password": f"guess-{number}"}, headers=headers)
    assert counted.made == 5
    client.post(LOGIN, {"login": user.email, "password": PASSWORD}, headers=forged(-1))
    assert "_auth_user_id" not in client.session


def test_one_persons_failures_lock_nobody_else_out(client):
    user, colleague = make_user(make_trust()), make_user(make_trust())
    for number in range(20):
        client.post(LOGIN, {"login": user.email, "password": f"guess-{number}"})
    client.post(LOGIN, {"login": colleague.email, "password": PASSWORD})
    assert "_auth_user_id" in client.session, "from the same address"


def test_an_address_that_guesses_at_everybody_is_stopped_and_the_others_are_not(client, counted):
    people = [make_user(make_trust()) for _ in range(3)]
    counted.made = 0
    for number in range(90):
        login = f"nobody{number}@hospital.example"
        client.post(LOGIN, {"login": login, "password": "guess"}, REMOTE_ADDR="198.51.100.9")
    assert counted.made <= 60
    for user in people:
        other = Client(REMOTE_ADDR="203.0.113.5")
        other.post(LOGIN, {"login": user.email, "password": PASSWORD})
        assert "_auth_user_id" in other.session


def test_the_address_that_counts_is_the_one_our_own_proxy_saw(settings):
    def address(header: str, neighbour: str = "10.0.0.1") -> str:
        request = RequestFactory().get(
            "/", REMOTE_ADDR=neighbour, headers={"X-Forwarded-For": header}
        )
        return AccountAdapter(request).get_client_ip(request)

    settings.ALLAUTH_TRUSTED_PROXY_COUNT = 0
    assert address("192.0.2.1") == "10.0.0.1"
    settings.ALLAUTH_TRUSTED_PROXY_COUNT = 1
    assert address("203.0.113.9, 192.0.2.1") == "192.0.2.1"
    settings.ALLAUTH_TRUSTED_PROXY_COUNT = 2
    assert address("203.0.113.9, 192.0.2.1, 10.1.1.1") == "192.0.2.1"
    assert address("192.0.2.1") == "10.0.0.1", "it did not come through both"
    settings.ALLAUTH_TRUSTED_PROXY_COUNT = 1
    assert address("nonsense") == "10.0.0.1"
    assert address("nonsense", "") == "0.0.0.0"  # noqa: S104


def test_limits_are_shared_by_all_web_processes():
    """They are counted in the database, not in a process."""
    assert isinstance(caches["default"], DatabaseCache)
    request = RequestFactory().post("/", REMOTE_ADDR="192.0.2.1")
    rates = {"app": "allauth.account", "action": "login_failed", "key": "somebody"}
    for _ in range(5):
        assert ratelimit.consume(request, **rates)
    assert not ratelimit.consume(request, **rates)


def test_many_addresses_do_not_win_back_the_tries_of_an_account(client, counted, settings):
    """Each of them leaves entries of its own in the table, more than it is meant to hold."""
    settings.CACHES = {
        "default": {**settings.CACHES["default"], "OPTIONS": {"MAX_ENTRIES": 20}},
    }
    user = make_user(make_trust())
    counted.made = 0
    for number in range(60):
        client.post(
            LOGIN, {"login": user.email, "password": "guess"}, REMOTE_ADDR=f"198.51.100.{number}"
        )
    assert counted.made == 5


def test_what_has_run_out_is_deleted():
    made = LimitsCache("corecmr_cache", {"OPTIONS": {"MAX_ENTRIES": 5}})
    for number in range(20):
        made.set(f"old-{number}", number, timeout=-60)
        made.set(f"new-{number}", number, timeout=60)
    made.set("one-more", 1, timeout=60)
    table = connection.ops.quote_name("corecmr_cache")
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT cache_key FROM {table}")  # noqa: S608
        kept = {key.rpartition(":")[2] for (key,) in cursor.fetchall()}
    assert {f"new-{number}" for number in range(20)} | {"one-more"} == kept


def test_signing_in_does_not_tell_who_has_an_account(counted):
    user = make_user(make_trust())
    answers, work = [], []
    for login in (user.email, "nobody@hospital.example"):
        counted.made = 0
        answer = Client().post(LOGIN, {"login": login, "password": "wrong-password-1"})
        answers.append(seen(answer)[1].replace(login, "LOGIN"))
        work.append(counted.made)
    assert answers[0] == answers[1]
    assert work[0] == work[1] == 1, "as much work for either, so time tells nothing"


def test_registering_does_not_tell_who_has_an_account():
    trust = make_trust()
    user = make_user(trust)
    answers = []
    for email in (user.email, "newcomer@hospital.example"):
        answer = Client().post(
            "/accounts/signup/",
            {
                "email": email, "password1": PASSWORD, "password2": PASSWORD, "name": "Dr Person",
                "trust": trust.pk, "role": "consultant", "accept_terms": "on",
                "accept_privacy": "on",
            },
        )  # fmt: skip
        answers.append((answer.status_code, answer.headers["Location"], answer.content))
    assert answers[0] == answers[1]
    assert "already" in mail.outbox[0].body, "the owner of the address is told, nobody else"


def test_a_forgotten_password_does_not_tell_who_has_an_account():
    user = make_user(make_trust())
    answers = []
    for email in (user.email, "nobody@hospital.example"):
        answer = Client().post("/accounts/password/reset/", {"email": email})
        answers.append((answer.status_code, answer.headers["Location"], answer.content))
    assert answers[0] == answers[1]
    assert [message.to for message in mail.outbox] == [[user.email]]


def test_a_passkey_sign_in_names_nobody(client):
    make_user(make_trust())
    answer = client.get("/accounts/2fa/webauthn/login/", headers={"Accept": "application/json"})
    options = answer.json()["request_options"]["publicKey"]
    assert not options.get("allowCredentials")
    assert options["userVerification"] == "required"


def test_long_passwords_are_taken_whole_and_no_kind_of_character_is_asked_for(client):
    user = make_user(make_trust())
    client.force_login(user)
    for password in ("all small letters and spaces", "x" * 30 + "y" * 34):
        client.post(
            "/accounts/password/change/",
            {"oldpassword": PASSWORD, "password1": password, "password2": password},
        )
        user.refresh_from_db()
        assert user.check_password(password)
        assert not user.check_password(password[:-1])
        user.set_password(PASSWORD)
        user.save()
        client.force_login(user)


def test_changes_of_the_password_are_recorded(client, django_capture_on_commit_callbacks):
    user = make_user(make_trust())
    client.force_login(user)
    new = "quite-another-one-11"
    client.post(
        "/accounts/password/change/",
        {"oldpassword": PASSWORD, "password1": new, "password2": new},
    )
    assert AuditEvent.objects.filter(verb="account.password_change", actor=user.public_id).exists()
    client.post("/accounts/logout/")
    client.post("/accounts/password/reset/", {"email": user.email})
    link = re.search(r"https?://[^/]+(/accounts/password/reset/key/\S+)", mail.outbox[-1].body)
    page = client.get(link[1], follow=True)
    client.post(page.request["PATH_INFO"], {"password1": PASSWORD, "password2": PASSWORD})
    assert AuditEvent.objects.filter(verb="account.password_reset", actor=user.public_id).exists()
    again = client.get(link[1], follow=True).content.decode()
    assert "no longer works" in again or "cannot be used" in again
    assert "/accounts/password/reset/" in again, "a new link is offered"


def test_too_many_attempts_are_told_to_programs_as_json(client):
    for _ in range(21):
        answer = client.post(
            "/accounts/signup/", {"email": "x"}, headers={"Accept": "application/json"}
        )
    assert answer.status_code == 429
    assert answer.json() == {"error": "too_many_requests", "id": answer["X-Request-ID"]}

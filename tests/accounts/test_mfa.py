"""The second factor: asked for where the site says so, kept encrypted, and each code taken once."""

from __future__ import annotations

import time

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret, hotp_value
from cryptography.fernet import InvalidToken
from django.core import mail
from django.core.cache import cache

from accounts import registration
from accounts.mfa import MFAAdapter
from accounts.models import AuditEvent
from tests.people import PASSWORD, make_administrator, make_trust, make_user

pytestmark = pytest.mark.django_db

LOGIN, SECOND = "/accounts/login/", "/accounts/2fa/authenticate/"


@pytest.fixture(autouse=True)
def _no_limits_from_other_tests():
    cache.clear()


@pytest.fixture
def required(settings):
    settings.REQUIRE_MFA = True


def code(secret: str, steps: int = 0) -> str:
    return f"{hotp_value(secret, int(time.time()) // 30 + steps):06}"


def with_app(user) -> str:
    secret = generate_totp_secret()
    TOTP.activate(user, secret)
    return secret


def is_signed_in(client) -> bool:
    return "_auth_user_id" in client.session


def test_secrets_are_not_in_the_database_and_open_with_the_sites_key_alone(settings):
    user = make_user(make_trust())
    secret = with_app(user)
    RecoveryCodes.activate(user)
    kept = str(list(Authenticator.objects.values_list("data", flat=True)))
    assert secret not in kept
    stored = Authenticator.objects.get(type="totp").data["secret"]
    assert MFAAdapter().decrypt(stored) == secret
    settings.MFA_KEY_FALLBACKS, settings.MFA_KEY = [settings.MFA_KEY], "another key" * 6
    assert MFAAdapter().decrypt(stored) == secret, "an earlier key still opens"
    settings.MFA_KEY_FALLBACKS = []
    with pytest.raises(InvalidToken):
        MFAAdapter().decrypt(stored)


@pytest.mark.usefixtures("required")
def test_without_one_there_is_only_the_set_up_ones_own_matters_and_the_way_out(client):
    user = make_user(make_trust())
    client.force_login(user)
    for path in ("/", "/protocols/", "/progress/", "/accounts/directory/", "/accounts/sessions/"):
        assert client.get(path).headers["Location"] == "/accounts/2fa/"
    answer = client.get("/progress/", headers={"Accept": "application/json"})
    assert (answer.status_code, answer.json()) == (403, {"error": "second_factor_required"})
    for path in ("/accounts/2fa/", "/accounts/profile/", "/accounts/my-data.json"):
        assert client.get(path).status_code == 200
    assert "only to people who sign in with a second factor" in (
        client.get("/accounts/2fa/").content.decode()
    )
    assert client.post("/accounts/logout/").status_code == 302
    assert not is_signed_in(client)


@pytest.mark.usefixtures("required")
def test_from_the_password_alone_to_the_studies(client):
    """An app is set up, the codes for emergencies are shown, and the way is open."""
    user = make_user(make_trust())
    client.post(LOGIN, {"login": user.email, "password": PASSWORD})
    asked = client.get("/accounts/2fa/totp/activate/")
    assert asked.headers["Location"].startswith("/accounts/reauthenticate/")
    client.post(asked.headers["Location"], {"password": PASSWORD})
    page = client.get("/accounts/2fa/totp/activate/")
    secret = page.context["form"].secret
    assert secret in page.content.decode()
    wrong = client.post("/accounts/2fa/totp/activate/", {"code": "000000"})
    assert "nhsuk-error-summary" in wrong.content.decode()
    done = client.post("/accounts/2fa/totp/activate/", {"code": code(secret)})
    assert done.headers["Location"] == "/accounts/2fa/recovery-codes/"
    assert client.get(done.headers["Location"]).content.decode().count("<li><code>") == 10
    assert client.get("/").status_code == 200
    events = AuditEvent.objects.filter(actor=user.public_id, verb="account.factor_add")
    assert {event.detail["type"] for event in events} <= {"totp", "recovery_codes"}


def test_an_app_is_asked_for_after_the_password_and_each_code_opens_once(client):
    user = make_user(make_trust())
    secret = with_app(user)
    assert (
        client.post(LOGIN, {"login": user.email, "password": PASSWORD})
        .headers["Location"]
        .startswith(SECOND)
    )
    assert not is_signed_in(client)
    assert client.get("/").status_code == 200, "the page for visitors"
    assert "nhsuk-error" in client.post(SECOND, {"code": "12"}).content.decode()
    assert AuditEvent.objects.filter(verb="account.factor_failed").count() == 1
    used = code(secret)
    assert client.post(SECOND, {"code": used}).status_code == 302
    assert is_signed_in(client)
    # Somebody who looked over the shoulder, while the code would still hold.
    for _ in range(2):
        other = type(client)()
        other.post(LOGIN, {"login": user.email, "password": PASSWORD})
        other.post(SECOND, {"code": used})
        assert not is_signed_in(other)


def test_a_recovery_code_signs_in_once(client):
    user = make_user(make_trust())
    with_app(user)
    spare = RecoveryCodes.activate(user).get_unused_codes()[3]
    for expected in (True, False):
        other = type(client)()
        other.post(LOGIN, {"login": user.email, "password": PASSWORD})
        other.post(SECOND, {"code": spare})
        assert is_signed_in(other) is expected


def test_codes_cannot_be_guessed(client):
    """Five wrong ones, and the right one is refused too, whatever the session."""
    user = make_user(make_trust())
    secret = with_app(user)
    for number in range(6):
        if number % 2 == 0:
            client = type(client)()
            client.post(LOGIN, {"login": user.email, "password": PASSWORD})
        client.post(SECOND, {"code": f"{number:06}"})
    client.post(SECOND, {"code": code(secret)})
    assert not is_signed_in(client)


def test_removing_a_factor_asks_for_the_person_first_and_is_recorded(client):
    user = make_user(make_trust())
    secret = with_app(user)
    client.force_login(user)
    asked = client.post("/accounts/2fa/totp/deactivate/")
    assert asked.status_code == 302
    assert Authenticator.objects.filter(user=user).exists()
    client.post("/accounts/2fa/reauthenticate/", {"code": code(secret)})
    client.post("/accounts/2fa/totp/deactivate/")
    assert not Authenticator.objects.filter(user=user).exists()
    assert AuditEvent.objects.filter(verb="account.factor_remove", actor=user.public_id).exists()


def test_who_has_lost_the_device_is_helped_by_an_administrator(
    client, django_capture_on_commit_callbacks
):
    user, administrator = make_user(make_trust()), make_administrator()
    with_app(user)
    client.force_login(user)
    assert client.get("/").status_code == 200
    chief = type(client)()
    chief.force_login(administrator)
    address = f"/admin/accounts/user/{user.pk}"
    assert "which the person has lost" in chief.get(f"{address}/change/").content.decode()
    with django_capture_on_commit_callbacks(execute=True):
        chief.post(f"{address}/decide/", {"verb": "factors"})
    assert not Authenticator.objects.filter(user=user).exists()
    assert client.get("/protocols/").headers["Location"].startswith(LOGIN), "signed out"
    assert mail.outbox[-1].to == [user.email]
    event = AuditEvent.objects.get(verb="account.factors_removed")
    assert (event.actor, event.object_id) == (administrator.public_id, user.public_id)
    with pytest.raises(registration.RegistrationError, match="your own"):
        registration.remove_factors(administrator, by=administrator)
    with pytest.raises(registration.RegistrationError, match="Only an administrator"):
        registration.remove_factors(user, by=make_user(user.trust))


def test_a_trust_may_ask_for_it_where_the_site_does_not(client):
    trust = make_trust()
    user = make_user(trust)
    client.force_login(user)
    assert client.get("/").status_code == 200
    trust.require_mfa = True
    trust.save()
    assert client.get("/")["Location"] == "/accounts/2fa/"
    assert "only to people who sign in with a second factor" in (
        client.get("/accounts/2fa/").content.decode()
    )
    with_app(user)
    assert client.get("/").status_code == 200

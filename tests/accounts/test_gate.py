"""Whoever is held back sees pages that ask for nothing they may not have."""

from __future__ import annotations

import pytest

from accounts.models import Consent
from tests.people import make_trust, make_user

pytestmark = pytest.mark.django_db

CORNER = 'id="progress-corner"'


@pytest.fixture
def reader(client):
    user = make_user(make_trust())
    client.force_login(user)
    return user


def test_the_corner_is_there_for_who_may_work(client, reader):
    assert CORNER in client.get("/accounts/profile/").content.decode()


@pytest.mark.parametrize("address", ["/accounts/consent/", "/accounts/profile/"])
def test_without_consent_no_page_asks_for_the_corner(client, reader, address):
    """Its answer would be a redirect, at which the page loads itself anew, for ever."""
    Consent.objects.filter(user=reader).delete()
    page = client.get(address)
    assert page.status_code == 200
    assert CORNER not in page.content.decode()


@pytest.mark.parametrize("address", ["/accounts/2fa/", "/accounts/profile/"])
def test_without_a_second_factor_no_page_asks_for_the_corner(client, reader, settings, address):
    settings.REQUIRE_MFA = True
    page = client.get(address)
    assert page.status_code == 200
    assert CORNER not in page.content.decode()

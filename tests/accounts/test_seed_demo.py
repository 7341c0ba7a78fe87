"""The demo's people: one of each role, able to sign in, made once, and for the demo only."""

from __future__ import annotations

import json
import stat
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from accounts.models import AuditEvent, Consent, Membership, Trust, User

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def folder(settings, tmp_path):
    settings.VAR_DIR = tmp_path / "var"
    settings.SETTINGS_MODULE = "corecmr.settings.test"  # settings that a test changed have no name
    return settings.VAR_DIR


def seed() -> str:
    said = StringIO()
    call_command("seed_demo", stdout=said)
    return said.getvalue()


def test_each_of_them_can_sign_in_with_the_password_that_was_printed(client, folder):
    said = seed()
    path = folder / "demo.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    people = json.loads(path.read_text())["people"]
    assert [person["key"] for person in people] == [
        "consultant", "colleague", "researcher", "administrator", "second", "manager",
    ]  # fmt: skip
    for person in people:
        assert person["email"] in said
        assert person["password"] in said
        answer = client.post(
            "/accounts/login/", {"login": person["email"], "password": person["password"]}
        )
        assert (answer.status_code, answer["Location"]) == (302, "/")
        assert client.get("/", follow=True).status_code == 200
        client.post("/accounts/logout/")
    assert len({person["password"] for person in people}) == 6
    assert Trust.objects.count() == 2
    consultants = Membership.objects.filter(role="consultant")
    assert len({membership.trust_id for membership in consultants}) == 2
    assert Consent.objects.count() == 12
    assert AuditEvent.objects.filter(verb="account.seed").count() == 6


def test_run_again_it_changes_nothing(folder):
    seed()
    people = list(User.objects.order_by("pk").values_list("email", "password"))
    passwords = (folder / "demo.json").read_text()
    assert "exist" in seed()
    assert list(User.objects.order_by("pk").values_list("email", "password")) == people
    assert (folder / "demo.json").read_text() == passwords


def test_it_makes_nobody_on_a_real_site(settings):
    settings.SETTINGS_MODULE = "corecmr.settings.production"
    with pytest.raises(CommandError, match="for the demo only"):
        seed()
    assert not User.objects.exists()

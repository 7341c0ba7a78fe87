"""From visitor to reader: registering, waiting, approval, and how access ends."""

from __future__ import annotations

import re

import pytest
from django.core import mail

from accounts import registration
from accounts.models import AuditEvent, Consent, Membership, User
from accounts.roles import Role
from tests.people import PASSWORD, make_administrator, make_trust, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _no_limits_from_other_tests(settings):
    from django.core.cache import cache

    cache.clear()


def form(trust, **changes):
    data = {
        "email": "new.person@hospital.example",
        "password1": PASSWORD,
        "password2": PASSWORD,
        "name": "Dr New Person",
        "trust": trust.pk,
        "role": "consultant",
        "accept_terms": "on",
        "accept_privacy": "on",
    }
    return {name: value for name, value in (data | changes).items() if value is not None}


def register(client, trust) -> User:
    response = client.post("/accounts/signup/", form(trust))
    assert response.status_code == 302
    link = re.search(r"https?://[^/]+(/accounts/confirm-email/\S+)", mail.outbox[-1].body).group(1)
    client.post(link)
    return User.objects.get(email="new.person@hospital.example")


@pytest.mark.parametrize("box", ["accept_terms", "accept_privacy"])
def test_nobody_registers_without_accepting(client, box):
    response = client.post("/accounts/signup/", form(make_trust(), **{box: None}))
    assert response.status_code == 200
    assert "You must accept" in response.content.decode()
    assert not User.objects.exists()


@pytest.mark.parametrize("role", ["administrator", "owner"])
def test_nobody_asks_to_be_administrator(client, role):
    assert client.post("/accounts/signup/", form(make_trust(), role=role)).status_code == 200
    assert not User.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_from_visitor_to_reader(client):
    trust = make_trust("Riverside NHS Trust")
    user = register(client, trust)
    assert user.status == "pending"
    assert (user.requested_trust, user.requested_role) == (trust, "consultant")
    assert {consent.policy.kind for consent in Consent.objects.filter(user=user)} == {
        "privacy", "terms",
    }  # fmt: skip
    client.force_login(user)
    assert client.get("/").headers["Location"] == "/accounts/waiting/"
    assert client.get("/accounts/waiting/").status_code == 200
    api = client.get("/progress/", headers={"Accept": "application/json"})
    assert (api.status_code, api.json()["error"]) == (403, "not_approved")

    registration.approve(user, by=make_administrator())
    assert mail.outbox[-1].to == [user.email]
    assert "approved" in mail.outbox[-1].subject
    assert client.get("/").status_code == 200
    membership = Membership.objects.get(user=user)
    assert (membership.trust, membership.role) == (trust, "consultant")
    verbs = set(AuditEvent.objects.filter(object_id=user.public_id).values_list("verb", flat=True))
    assert {"account.register", "policy.accept", "account.approved"} <= verbs


def test_suspension_works_at_the_next_request(client):
    user = make_user(make_trust())
    client.force_login(user)
    assert client.get("/progress/").status_code == 200
    registration.suspend(user, by=make_administrator())
    assert client.get("/progress/").headers["Location"] == "/accounts/waiting/"


def test_decisions_that_make_no_sense_are_refused():
    administrator = make_administrator()
    approved = make_user(make_trust())
    with pytest.raises(registration.RegistrationError, match="not waiting"):
        registration.refuse(approved, by=administrator)
    with pytest.raises(registration.RegistrationError, match="your own account"):
        registration.suspend(administrator, by=administrator)
    nothing_asked = make_user(make_trust(), role="", status="pending")
    with pytest.raises(registration.RegistrationError, match="no role"):
        registration.approve(nothing_asked, by=administrator)
    with pytest.raises(registration.RegistrationError, match="no trust"):
        registration.approve(nothing_asked, by=administrator, role=Role.CONSULTANT)
    assert User.objects.get(pk=nothing_asked.pk).status == "pending"


def test_a_refusal_is_mailed_with_its_reason(django_capture_on_commit_callbacks):
    user = make_user(make_trust(), role="", status="pending")
    with django_capture_on_commit_callbacks(execute=True):
        registration.refuse(user, by=make_administrator(), reason="Not known at this trust.")
    assert "Not known at this trust." in mail.outbox[-1].body
    assert User.objects.get(pk=user.pk).status == "refused"


def test_the_administrator_approves_in_django_admin(client):
    trust = make_trust()
    waiting = User.objects.create_user(
        "waiting@hospital.example", PASSWORD, name="Dr Waiting", requested_trust=trust,
        requested_role="consultant",
    )  # fmt: skip
    client.force_login(make_administrator())
    assert (
        "Dr Waiting" in client.get("/admin/accounts/user/?status__exact=pending").content.decode()
    )
    response = client.post(
        "/admin/accounts/user/", {"action": "approve_selected", "_selected_action": [waiting.pk]}
    )
    assert response.status_code == 302
    assert User.objects.get(pk=waiting.pk).is_approved


def test_the_admin_site_is_not_there_for_others(client):
    client.force_login(make_user(make_trust()))
    assert client.get("/admin/").status_code in {302, 404}
    assert client.get("/admin/", follow=True).status_code == 404
    assert client.get("/admin/accounts/user/", follow=True).status_code == 404


def test_patients_studies_are_not_in_the_admin_site(client):
    client.force_login(make_administrator())
    page = client.get("/admin/").content.decode()
    assert "/admin/accounts/user/" in page
    for app in ("django_q", "sessions"):
        assert f"/admin/{app}/" not in page
    # Of studies only how long each trust keeps them.
    assert set(re.findall(r"/admin/studies/(\w+)/", page)) == {"retention"}
    # Of the work on studies there are protocols and engines, which tell of no patient.
    models = set(re.findall(r"/admin/processing/(\w+)/", page))
    assert models == {"protocolversion", "enginecard", "engineuse"}


def test_sign_in_and_its_failures_are_recorded(client):
    user = make_user(make_trust())
    client.post("/accounts/login/", {"login": user.email, "password": "wrong-password"})
    client.post("/accounts/login/", {"login": user.email.upper(), "password": PASSWORD})
    verbs = list(AuditEvent.objects.order_by("id").values_list("verb", "actor"))
    assert verbs == [("account.sign_in_failed", ""), ("account.sign_in", user.public_id)]

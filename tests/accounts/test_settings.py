"""A person's own pages: details, data, the end of the account, colleagues, invitations, consent."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from io import StringIO

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.core import mail, signing
from django.core.cache import cache
from django.core.management import CommandError, call_command
from django.utils import timezone

from accounts import audit, invitations
from accounts.models import AuditEvent, Consent, Feedback, Interest, Membership, Policy, Trust, User
from accounts.roles import Role
from tests.accounts.test_registration import form
from tests.people import PASSWORD, make_administrator, make_trust, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _no_limits_from_other_tests():
    cache.clear()


@pytest.fixture
def user(client) -> User:
    person = make_user(make_trust("Riverside NHS Trust"), name="Dr Rivers")
    client.force_login(person)
    return person


def details(**changes: object) -> dict[str, object]:
    return {"name": "Dr Rivers", "time_zone": "Europe/London", **changes}


# --- details and directory ---------------------------------------------------------------------


def test_details_are_kept_and_the_record_says_that_not_what(client, user):
    client.post(
        "/accounts/profile/",
        details(name="Dr R Rivers", telephone="01632 960123", time_zone="Europe/Paris"),
    )
    user.refresh_from_db()
    assert (user.name, user.telephone, user.time_zone) == (
        "Dr R Rivers", "01632 960123", "Europe/Paris",
    )  # fmt: skip
    event = AuditEvent.objects.get(verb="account.profile")
    assert event.detail == {"fields": 3}
    refused = client.post("/accounts/profile/", details(name="", time_zone="Mars/Crater"))
    page = refused.content.decode()
    assert page.count('class="nhsuk-error-message"') == 2
    user.refresh_from_db()
    assert user.name == "Dr R Rivers"


def test_only_administrators_are_asked_about_mail_on_approvals(client, user):
    assert "mail_when_waiting" not in client.get("/accounts/profile/").content.decode()
    client.force_login(make_administrator())
    assert "mail_when_waiting" in client.get("/accounts/profile/").content.decode()


def test_the_directory_shows_who_wants_to_be_found_and_only_what_they_show(client, user):
    hillside = make_trust("Hillside NHS Trust")
    fields = {"telephone": "01632 960456", "in_directory": True}
    shown = make_user(hillside, name="Dr Shown")
    User.objects.filter(pk=shown.pk).update(**fields, shows_email=True)
    hidden, suspended = make_user(hillside, name="Dr Hidden"), make_user(hillside, name="Dr Gone")
    User.objects.filter(pk=suspended.pk).update(**fields, status="suspended")

    def page(words: str = "") -> str:
        return client.get("/accounts/directory/", {"q": words}).content.decode()

    everybody = page()
    assert "Dr Shown" in everybody
    assert shown.email in everybody
    assert "01632 960456" not in everybody
    assert "Dr Hidden" not in everybody
    assert "Dr Gone" not in everybody
    assert hidden.email not in everybody
    assert "Dr Shown" in page("hillside shown")
    assert "Nobody was found" in page("riverside")
    assert "Nobody was found" in page("Dr Hidden")
    assert AuditEvent.objects.filter(verb="directory.view", actor=user.public_id).count() == 4


# --- one's data and the end --------------------------------------------------------------------


def test_my_data_holds_what_is_kept_of_me_and_nobody_else(client, user):
    other = make_user(make_trust(), name="Dr Other")
    audit.record(other, "study.view", user)
    for one in (user, other):
        Feedback.objects.create(by=one, text=f"The films of {one.name} are small.")
    answer = client.get("/accounts/my-data.json")
    assert answer["Content-Disposition"] == 'attachment; filename="corecmr-my-data.json"'
    data = json.loads(answer.content)
    assert data["person"]["email"] == user.email
    assert data["roles"][0]["trust"] == "Riverside NHS Trust"
    assert {one["policy"] for one in data["accepted"]} == {"privacy", "terms"}
    assert len(data["sessions"]) == 1
    assert [one["text"] for one in data["feedback"]] == [f"The films of {user.name} are small."]
    text = answer.content.decode()
    assert user.password not in text
    assert other.public_id not in text
    again = json.loads(client.get("/accounts/my-data.json").content)
    assert [one["verb"] for one in again["record"]] == ["account.my_data"]


def test_a_closed_account_leaves_no_name_and_no_way_in(client, user):
    email, identifier = user.email, user.public_id
    audit.record(user, "study.view")
    other = type(client)()
    other.force_login(user)
    other.get("/")
    for wrong in ({"password": "wrong", "understood": "on"}, {"password": PASSWORD}):
        assert "nhsuk-error-summary" in client.post("/accounts/close/", wrong).content.decode()
    client.post("/accounts/close/", {"password": PASSWORD, "understood": "on"})
    user.refresh_from_db()
    assert (user.status, user.is_active, user.name) == ("closed", False, "Closed account")
    row = repr(User.objects.filter(pk=user.pk).values_list().get())
    assert email not in row
    assert "Rivers" not in row
    assert not EmailAddress.objects.filter(email=email).exists()
    assert not Membership.objects.filter(user=user).exists()
    assert not Authenticator.objects.filter(user=user).exists()
    assert AuditEvent.objects.filter(actor=identifier, verb="study.view").exists()
    assert AuditEvent.objects.filter(actor=identifier, verb="account.closed").exists()
    assert other.get("/protocols/").headers["Location"].startswith("/accounts/login/")
    client.post("/accounts/login/", {"login": email, "password": PASSWORD})
    assert "_auth_user_id" not in client.session
    # The address is free: the person may come back as somebody new.
    assert client.post("/accounts/signup/", form(make_trust(), email=email)).status_code == 302


def test_the_last_two_administrators_stay(client):
    people = [make_administrator() for _ in range(3)]
    client.force_login(people[0])
    closing = {"password": PASSWORD, "understood": "on"}
    client.post("/accounts/close/", closing)
    client.force_login(people[1])
    page = client.post("/accounts/close/", closing).content.decode()
    assert "one of the last two administrators" in page
    assert User.objects.filter(status="approved").count() == 2


# --- trusts by address, invitations ------------------------------------------------------------


def test_the_trust_is_recognised_by_the_address(client):
    Trust.objects.create(name="Hospital Trust", mail_domains="@Hospital.Example, other.example")
    Trust.objects.create(name="Second Trust", mail_domains="second.example")
    trust = make_trust()

    def register(email: str) -> str:
        return client.post(
            "/accounts/signup/", form(trust, email=email) | {"trust": ""}
        ).content.decode()

    def asked_for(email: str) -> str:
        return str(User.objects.get(email=email).requested_trust)

    register("a@hospital.example")
    assert asked_for("a@hospital.example") == "Hospital Trust"
    register("a@ward.second.example")
    assert asked_for("a@ward.second.example") == "Second Trust"
    for unknown in ("a@x.example", "a@evilsecond.example"):
        assert "Choose your trust. Your address does not tell it." in register(unknown)


def test_a_domain_that_two_trusts_claim_tells_neither():
    for name in ("One", "Two"):
        Trust.objects.create(name=name, mail_domains="shared.example")
    assert Trust.of_address("a@shared.example") is None


def test_an_invitation_fills_the_form_in_and_is_approved_as_any_other(client, user):
    client.post("/accounts/invite/", {"email": "new.person@hospital.example", "role": "researcher"})
    (message,) = mail.outbox
    assert message.to == ["new.person@hospital.example"]
    link = re.search(r"https?://[^/]+(/accounts/invited/\S+)", message.body)[1]
    visitor = type(client)()
    page = visitor.get(link, follow=True).content.decode()
    assert "Dr Rivers has invited you." in page
    assert 'value="new.person@hospital.example"' in page
    visitor.post("/accounts/signup/", form(user.trust, role="researcher"))
    invited = User.objects.get(email="new.person@hospital.example")
    assert (invited.status, invited.invited_by) == ("pending", user)
    event = AuditEvent.objects.get(verb="account.invite")
    assert (event.actor, event.detail) == (user.public_id, {"role": "researcher"})


def test_an_invitation_ends_and_cannot_be_forged_or_passed_on(client, user):
    token = invitations.token("new.person@hospital.example", by=user, role=Role.CONSULTANT)
    visitor = type(client)()
    forged = signing.dumps({"email": "x@x.example", "role": "administrator"}, salt="other")
    for bad in (token[:-1] + ("A" if token[-1] != "A" else "B"), "x", forged):
        assert (
            "This invitation has ended" in visitor.get(f"/accounts/invited/{bad}/").content.decode()
        )
    old = timezone.now() - timedelta(days=invitations.DAYS, seconds=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("time.time", old.timestamp)
        late = invitations.token("a@hospital.example", by=user, role=Role.CONSULTANT)
    page = visitor.get(f"/accounts/invited/{late}/").content.decode()
    assert "Ask your colleague for a new one, or register" in page
    visitor.get(f"/accounts/invited/{token}/")
    visitor.post("/accounts/signup/", form(user.trust, email="somebody.else@hospital.example"))
    assert User.objects.get(email="somebody.else@hospital.example").invited_by is None
    User.objects.filter(pk=user.pk).update(status="suspended")
    assert invitations.read(token) is None


def test_invitations_are_limited(client, user):
    for number in range(21):
        answer = client.post(
            "/accounts/invite/", {"email": f"p{number}@hospital.example", "role": "researcher"}
        )
    assert answer.status_code == 429
    assert len(mail.outbox) == 20


def test_those_who_may_approve_are_told_by_mail_if_they_want(client):
    trust = make_trust()
    told, silent = make_administrator(), make_administrator()
    User.objects.filter(pk=silent.pk).update(mail_when_waiting=False)
    own = make_user(trust, Role.TRUST_ADMINISTRATOR)
    make_user(make_trust(), Role.TRUST_ADMINISTRATOR)
    client.post("/accounts/signup/", form(trust))
    link = re.search(r"https?://[^/]+(/accounts/confirm-email/\S+)", mail.outbox[-1].body)[1]
    mail.outbox.clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("django.db.transaction.on_commit", lambda send, **_kw: send())
        client.post(link)
    addresses = [message.to for message in mail.outbox if "waits for approval" in message.subject]
    assert sorted(addresses) == sorted([[told.email], [own.email]])


# --- policies ----------------------------------------------------------------------------------


def test_a_new_version_is_asked_for_before_anything_else(client, user):
    Policy.objects.create(kind="terms", version=2)
    # Its text stands in a template of that number, which this test has not written.
    assert Policy.outstanding(user)[0].version == 2
    api = client.get("/progress/", headers={"Accept": "application/json"})
    assert (api.status_code, api.json()) == (403, {"error": "consent_required"})
    assert client.get("/").headers["Location"] == "/accounts/consent/"
    Policy.objects.filter(kind="terms", version=2).delete()
    assert client.get("/").status_code == 200


def test_the_page_shows_it_and_notes_who_accepted_when(client, user):
    newest = Policy.current("privacy")
    Consent.objects.filter(user=user, policy=newest).delete()
    page = client.get("/accounts/consent/").content.decode()
    assert f"Privacy policy, version {newest.version}" in page
    assert "Terms and conditions, version" not in page
    assert "Who is responsible" in page
    assert "You must accept them" in client.post("/accounts/consent/").content.decode()
    assert client.post("/accounts/consent/", {"accept": "on"}).headers["Location"] == "/"
    assert Consent.objects.filter(user=user, policy=newest).exists()
    event = AuditEvent.objects.get(verb="policy.accept")
    assert event.detail == {"kind": "privacy", "version": newest.version}
    assert client.get("/").status_code == 200


def test_publishing_wants_the_text_first():
    with pytest.raises(CommandError, match=r"accounts/policies/terms-2\.html"):
        call_command("publish_policy", "terms")
    Policy.objects.filter(kind="privacy", version=2).delete()
    said = StringIO()
    call_command("publish_policy", "privacy", stdout=said)
    assert Policy.current("privacy").version == 2
    assert "version 2 is in force" in said.getvalue()


# --- register of interest ----------------------------------------------------------------------


def test_a_visitor_leaves_an_address_on_the_public_page(client):
    page = client.get("/").content.decode()
    assert 'action="/accounts/interest/"' in page
    data = {"name": "Dr Visitor", "email": "Visitor@Hillside.example", "organisation": "Hillside"}
    answers = [client.post("/accounts/interest/", data, follow=True) for _ in range(2)]
    assert "Thank you. We will write to you." in answers[0].content.decode()
    assert "Thank you. We will write to you." in answers[1].content.decode(), "told alike twice"
    assert Interest.objects.get().email == "visitor@hillside.example"
    client.force_login(make_administrator())
    assert "Dr Visitor" in client.get("/admin/accounts/interest/").content.decode()


def test_mistakes_are_told_at_the_field_and_nothing_is_lost(client):
    answer = client.post("/accounts/interest/", {"name": "Dr Visitor", "email": "no address"})
    page = answer.content.decode()
    assert page.count('class="nhsuk-error-message"') == 2
    assert 'value="Dr Visitor"' in page
    assert not Interest.objects.exists()


def test_it_cannot_be_flooded(client):
    for number in range(11):
        data = {"name": "x", "email": f"v{number}@hillside.example", "organisation": "x"}
        answer = client.post("/accounts/interest/", data)
    assert answer.status_code == 429
    assert Interest.objects.count() == 10

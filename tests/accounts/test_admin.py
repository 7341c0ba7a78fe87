"""Django admin as administrators use it: decisions, the record of them, and what it cannot do."""

from __future__ import annotations

import pytest
from django.contrib.auth.hashers import identify_hasher

from accounts.models import AuditEvent, Membership, Trust, User
from accounts.roles import Role
from tests.people import PASSWORD, make_administrator, make_trust, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def administrator(client) -> User:
    user = make_administrator()
    client.force_login(user)
    return user


def waiting(trust: Trust | None, role: str = Role.CONSULTANT) -> User:
    return User.objects.create_user(
        f"waiting{User.objects.count()}@hospital.example", PASSWORD, name="Dr Waiting",
        requested_trust=trust, requested_role=role,
    )  # fmt: skip


def decide(client, action: str, *users: User) -> str:
    answer = client.post(
        "/admin/accounts/user/",
        {"action": action, "_selected_action": [user.pk for user in users]},
        follow=True,
    )
    return answer.content.decode()


def status(user: User) -> str:
    return User.objects.get(pk=user.pk).status


def test_several_are_approved_and_one_that_cannot_be_is_named(client, administrator):
    trust = make_trust()
    fit, unfit = [waiting(trust), waiting(trust, Role.RESEARCHER)], waiting(None)
    seen = decide(client, "approve_selected", *fit, unfit)
    assert "2 approved." in seen
    assert f"{unfit.email.capitalize()} asked for no trust. Choose one first." in seen
    assert [status(user) for user in (*fit, unfit)] == ["approved", "approved", "pending"]
    roles = Membership.objects.filter(user__in=fit).order_by("user").values_list("role", "trust")
    assert list(roles) == [("consultant", trust.pk), ("researcher", trust.pk)]
    events = AuditEvent.objects.filter(verb="account.approved").order_by("id")
    assert {event.actor for event in events} == {administrator.public_id}
    assert {event.object_id for event in events} == {user.public_id for user in fit}
    first = events.get(object_id=fit[0].public_id)
    assert first.detail == {"before": "pending", "role": "consultant"}


def test_a_refusal_and_a_suspension_take_access_away(client, administrator):
    refused, suspended = waiting(make_trust()), make_user(make_trust())
    assert "1 refused." in decide(client, "refuse_selected", refused)
    assert "1 suspended." in decide(client, "suspend_selected", suspended)
    assert (status(refused), status(suspended)) == ("refused", "suspended")
    assert not User.objects.get(pk=suspended.pk).can("read_studies")
    assert "is not waiting for approval" in decide(client, "refuse_selected", suspended)
    verbs = AuditEvent.objects.order_by("id").values_list("verb", flat=True)
    assert list(verbs) == ["account.refused", "account.suspended"]


def test_a_suspended_person_is_let_in_again_by_an_approval(client, administrator):
    trust = make_trust()
    user = waiting(trust)
    decide(client, "approve_selected", user)
    decide(client, "suspend_selected", user)
    decide(client, "approve_selected", user)
    assert User.objects.get(pk=user.pk).can("read_studies")
    assert Membership.objects.filter(user=user).count() == 1


def test_nobody_locks_themselves_out(client, administrator):
    seen = decide(client, "suspend_selected", administrator)
    assert "You cannot suspend your own account." in seen
    assert status(administrator) == "approved"


def test_the_form_of_a_person_changes_only_what_was_asked_for(client, administrator):
    old, new = make_trust(), make_trust()
    user = waiting(old)
    address = f"/admin/accounts/user/{user.pk}/change/"
    inline = {f"memberships-{name}": 0 for name in ("TOTAL_FORMS", "INITIAL_FORMS")}
    answer = client.post(
        address,
        {
            "requested_trust": new.pk, "requested_role": "researcher", **inline,
            # Not on the form: whoever sends them all the same changes nothing.
            "status": "approved", "email": "other@hospital.example", "is_active": "",
            "password": "stolen", "memberships-0-role": "administrator",
        },
    )  # fmt: skip
    assert answer.status_code == 302
    after = User.objects.get(pk=user.pk)
    assert (after.requested_trust, after.requested_role) == (new, "researcher")
    assert (after.status, after.email, after.is_active) == ("pending", user.email, True)
    assert after.password == user.password
    assert not Membership.objects.filter(user=user).exists()
    event = AuditEvent.objects.get(verb="account.edit")
    assert (event.actor, event.object_id) == (administrator.public_id, user.public_id)


def test_trusts_are_made_and_changed_on_record_and_never_deleted(client, administrator):
    fields = {"name": "Hillside NHS Trust", "ods_code": "RXH01"}
    client.post("/admin/accounts/trust/add/", fields)
    trust = Trust.objects.get()
    assert (trust.name, trust.research_allowed) == ("Hillside NHS Trust", False)
    client.post(f"/admin/accounts/trust/{trust.pk}/change/", {**fields, "research_allowed": "on"})
    assert Trust.objects.get().research_allowed
    verbs = AuditEvent.objects.order_by("id").values_list("verb", "object_id")
    assert list(verbs) == [("trust.create", trust.public_id), ("trust.edit", trust.public_id)]
    seen = client.post(
        "/admin/accounts/trust/", {"action": "delete_selected", "_selected_action": [trust.pk]}
    )
    assert seen.status_code in {200, 302}
    assert Trust.objects.exists()


def test_the_record_is_read_and_not_changed(client, administrator):
    client.post("/admin/accounts/trust/add/", {"name": "Hillside NHS Trust"})
    event = AuditEvent.objects.get(verb="trust.create")
    assert event.verb in client.get("/admin/accounts/auditevent/").content.decode()
    found = client.get(f"/admin/accounts/auditevent/?q={administrator.public_id}").content.decode()
    assert event.object_id in found
    address = f"/admin/accounts/auditevent/{event.pk}"
    assert client.get(f"{address}/change/").status_code == 200
    assert client.post(f"{address}/change/", {"verb": "nothing"}).status_code == 403
    assert client.post(f"{address}/delete/", {"post": "yes"}).status_code == 403
    client.post(
        "/admin/accounts/auditevent/",
        {"action": "delete_selected", "_selected_action": [event.pk], "post": "yes"},
    )
    assert AuditEvent.objects.get(verb="trust.create") == event


def test_no_page_of_a_person_shows_the_password(client, administrator):
    user = make_user(make_trust())
    for address in ("/admin/accounts/user/", f"/admin/accounts/user/{user.pk}/change/"):
        seen = client.get(address).content.decode()
        assert user.email in seen
        assert identify_hasher(user.password).algorithm + "$" not in seen

"""People and roles: what adds up, what never opens a door, and what the record may hold."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts import audit
from accounts.models import AuditEvent, Consent, Membership, Policy, User
from accounts.roles import CAPABILITIES, Role, roles_with
from tests.people import PASSWORD, make_administrator, make_trust, make_user

pytestmark = pytest.mark.django_db

EVERY = frozenset().union(*CAPABILITIES.values())


def held(user: User) -> set[str]:
    fresh = User.objects.get(pk=user.pk)
    return {capability for capability in EVERY if fresh.can(capability)}


def test_roles_of_one_person_add_up():
    trust = make_trust()
    user = make_user(trust)
    assert held(user) == {"read_studies", "upload", "run", "share", "protocols"}
    Membership.objects.create(user=user, trust=trust, role=Role.RESEARCHER)
    assert held(user) == {"read_studies", "upload", "run", "share", "protocols", "research"}


def test_each_role_has_what_it_is_for_and_administrators_no_patients():
    assert roles_with("read_studies") == ["consultant"]
    assert roles_with("administer") == ["administrator"]
    assert held(make_administrator()) == {"administer"}


@pytest.mark.parametrize("status", [status for status in User.Status if status != "approved"])
def test_without_approval_no_role_opens_anything(status):
    user = make_user(make_trust(), status=status)
    assert held(user) == set()
    assert not user.has_perm("accounts.view_user")


def test_an_inactive_account_opens_nothing():
    user = make_administrator()
    User.objects.filter(pk=user.pk).update(is_active=False)
    assert held(user) == set()
    assert not User.objects.get(pk=user.pk).is_staff


def test_administrators_have_permissions_for_people_alone():
    user = make_administrator()
    assert user.has_perms(["accounts.view_user", "accounts.change_trust"])
    for model in ("studies.view_study", "processing.view_run", "django_q.view_ormq"):
        assert not user.has_perm(model)
    for app in ("studies", "django_q"):
        assert not user.has_module_perms(app)


def test_administrators_look_at_protocols_and_change_none():
    user = make_administrator()
    assert user.has_perm("processing.view_protocolversion")
    for verb in ("add", "change", "delete"):
        assert not user.has_perm(f"processing.{verb}_protocolversion")
    consultant = make_user(make_trust())
    assert not consultant.has_perm("processing.view_protocolversion")
    assert not consultant.has_module_perms("processing")


def test_only_administrators_belong_to_no_trust():
    user = make_user(make_trust())
    with pytest.raises(IntegrityError), transaction.atomic():
        Membership.objects.create(user=user, trust=None, role=Role.RESEARCHER)
    assert make_administrator().trust is None


def test_one_address_is_one_account_however_it_is_written(client):
    user = make_user(make_trust(), email=" Reader@Hospital.Example ")
    assert user.email == "reader@hospital.example"
    assert User.objects.get_by_natural_key("READER@hospital.example") == user
    with pytest.raises(IntegrityError), transaction.atomic():
        User.objects.create_user("READER@HOSPITAL.EXAMPLE", PASSWORD, name="Twin")


def test_the_policy_in_force_is_the_newest_that_is_published(client):
    Policy.objects.create(
        kind="terms", version=9, published_at=timezone.now() + timezone.timedelta(days=1)
    )
    assert Policy.current("terms").version == 1
    seen = client.get("/accounts/policies/terms/").content.decode()
    assert "Terms and conditions" in seen
    assert client.get("/accounts/policies/cookies/").status_code == 404


def test_a_policy_that_somebody_accepted_cannot_be_taken_away():
    policy = Policy.current("privacy")
    assert Consent.objects.filter(user=make_user(make_trust()), policy=policy).exists()
    with pytest.raises(IntegrityError):
        policy.delete()


def test_the_record_holds_ids_and_goes_with_what_it_records():
    user, trust = make_user(make_trust(), name="Dr Named Person"), make_trust()
    audit.record(user, "trust.view", trust, count=3)
    with transaction.atomic():
        audit.record(user, "trust.edit", trust)
        transaction.set_rollback(True)
    event = AuditEvent.objects.get()
    assert (event.actor, event.object_type, event.object_id) == (
        user.public_id, "trust", trust.public_id,
    )  # fmt: skip
    assert event.detail == {"count": 3}
    row = repr(AuditEvent.objects.values_list().get())
    for told in (user.name, user.email, trust.name):
        assert told not in row


def test_the_record_outlives_the_account():
    user = make_user(make_trust())
    audit.record(user, "study.view")
    identifier = user.public_id
    user.delete()
    assert AuditEvent.objects.get().actor == identifier


def test_the_waiting_page_says_what_is_so(client):
    for status, words in (
        ("pending", "waiting for approval"), ("suspended", "has been suspended"),
        ("refused", "was not approved"),
    ):  # fmt: skip
        client.force_login(make_user(make_trust(), status=status))
        assert words in client.get("/accounts/waiting/").content.decode()


def test_signing_out_ends_the_session(client):
    client.force_login(make_user(make_trust()))
    assert client.get("/progress/").status_code == 200
    old = client.cookies["sessionid"].value
    client.post("/accounts/logout/")
    client.cookies["sessionid"] = old
    assert client.get("/progress/")["Location"].startswith("/accounts/login/")


def test_a_new_password_ends_the_other_sessions(client):
    """Whoever had stolen one is out."""
    user = make_user(make_trust())
    other = type(client)()
    for one in (client, other):
        one.force_login(user)
    answer = client.post(
        "/accounts/password/change/",
        {
            "oldpassword": PASSWORD,
            "password1": "another-long-one-8",
            "password2": "another-long-one-8",
        },
    )
    assert answer.status_code == 302
    assert client.get("/progress/").status_code == 200
    assert other.get("/progress/")["Location"].startswith("/accounts/login/")


@pytest.mark.parametrize(
    "password",
    ["short-one-1", "password1234", "Drtestperson1", "reader-77@hospital"],
)
def test_weak_passwords_are_refused(client, password):
    user = make_user(make_trust(), email="reader-77@hospital.example", name="Dr Test Person")
    client.force_login(user)
    answer = client.post(
        "/accounts/password/change/",
        {"oldpassword": PASSWORD, "password1": password, "password2": password},
    )
    assert answer.status_code == 200
    assert "nhsuk-error" in answer.content.decode()

"""Two administrators make one; administrators of a trust keep to its own people."""

from __future__ import annotations

import re
import threading
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from accounts import registration
from accounts.models import Appointment, AuditEvent, Membership, User
from accounts.registration import RegistrationError
from accounts.roles import Role
from tests.people import PASSWORD, make_administrator, make_trust, make_user

pytestmark = pytest.mark.django_db


def fresh(user: User) -> User:
    return User.objects.get(pk=user.pk)


def waiting(trust, email: str = "waiting@hospital.example") -> User:
    return User.objects.create_user(
        email, PASSWORD, name="Dr Waiting", requested_trust=trust, requested_role="consultant"
    )


# --- two make one ------------------------------------------------------------------------------


def test_one_asks_and_another_confirms():
    first, second, user = make_administrator(), make_administrator(), make_user(make_trust())
    asked = registration.ask_for_administrator(user, by=first)
    assert not fresh(user).can("administer")
    with pytest.raises(RegistrationError, match="second administrator"):
        registration.confirm_administrator(asked, by=first)
    with pytest.raises(RegistrationError, match="second administrator"):
        registration.confirm_administrator(asked, by=user)
    registration.confirm_administrator(asked, by=second)
    assert fresh(user).can("administer")
    assert fresh(user).can("upload"), "roles add up"
    event = AuditEvent.objects.get(verb="appointment.confirm")
    assert event.actor == second.public_id
    assert event.detail["requested_by"] == first.public_id
    with pytest.raises(RegistrationError, match="decided already"):
        registration.confirm_administrator(asked, by=second)


def test_no_other_door_makes_an_administrator():
    first, user = make_administrator(), make_user(make_trust(), status="pending")
    for role in (Role.ADMINISTRATOR, Role.TRUST_ADMINISTRATOR):
        with pytest.raises(RegistrationError, match="two administrators"):
            registration.approve(user, by=first, role=role)
        with pytest.raises(RegistrationError, match="two administrators"):
            registration.give_role(user, by=first, role=role)
    assert not Membership.objects.filter(user=user, role__in=["administrator"]).exists()


def test_the_first_must_still_be_one_when_the_second_confirms():
    first, second, third = (make_administrator() for _ in range(3))
    user = make_user(make_trust())
    asked = registration.ask_for_administrator(user, by=first)
    registration.suspend(first, by=third)
    with pytest.raises(RegistrationError, match="Only administrators"):
        registration.confirm_administrator(asked, by=second)
    assert not fresh(user).can("administer")


def test_a_suspended_administrator_comes_back_without_the_role():
    first, second = make_administrator(), make_administrator()
    trust = make_trust()
    Membership.objects.create(user=second, trust=trust, role=Role.CONSULTANT)
    registration.suspend(second, by=first, reason="Left the trust.")
    registration.reactivate(second, by=first)
    assert fresh(second).can("upload")
    assert not fresh(second).can("administer")


def test_an_old_request_lapses_and_a_new_one_can_be_made():
    first, second, user = make_administrator(), make_administrator(), make_user(make_trust())
    asked = registration.ask_for_administrator(user, by=first)
    with pytest.raises(RegistrationError, match="asked for already"):
        registration.ask_for_administrator(user, by=second)
    Appointment.objects.update(requested_at=timezone.now() - timedelta(days=15))
    with pytest.raises(RegistrationError, match="too old"):
        registration.confirm_administrator(asked, by=second)
    again = registration.ask_for_administrator(user, by=second)
    registration.decline_administrator(again, by=first)
    assert Appointment.objects.filter(outcome="open").count() == 0


@pytest.mark.django_db(transaction=True)
def test_at_the_same_moment_it_still_takes_two():
    """Both confirm while each is being suspended by the other: no one person makes one."""
    for _ in range(5):
        first, second = make_administrator(), make_administrator()
        user = make_user(make_trust())
        asked = registration.ask_for_administrator(user, by=first)
        outcomes = together(
            lambda: registration.confirm_administrator(asked, by=second),  # noqa: B023
            lambda: registration.suspend(second, by=first),  # noqa: B023
            lambda: registration.confirm_administrator(asked, by=first),  # noqa: B023
            lambda: registration.confirm_administrator(asked, by=second),  # noqa: B023
        )
        confirmed = AuditEvent.objects.filter(verb="appointment.confirm", object_id=asked.public_id)
        assert fresh(user).can("administer") == (confirmed.count() == 1)
        assert confirmed.count() <= 1
        assert all(event.actor == second.public_id for event in confirmed)
        assert set(outcomes) <= {"done", "RegistrationError"}


def together(*verbs) -> list[str]:
    outcomes: list[str] = []
    gate = threading.Barrier(len(verbs))

    def act(verb) -> None:
        try:
            gate.wait()
            verb()
            outcomes.append("done")
        except Exception as error:
            outcomes.append(type(error).__name__)
        finally:
            connection.close()

    threads = [threading.Thread(target=act, args=(verb,)) for verb in verbs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


def test_the_pages_do_both_steps(client):
    first, second, user = make_administrator(), make_administrator(), make_user(make_trust())
    client.force_login(first)
    client.post(f"/admin/accounts/user/{user.pk}/decide/", {"verb": "ask", "role": "administrator"})
    asked = Appointment.objects.get()

    def confirm() -> str:
        return client.post(
            "/admin/accounts/appointment/",
            {"action": "confirm_selected", "_selected_action": [asked.pk]}, follow=True,
        ).content.decode()  # fmt: skip

    assert "It takes a second administrator" in confirm()
    client.force_login(second)
    assert (
        "1 administrator waits for a second confirmation" in client.get("/admin/").content.decode()
    )
    assert "1 confirmed." in confirm()
    assert fresh(user).can("administer")


# --- administrators of a trust -----------------------------------------------------------------


@pytest.fixture
def trust():
    return make_trust("Riverside NHS Trust")


@pytest.fixture
def chief(trust) -> User:
    return make_user(trust, Role.TRUST_ADMINISTRATOR, name="Toni Trust")


def test_they_decide_on_people_of_their_trust(chief, trust):
    user = waiting(trust)
    registration.approve(user, by=chief)
    assert fresh(user).trust == trust
    registration.give_role(user, by=chief, role=Role.RESEARCHER)
    assert {"upload", "research"} <= {c for c in ("upload", "research") if fresh(user).can(c)}
    registration.take_role(user, by=chief, role=Role.CONSULTANT)
    assert not fresh(user).can("upload")
    registration.suspend(user, by=chief)
    registration.reactivate(user, by=chief)
    assert fresh(user).is_approved


def test_and_on_nobody_elses(chief, trust):
    elsewhere = make_trust()
    foreign, stranger = waiting(elsewhere), make_user(elsewhere)
    own, administrator = make_user(trust), make_administrator()
    for act in (
        lambda: registration.approve(foreign, by=chief),
        lambda: registration.approve(foreign, by=chief, trust=trust),
        lambda: registration.refuse(foreign, by=chief),
        lambda: registration.suspend(stranger, by=chief),
        lambda: registration.suspend(administrator, by=chief),
        lambda: registration.give_role(stranger, by=chief, role=Role.RESEARCHER),
        lambda: registration.move_trust(own, by=chief, trust=elsewhere),
        lambda: registration.move_trust(stranger, by=chief, trust=trust),
        lambda: registration.ask_for_administrator(own, by=chief),
        lambda: registration.ask_for_administrator(
            stranger, by=chief, role=Role.TRUST_ADMINISTRATOR, trust=elsewhere
        ),
    ):
        with pytest.raises(RegistrationError):
            act()
    assert {fresh(one).status for one in (stranger, own, administrator)} == {"approved"}
    assert fresh(foreign).status == "pending"
    with pytest.raises(RegistrationError, match="Only an administrator"):
        registration.approve(foreign, by=make_user(elsewhere))


def test_two_of_a_trust_make_a_third_of_it(chief, trust):
    second, user = make_user(trust, Role.TRUST_ADMINISTRATOR), make_user(trust)
    role = Role.TRUST_ADMINISTRATOR
    asked = registration.ask_for_administrator(user, by=chief, role=role, trust=trust)
    foreign = make_user(make_trust(), Role.TRUST_ADMINISTRATOR)
    with pytest.raises(RegistrationError):
        registration.confirm_administrator(asked, by=foreign)
    registration.confirm_administrator(asked, by=second)
    assert fresh(user).can("administer_trust")
    assert not fresh(user).can("administer")


def test_their_pages_show_their_trust_alone(client, chief, trust):
    elsewhere = make_trust("Hillside NHS Trust")
    own, foreign = waiting(trust), waiting(elsewhere, "foreign@hospital.example")
    client.force_login(chief)
    people = client.get("/admin/accounts/user/").content.decode()
    assert own.email in people
    assert foreign.email not in people
    assert client.get(f"/admin/accounts/user/{foreign.pk}/change/").status_code == 302
    decide = f"/admin/accounts/user/{foreign.pk}/decide/"
    assert client.post(decide, {"verb": "approve", "role": "consultant"}).status_code == 404
    trusts = client.get("/admin/accounts/trust/").content.decode()
    assert "Riverside" in trusts
    assert "Hillside" not in trusts
    client.post(
        f"/admin/accounts/trust/{trust.pk}/change/",
        {"name": "Stolen", "mail_domains": "everywhere.example", "research_allowed": "on"},
    )
    trust.refresh_from_db()
    assert (trust.name, trust.mail_domains, trust.research_allowed) == (
        "Riverside NHS Trust", "", True,
    )  # fmt: skip
    assert client.get("/admin/accounts/auditevent/").status_code == 403


# --- moving, leaving ---------------------------------------------------------------------------


def test_moving_takes_all_roles_along_but_the_administration_of_the_old_trust(trust):
    administrator, user = make_administrator(), make_user(trust)
    Membership.objects.create(user=user, trust=trust, role=Role.TRUST_ADMINISTRATOR)
    elsewhere = make_trust()
    registration.move_trust(user, by=administrator, trust=elsewhere)
    held = Membership.objects.filter(user=user).values_list("role", "trust")
    assert list(held) == [("consultant", elsewhere.pk)]
    event = AuditEvent.objects.get(verb="account.move_trust")
    assert event.detail == {"before": trust.public_id, "after": elsewhere.public_id}
    with pytest.raises(RegistrationError, match="Move the person first"):
        registration.approve(user, by=administrator, trust=trust, role=Role.RESEARCHER)


def test_who_has_left_is_found_by_the_last_sign_in(client, trust):
    recent, gone, never = make_user(trust), make_user(trust), make_user(trust)
    now = timezone.now()
    User.objects.filter(pk=recent.pk).update(last_login=now)
    User.objects.filter(pk=gone.pk).update(last_login=now - timedelta(days=100))
    client.force_login(make_administrator())

    def listed(value: str) -> set[str]:
        page = client.get(f"/admin/accounts/user/?last_sign_in={value}").content.decode()
        return {one.email for one in (recent, gone, never) if one.email in page}

    assert listed("90") == {gone.email}
    assert listed("180") == set()
    assert listed("never") == {never.email}


def test_reasons_reach_the_person(client, django_capture_on_commit_callbacks, trust):
    user = waiting(trust)
    client.force_login(make_administrator())
    client.post(
        "/admin/accounts/user/",
        {"action": "refuse_selected", "_selected_action": [user.pk], "reason": "Not known here."},
    )
    client.force_login(user)
    assert "Not known here." in client.get("/accounts/waiting/").content.decode()


def test_what_an_admin_needs_to_decide_stands_on_one_page(client, trust):
    trust.mail_domains = "riverside.example"
    trust.save()
    inviter = make_user(trust, name="Dr Inviter")
    user = waiting(trust, "fraud@elsewhere.example")
    User.objects.filter(pk=user.pk).update(professional_number="1234567", invited_by=inviter)
    client.force_login(make_administrator())
    page = client.get(f"/admin/accounts/user/{user.pk}/change/").content.decode()
    panel = page[page.index("What to know") : page.index("Decide</h2>")]
    for told in ("not confirmed", "<strong>no</strong>", "1234567", "Dr Inviter", "Consultant"):
        assert told in panel


def test_times_in_the_admin_have_24_hours(client, trust):
    user = waiting(trust)
    User.objects.filter(pk=user.pk).update(
        joined_at=timezone.datetime(2026, 1, 5, 15, 4, tzinfo=timezone.get_current_timezone())
    )
    client.force_login(make_administrator())
    assert "5 January 2026, 15:04" in client.get("/admin/accounts/user/").content.decode()


# --- the first two -----------------------------------------------------------------------------


def bootstrap(*people: str) -> str:
    said = StringIO()
    call_command("bootstrap_admins", *people, stdout=said)
    return said.getvalue()


def test_the_first_two_choose_their_passwords_by_a_link_that_works_once(client):
    said = bootstrap("Alex Admin <alex@trust.example>", "Bo Admin <bo@trust.example>")
    links = re.findall(r"/accounts/password/reset/key/\S+", said)
    assert len(links) == 2
    page = client.get(links[0], follow=True)
    chosen = "a-word-of-my-own-5"
    client.post(page.request["PATH_INFO"], {"password1": chosen, "password2": chosen})
    client.post("/accounts/login/", {"login": "alex@trust.example", "password": chosen})
    assert client.get("/admin/").headers["Location"] == "/accounts/consent/"
    client.post("/accounts/consent/", {"accept": "on"})
    assert client.get("/admin/").status_code == 200
    other = type(client)()
    assert "password1" not in other.get(links[0], follow=True).content.decode()


@pytest.mark.parametrize(
    ("people", "sentence"),
    [
        (["Alex Admin <alex@trust.example>"], "Name two people"),
        (["Alex <a@trust.example>", "Bo <a@trust.example>"], "two different people"),
        (["Alex <a@trust.example>", "nobody"], "is no person"),
        ([f"A{n} <a{n}@trust.example>" for n in range(3)], "no more than"),
    ],
)
def test_it_makes_two_and_no_fewer(people, sentence):
    with pytest.raises(CommandError, match=sentence):
        bootstrap(*people)
    assert not User.objects.exists()


def test_it_makes_nobody_where_there_are_two():
    make_administrator(), make_administrator()
    with pytest.raises(CommandError, match="has its administrators"):
        bootstrap("Eve <eve@trust.example>", "Eva <eva@trust.example>")

"""A study by its reference: only one's own, and not by trying."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core import mail
from django.test import Client
from django.utils import timezone

from accounts.identifiers import check_character, clean_reference, is_reference, new_reference
from accounts.models import AuditEvent
from accounts.roles import Role
from scripts.drill import access_lookup
from studies import sharing
from studies.models import LookupGuard, Study
from tests.people import make_administrator, make_study, make_trust, make_user

pytestmark = pytest.mark.django_db

NONE_SUCH = "No study that you may see has this reference."


@pytest.fixture
def study() -> Study:
    return make_study(make_trust())


@pytest.fixture
def reader(client, study):
    user = make_user(study.trust)
    client.force_login(user)
    return user


def ask(client, reference: str):
    return client.post("/look-up/", {"reference": reference})


def test_a_reference_is_six_characters_and_their_check_character():
    made = {new_reference() for _ in range(500)}
    assert len(made) > 490
    for reference in made:
        assert len(reference) == 7
        assert check_character(reference[:6]) == reference[6]
        assert is_reference(reference)
    assert Study._meta.get_field("reference").unique


def test_it_is_found_as_people_write_it(client, study, reader):
    reference = study.reference
    ways = [
        reference, reference.lower(), f" {reference[:3]} {reference[3:]} ",
        f"{reference[:3]}-{reference[3:]}",
        reference[:6].replace("0", "o").replace("1", "l") + reference[6],
    ]  # fmt: skip
    for way in ways:
        answer = ask(client, way)
        assert answer["Location"] == f"/studies/{study.public_id}/", way
    assert AuditEvent.objects.filter(verb="lookup.found", object_id=study.public_id).count() == 5
    assert clean_reference("not one") == clean_reference("") == ""


def test_the_field_stands_on_every_page_of_a_reader_and_of_nobody_else(client, study, reader):
    for address in ("/", f"/studies/{study.public_id}/", "/protocols/", "/intended-use/"):
        assert 'id="look-up-field"' in client.get(address).content.decode()
    for user in (make_administrator(), make_user(study.trust, Role.RESEARCHER)):
        client.force_login(user)
        assert 'id="look-up-field"' not in client.get("/intended-use/").content.decode()
        assert ask(client, study.reference).status_code == 404


def test_anothers_nobodys_and_a_mistyped_one_are_one_answer(client, reader):
    other = make_study(make_trust())
    wrong = other.reference[:6] + ("A" if other.reference[6] != "A" else "B")
    pages = []
    for reference in (other.reference, new_reference(), wrong):
        answer = ask(client, reference)
        assert answer.status_code == 422
        page = answer.content.decode()
        assert NONE_SUCH in page
        pages.append(page.replace(reference, "").count("<"))
    assert len(set(pages)) == 1
    # What was typed is kept nowhere: it might be a name.
    assert [event.detail for event in AuditEvent.objects.filter(verb="lookup.invalid")] == [{}] * 3


def test_a_shared_study_is_found_until_the_share_ends(client, reader):
    other = make_study(make_trust())
    owner = make_user(other.trust)
    grant = sharing.share(other, by=owner, to_user=reader, reason="opinion")
    assert ask(client, other.reference).status_code == 302
    sharing.revoke(grant, by=owner)
    assert ask(client, other.reference).status_code == 422


def test_five_invalid_ones_lock_it_whatever_comes_between(
    client, study, reader, django_capture_on_commit_callbacks
):
    administrator = make_administrator()
    second = Client()
    second.force_login(reader)
    with django_capture_on_commit_callbacks(execute=True):
        for number in range(4):
            one = client if number % 2 else second
            assert ask(one, new_reference()).status_code == 422
            assert ask(one, study.reference).status_code == 302
        answer = ask(client, new_reference())
    assert answer.status_code == 429
    assert 890 <= int(answer["Retry-After"]) <= 900
    assert "The look-up is locked" in answer.content.decode()
    for one in (client, second):
        assert ask(one, study.reference).status_code == 429
    # The account is not locked, and nobody else's look-up is.
    assert client.get(f"/studies/{study.public_id}/").status_code == 200
    client.force_login(make_user(study.trust))
    assert ask(client, study.reference).status_code == 302
    assert [message.to for message in mail.outbox] == [[administrator.email]]
    assert reader.email in mail.outbox[0].body
    verbs = AuditEvent.objects.filter(actor=reader.public_id, verb__startswith="lookup")
    counted = [verbs.filter(verb=f"lookup.{word}").count() for word in
               ("found", "invalid", "lock", "locked")]  # fmt: skip
    assert counted == [4, 5, 1, 2]


def locked_for(client, reader) -> timedelta:
    for _ in range(5):
        answer = ask(client, new_reference())
    assert answer.status_code == 429
    return LookupGuard.objects.get(user=reader).locked_until - timezone.now()


def test_each_lock_is_twice_as_long_until_a_day_has_passed(client, reader):
    def later(after: timedelta) -> None:
        LookupGuard.objects.filter(user=reader).update(locked_until=timezone.now() - after)

    minutes = []
    for _ in range(3):
        minutes.append(round(locked_for(client, reader).total_seconds() / 60))
        later(timedelta(seconds=1))
    assert minutes == [15, 30, 60]
    later(timedelta(hours=25))
    assert round(locked_for(client, reader).total_seconds() / 60) == 15


def test_the_quarter_of_an_hour_slides(client, study, reader):
    for _ in range(4):
        ask(client, new_reference())
    guard = LookupGuard.objects.get(user=reader)
    guard.invalid_at = [at - 901 for at in guard.invalid_at[:2]] + guard.invalid_at[2:]
    guard.save()
    assert [ask(client, new_reference()).status_code for _ in range(3)] == [422, 422, 429]


@pytest.mark.django_db(transaction=True)
def test_tries_in_parallel_do_not_get_through():
    assert access_lookup.one_round(24, 6) == {"tried": 24, "through": 0, "open_afterwards": 0}

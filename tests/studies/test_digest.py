"""The daily mail: to whom it goes, what it says, and that it names nobody's study."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core import mail
from django.utils import timezone

from accounts.models import User
from studies import digest, sharing
from tests.people import make_study, make_trust, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def shared():
    owner = make_user(make_trust())
    study = make_study(owner.trust)
    receiver = make_user(make_trust())
    sharing.share(
        study, by=owner, to_user=receiver, reason="opinion", question="Defect?",
        due_on=timezone.localdate(),
    )  # fmt: skip
    return study, receiver


def test_only_who_wants_it_gets_it(shared):
    _study, receiver = shared
    assert digest.send() == 0
    User.objects.filter(pk=receiver.pk).update(mail_digest=True)
    assert digest.send() == 1
    assert [letter.to for letter in mail.outbox] == [[receiver.email]]


def test_it_counts_and_names_no_study(shared):
    study, receiver = shared
    User.objects.filter(pk=receiver.pk).update(mail_digest=True)
    digest.send()
    body = mail.outbox[0].body
    assert "A question about a study waits for your answer: 1" in body
    assert "1 question waits for your answer." in body
    assert study.reference not in body
    assert study.public_id not in body
    assert "http" not in body


def test_what_was_told_is_not_told_again(shared):
    study, receiver = shared
    User.objects.filter(pk=receiver.pk).update(mail_digest=True)
    assert [digest.send(), digest.send()] == [1, 0]
    other = make_user(study.trust)
    sharing.share(study, by=other, to_trust=receiver.trust, reason="again")
    assert digest.send(timezone.now() + timedelta(days=1)) == 1
    assert "A study was shared with you: 1" in mail.outbox[1].body
    assert "A question about" not in mail.outbox[1].body


def test_it_is_chosen_in_the_account(client, shared):
    _study, receiver = shared
    client.force_login(receiver)
    page = client.get("/accounts/profile/").content.decode()
    assert "once a day what is new" in page
    client.post(
        "/accounts/profile/",
        {"name": receiver.name, "time_zone": "Europe/London", "mail_digest": "on"},
    )
    receiver.refresh_from_db()
    assert receiver.mail_digest

"""The pages with which a study is shared, taken back and released for research."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.models import AuditEvent, User
from accounts.roles import Role
from studies import access
from studies.models import Share, Study
from tests.people import make_study, make_trust, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def study() -> Study:
    return make_study(make_trust())


@pytest.fixture
def owner(client, study) -> User:
    user = make_user(study.trust)
    client.force_login(user)
    return user


def share(client, study: Study, **fields: object):
    data = {"reason": "second opinion", "days": 7, "may_download": "on", **fields}
    return client.post(
        f"/studies/{study.public_id}/share/",
        {name: value for name, value in data.items() if value is not None},
    )


def test_with_a_trust_all_its_consultants_see_it(client, study, owner):
    trust = make_trust("Seaside NHS Trust")
    answer = share(client, study, to_trust=trust.pk)
    assert answer["Location"] == f"/studies/{study.public_id}/"
    grant = Share.objects.get()
    assert (grant.to_trust, grant.to_user, grant.by) == (trust, None, owner)
    assert (grant.reason, grant.may_download) == ("second opinion", True)
    left = grant.expires_at - timezone.now()
    assert timedelta(days=6, hours=23) < left <= timedelta(days=7)
    assert access.visible_to(make_user(trust)).get() == study
    assert not access.visible_to(make_user(trust, Role.RESEARCHER)).exists()
    event = AuditEvent.objects.get(verb="study.share")
    assert (event.actor, event.object_id) == (owner.public_id, study.public_id)
    assert event.detail == {"share": grant.public_id, "days": 7, "verbs": "download see"}
    assert "Shared with Seaside NHS Trust." in client.get(answer["Location"]).content.decode()


def test_with_one_colleague_nobody_else_sees_it(client, study, owner):
    colleague = make_user(make_trust(), email="reader@hospital.example")
    assert (
        share(client, study, to_email="Reader@Hospital.example", may_download=None).status_code
        == 302
    )
    grant = Share.objects.get()
    assert (grant.to_user, grant.to_trust, grant.may_download) == (colleague, None, False)
    assert access.visible_to(colleague).get() == study
    assert not access.visible_to(make_user(colleague.trust)).exists()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({}, "Choose a trust, or give one colleague"),
        ({"to_email": "reader@hospital.example", "to_trust": "other"}, "Choose a trust, or"),
        ({"to_email": "reader@hospital.example", "reason": ""}, "This field is required"),
        ({"to_email": "reader@hospital.example", "days": 366}, "less than or equal to 365"),
        ({"to_email": "reader@hospital.example", "days": 0}, "greater than or equal to 1"),
        ({"to_email": "own@hospital.example"}, "sees the study already"),
        ({"to_trust": "own"}, "Select a valid choice"),
        ({"to_trust": "999999"}, "Select a valid choice"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_on_the_form(client, study, owner, changes, sentence):
    other = make_trust()
    make_user(other, email="reader@hospital.example")
    make_user(study.trust, email="own@hospital.example")
    trusts = {"other": other.pk, "own": study.trust.pk}
    if "to_trust" in changes:
        changes = changes | {"to_trust": trusts.get(changes["to_trust"], changes["to_trust"])}
    answer = share(client, study, **changes)
    assert answer.status_code == 200
    assert sentence in answer.content.decode().replace("&#x27;", "'")
    assert not Share.objects.exists()


def test_whoever_is_no_reader_gets_the_same_answer(client, study, owner):
    """Whether an address has an account at all is nobody's business."""
    make_user(make_trust(), Role.RESEARCHER, email="researcher@hospital.example")
    make_user(make_trust(), email="waiting@hospital.example", status=User.Status.PENDING)
    make_user(make_trust(), email="gone@hospital.example", status=User.Status.SUSPENDED)
    pages = set()
    for email in ("researcher", "waiting", "gone", "nobody"):
        answer = share(client, study, to_email=f"{email}@hospital.example").content.decode()
        assert "No consultant on CoreCMR has this address." in answer
        pages.add(answer.count("<"))
    assert len(pages) == 1
    assert not Share.objects.exists()


def test_the_end_of_a_share_is_the_receivers_next_request(client, study, owner):
    colleague = make_user(make_trust())
    share(client, study, to_trust=colleague.trust.pk)
    grant = Share.objects.get()
    client.force_login(colleague)
    assert client.get(f"/studies/{study.public_id}/").status_code == 200
    client.force_login(owner)
    for _ in range(2):
        answer = client.post(f"/shares/{grant.public_id}/revoke/")
        assert answer["Location"] == f"/studies/{study.public_id}/"
    assert AuditEvent.objects.filter(verb="study.unshare").count() == 1
    client.force_login(colleague)
    assert client.get(f"/studies/{study.public_id}/").status_code == 404


def test_release_for_research_is_one_decision_and_one_line_of_the_record(client, study, owner):
    address = f"/studies/{study.public_id}/research/"
    for allowed, expected in (("yes", True), ("yes", True), ("no", False), ("", False)):
        assert client.post(address, {"allowed": allowed}).status_code == 302
        assert Study.objects.get().research_permission is expected
    events = AuditEvent.objects.filter(verb="study.research_permission").order_by("id")
    assert [event.detail for event in events] == [{"allowed": True}, {"allowed": False}]


# --- partner trusts ------------------------------------------------------------------------------


def test_partner_trusts_are_offered_first(client, study, owner):
    partner, other = make_trust("Zed Partner Trust"), make_trust("An Other Trust")
    assert "Partner trusts" not in client.get(f"/studies/{study.public_id}/share/").content.decode()
    study.trust.partners.add(partner)
    page = client.get(f"/studies/{study.public_id}/share/").content.decode()
    assert page.index('label="Partner trusts"') < page.index(partner.name)
    assert page.index(partner.name) < page.index('label="Other trusts"') < page.index(other.name)
    assert share(client, study, to_trust=other.pk).status_code == 302


def test_a_trust_may_keep_to_its_partners(client, study, owner):
    partner, other = make_trust("Partner Trust"), make_trust("Other Trust")
    study.trust.partners.add(partner)
    study.trust.partners_only = True
    study.trust.save()
    inside, outside = make_user(partner, email="in@hospital.example"), make_user(other)

    page = client.get(f"/studies/{study.public_id}/share/").content.decode()
    assert partner.name in page
    assert other.name not in page
    assert share(client, study, to_trust=other.pk).status_code == 200
    refused = share(client, study, to_email=outside.email).content.decode()
    assert "shares studies with its partner trusts only" in refused
    assert not Share.objects.exists()

    assert share(client, study, to_trust=partner.pk).status_code == 302
    assert share(client, study, to_email=inside.email).status_code == 302
    assert Share.objects.count() == 2

"""Who is told what in the portal, and that nothing is told of a study that is no longer seen."""

from __future__ import annotations

import pytest

from accounts.models import AuditEvent, User
from accounts.roles import Role
from processing import runs
from studies import erasure, notifications, projects, sharing
from studies.models import Notification, ProjectTrust
from tests.people import make_project, make_result, make_study, make_trust, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def owner() -> User:
    return make_user(make_trust(), name="Ada Owner")


@pytest.fixture
def study(owner):
    return make_study(owner.trust, uploaded_by=owner)


def kinds(user: User) -> list[str]:
    return [one.kind for one in notifications.of(user)]


def test_a_share_is_told_to_the_person_or_to_the_trusts_consultants(study, owner):
    trust, colleague = make_trust(), make_user(make_trust())
    consultant, researcher = make_user(trust), make_user(trust, Role.RESEARCHER)
    waiting = make_user(trust, status=User.Status.PENDING)
    sharing.share(study, by=owner, to_user=colleague, reason="x")
    sharing.share(study, by=owner, to_trust=trust, reason="x")
    assert kinds(colleague) == kinds(consultant) == ["shared"]
    for other in (researcher, waiting, owner):
        assert not Notification.objects.filter(to=other).exists()


def test_of_a_study_that_is_no_longer_seen_only_its_end_is_told(client, study, owner):
    guest = make_user(make_trust())
    grant = sharing.share(study, by=owner, to_user=guest, reason="x")
    assert notifications.unread(guest) == 1
    sharing.revoke(grant, by=owner)
    assert kinds(guest) == ["unshared"]
    client.force_login(guest)
    page = client.get("/notifications/").content.decode()
    assert "A study is no longer shared with you" in page
    assert study.reference not in page
    assert study.public_id not in page


def begun(study, by: User | None):
    run = runs.submit(study, engine="mcaq", by=by)
    return runs.claim(run.pk)


def test_the_end_of_a_run_is_told_to_who_asked_for_it(study, owner):
    asker = make_user(owner.trust)
    runs.fail(begun(study, asker), "No heart was found.")
    assert kinds(asker) == ["failed"]
    assert kinds(owner) == []
    run = begun(study, None)
    runs.succeed(run, make_result(study))
    assert kinds(owner) == ["finished"], "of a run that the site began, who sent the study"


def test_projects_ask_and_are_answered():
    trust = make_trust(research_allowed=True)
    researcher, consultant = make_user(trust, Role.RESEARCHER), make_user(trust)
    manager = make_user(trust, Role.TRUST_ADMINISTRATOR)
    project = make_project(researcher, trust, allowed=False)
    assert kinds(consultant) == kinds(manager) == ["asks"]
    projects.decide(ProjectTrust.objects.get(), by=manager, allow=True)
    assert kinds(researcher) == ["answer"]
    assert project.name in str(notifications.of(researcher).get().project)


def test_the_number_in_the_header_and_reading_all(client, study, owner):
    guest = make_user(make_trust())
    for _ in range(2):
        sharing.share(study, by=owner, to_user=guest, reason="x")
    client.force_login(guest)
    page = client.get("/notifications/").content.decode()
    assert '<span class="app-badge" aria-hidden="true">2</span>' in page
    assert "(2 unread)" in page
    assert page.count(f'href="/studies/{study.public_id}/"') == 2
    assert "Ada Owner" in page
    client.post("/notifications/read/")
    assert "app-badge" not in client.get("/notifications/").content.decode()
    assert AuditEvent.objects.get(verb="notification.read").detail == {"count": 2}
    assert client.get("/accounts/my-data.json").json()["notifications"]


def test_with_an_erased_study_its_notifications_go(study, owner):
    guest, second = make_user(make_trust()), make_user(owner.trust)
    sharing.share(study, by=owner, to_user=guest, reason="x")
    erasure.confirm(erasure.request(study, by=owner, reason="patient"), by=second)
    assert not Notification.objects.exists()

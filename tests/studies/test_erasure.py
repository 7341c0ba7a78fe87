"""The end of a study: two people, a certificate, nothing left; holds and retention periods."""

from __future__ import annotations

from datetime import timedelta
from io import StringIO

import pytest
from django.core.files.storage import storages
from django.core.management import call_command
from django.http import Http404
from django.utils import timezone

from accounts.models import AuditEvent, Membership, User
from accounts.roles import Role
from corecmr import queue
from processing import runs
from scripts.drill import erasure_markers
from studies import erasure, sharing, tasks
from studies.models import Erasure, Retention, Study
from tests.people import make_administrator, make_study, make_trust, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def study() -> Study:
    return make_study(make_trust())


@pytest.fixture
def people(study) -> tuple[User, User]:
    return make_user(study.trust, name="Ada First"), make_user(study.trust, name="Ben Second")


def test_one_person_asks_and_a_second_confirms(client, study, people):
    first, second = people
    client.force_login(first)
    page = client.get(f"/studies/{study.public_id}/").content.decode()
    assert f"/studies/{study.public_id}/erase/" in page
    answer = client.post(f"/studies/{study.public_id}/erase/", {"reason": "patient"})
    address = answer["Location"]
    assert "Ask a colleague of your trust" in client.get(address).content.decode()
    answer = client.post(f"{address}confirm/", follow=True)
    assert "A second person of your trust must confirm it." in answer.content.decode()
    assert AuditEvent.objects.get(verb="erasure.confirm_refused").actor == first.public_id
    assert Study.objects.filter(pk=study.pk).exists()

    client.force_login(second)
    assert study.reference in client.get("/erasures/").content.decode()
    assert "Confirm: erase for good" in client.get(address).content.decode()
    for _ in range(2):
        assert client.post(f"{address}confirm/").status_code == 302
    assert not Study.objects.filter(pk=study.pk).exists()
    assert "Files are being deleted" in client.get(address).content.decode()
    tasks.erase_files(Erasure.objects.get().pk)
    page = client.get(address).content.decode()
    for words in ("Certificate of erasure", "Ada First", "Ben Second", "The patient asked for it"):
        assert words in page
    assert AuditEvent.objects.filter(verb="erasure.confirm").count() == 1
    assert client.get(f"/studies/{study.public_id}/").status_code == 404


def test_a_form_without_a_reason_says_so(client, study, people):
    client.force_login(people[0])
    for wrong in ("", "retention", "because"):
        page = client.post(f"/studies/{study.public_id}/erase/", {"reason": wrong}).content.decode()
        assert "There is a problem" in page
    assert not Erasure.objects.exists()


def test_asking_twice_is_one_request_and_it_can_be_withdrawn(client, study, people):
    asked = [erasure.request(study, by=person, reason="mistake") for person in people]
    assert asked[0] == asked[1]
    client.force_login(people[1])
    client.post(f"/erasures/{asked[0].public_id}/withdraw/")
    answer = client.post(f"/erasures/{asked[0].public_id}/confirm/", follow=True)
    assert "was withdrawn meanwhile. The study stays." in answer.content.decode()
    assert Study.objects.filter(pk=study.pk).exists()
    assert erasure.request(study, by=people[1], reason="mistake") != asked[0]


def test_nobody_else_asks_or_confirms(study, people):
    guest, stranger = make_user(make_trust()), make_user(make_trust())
    sharing.share(study, by=people[0], to_user=guest, reason="x", may_run=True, may_comment=True)
    others = [guest, stranger, make_administrator(), make_user(study.trust, Role.RESEARCHER),
              make_user(study.trust, status=User.Status.SUSPENDED)]  # fmt: skip
    asked = erasure.request(study, by=people[0], reason="patient")
    for other in others:
        for attempt in (
            lambda other=other: erasure.request(study, by=other, reason="patient"),
            lambda other=other: erasure.confirm(asked, by=other),
            lambda other=other: erasure.withdraw(asked, by=other),
            lambda other=other: erasure.hold(study, by=other, reason="x"),
        ):
            with pytest.raises(Http404):
                attempt()
    # Who asked and has moved away since confirms nothing of the old trust.
    Membership.objects.filter(user=people[1]).update(trust=make_trust())
    with pytest.raises(Http404):
        erasure.confirm(asked, by=User.objects.get(pk=people[1].pk))
    assert Study.objects.filter(pk=study.pk).exists()


def test_a_hold_keeps_the_study_and_says_why(client, study, people):
    first, second = people
    asked = erasure.request(study, by=first, reason="patient")
    client.force_login(first)
    address = f"/studies/{study.public_id}/hold/"
    assert "This field is required" in client.post(address, {"reason": ""}).content.decode()
    client.post(address, {"reason": "court order of May"})
    assert "court order of May" in client.get(f"/studies/{study.public_id}/").content.decode()
    with pytest.raises(erasure.ErasureError, match="court order of May"):
        erasure.confirm(asked, by=second)
    with pytest.raises(erasure.ErasureError, match="on hold"):
        erasure.request(study, by=second, reason="over")
    client.post(address, {"lift": "yes"})
    erasure.confirm(asked, by=second)
    assert not Study.objects.filter(pk=study.pk).exists()
    verbs = AuditEvent.objects.filter(verb__in=["study.hold", "study.lift_hold"])
    assert verbs.count() == 2
    assert {str(event.detail) for event in verbs} == {"{}"}


def test_nothing_of_it_is_left_but_the_certificate_and_the_record():
    kept, gone = erasure_markers.plant(), erasure_markers.plant()
    assert {marker for marker, _ in erasure_markers.find(gone.markers)} == set(gone.markers)
    events = AuditEvent.objects.count()
    reference = gone.study.reference
    certificate = gone.erase()
    assert erasure_markers.find(gone.markers) == []
    assert {marker for marker, _ in erasure_markers.find(kept.markers)} == set(kept.markers)
    assert AuditEvent.objects.count() > events
    assert certificate.finished_at is not None
    assert certificate.pending == []
    assert certificate.counts | {"segmentflow": 4, "storedfile": 2, "files": 3, "queue": 1} == (
        certificate.counts
    )
    # Who opened it can still be answered by its reference.
    from studies.openings import ids_of_reference

    assert certificate.study_public_id in ids_of_reference(reference)


def test_files_are_deleted_although_the_first_try_broke_off(study, people):
    made = erasure_markers.plant()
    asked = erasure.request(made.study, by=made.people[0], reason="mistake")
    erasure.confirm(asked, by=made.people[1])
    asked.refresh_from_db()
    keys = [key for name, key in asked.pending if name == "default"]
    storages["default"].delete(keys[0])  # as far as the first try came
    assert erasure.reap() == 0
    Erasure.objects.filter(pk=asked.pk).update(confirmed_at=timezone.now() - timedelta(minutes=6))
    assert erasure.reap() == 1
    assert not any(storages["default"].exists(key) for key in keys)
    assert erasure.reap() == 0


def test_a_run_in_hand_is_thrown_away(study, people):
    run = runs.submit(study, engine="mcaq", by=people[0])
    claimed = runs.claim(run.pk)
    asked = erasure.request(study, by=people[0], reason="patient")
    erasure.confirm(asked, by=people[1])
    assert not runs.heartbeat(claimed, "flow", 0.5)
    assert queue.forget("run", [run.pk]) == 0


def test_a_retention_period_is_shown_and_enforced(client, study, people):
    client.force_login(people[0])
    shown = f"/studies/{study.public_id}/"
    assert "has no retention period" in client.get(shown).content.decode()
    Retention.objects.create(trust=study.trust, days=100)
    last = timezone.localtime(study.created_at + timedelta(days=100))
    assert f"until {last.day} {last:%B %Y}" in client.get(shown).content.decode()
    young, held = make_study(study.trust), make_study(study.trust, hold_reason="court")
    elsewhere = make_study(make_trust())
    Study.objects.filter(pk__in=[study.pk, held.pk, elsewhere.pk]).update(
        created_at=timezone.now() - timedelta(days=101)
    )

    def applied(**options: bool) -> str:
        said = StringIO()
        call_command("apply_retention", stdout=said, **options)
        return said.getvalue()

    said = applied(dry_run=True)
    assert f"{study.reference}, received" in said
    assert "1 to erase, 1 on hold." in said
    assert Study.objects.count() == 4
    assert "1 erased, 1 on hold." in applied()
    assert set(Study.objects.all()) == {young, held, elsewhere}
    certificate = Erasure.objects.get()
    assert (certificate.reason, certificate.requested_by) == ("retention", None)
    assert certificate.finished_at is not None
    assert "0 erased, 1 on hold." in applied()


def test_the_period_is_set_in_the_administration(client, study):
    client.force_login(make_administrator())
    assert "/admin/studies/retention/" in client.get("/admin/").content.decode()
    add = "/admin/studies/retention/add/"
    assert client.post(add, {"trust": study.trust.pk, "days": 5}).status_code == 200
    assert client.post(add, {"trust": study.trust.pk, "days": 400}).status_code == 302
    assert Retention.objects.get().days == 400
    assert AuditEvent.objects.get(verb="trust.retention").detail == {"days": 400}

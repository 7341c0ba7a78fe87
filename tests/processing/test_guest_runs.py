"""A guest whose share allows it analyses again: with the owner's rule, and only while it lasts."""

from __future__ import annotations

import pytest

from accounts.models import User
from processing import protocols, runs, states, tasks
from processing.models import Run
from studies import sharing
from tests.people import make_study, make_trust, make_user, protocol_content

pytestmark = pytest.mark.django_db


@pytest.fixture
def scene(client):
    study = make_study(make_trust())
    owner, guest = make_user(study.trust), make_user(make_trust())
    grant = sharing.share(study, by=owner, to_user=guest, reason="opinion", may_run=True)
    client.force_login(guest)
    return study, owner, guest, grant


def submit(client, study, **data):
    return client.post(f"/studies/{study.public_id}/run/submit/", data)


def test_a_guest_analyses_with_the_owners_rule_and_sees_no_protocol(client, scene):
    study, owner, guest, _ = scene
    protocol = protocols.create(by=owner, content=protocol_content(name="House sequence"))
    card = client.get(f"/studies/{study.public_id}/run/").content.decode()
    assert "run-submit" in card
    assert "House sequence" not in card
    assert submit(client, study, protocol=protocol.public_id).status_code == 404
    assert submit(client, study).status_code == 302
    run = Run.objects.get()
    assert (run.requested_by, run.protocol_version) == (guest, protocol.versions.get())


def test_without_the_verb_there_is_no_button_and_no_run(client, scene):
    study, owner, guest, grant = scene
    sharing.revoke(grant, by=owner)
    sharing.share(study, by=owner, to_user=guest, reason="opinion", may_comment=True)
    assert "run-submit" not in client.get(f"/studies/{study.public_id}/run/").content.decode()
    assert submit(client, study).status_code == 404
    assert not Run.objects.exists()


def test_a_guest_stops_only_what_the_guest_started(client, scene):
    study, owner, _, _ = scene
    theirs = runs.submit(study, engine="mcaq", by=owner)
    assert "run-cancel" not in client.get(f"/studies/{study.public_id}/run/").content.decode()
    assert client.post(f"/runs/{theirs.public_id}/cancel/").status_code == 404
    runs.cancel(theirs, by=owner)
    submit(client, study)
    own = Run.objects.get(state=states.QUEUED)
    assert client.post(f"/runs/{own.public_id}/cancel/").status_code == 302
    submit(client, study)
    again = Run.objects.get(state=states.QUEUED)
    assert runs.cancel(again, by=owner)


@pytest.mark.parametrize("end", ["revoked", "suspended"])
def test_the_worker_asks_the_same_door(client, scene, end):
    study, owner, guest, grant = scene
    submit(client, study)
    if end == "revoked":
        sharing.revoke(grant, by=owner)
    else:
        User.objects.filter(pk=guest.pk).update(status=User.Status.SUSPENDED)
    run = Run.objects.get()
    tasks.execute_run(run.pk)
    run.refresh_from_db()
    assert run.state == states.FAILED
    assert run.reason.startswith("Who asked for this analysis may no longer use the study.")

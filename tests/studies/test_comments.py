"""Comments: who may write and read them, what a change leaves behind, who is called."""

from __future__ import annotations

import pytest

from studies import comments, sharing
from studies.models import Comment, Notification
from tests.people import make_result, make_study, make_trust, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def study():
    trust = make_trust("Own Trust")
    study = make_study(trust)
    make_result(study)
    return study


@pytest.fixture
def owner(study):
    return make_user(study.trust, name="Dr Owner")


def write(client, study, text="Look at the inferior wall.", **more):
    return client.post(f"/studies/{study.public_id}/comments/", {"text": text, **more})


def test_a_comment_is_pinned_to_its_place_and_leads_there(client, study, owner):
    client.force_login(owner)
    write(
        client, study, folder="stress_mid", frame="17", row="80", column="61", segment="10",
        result_number="1",
    )  # fmt: skip
    page = client.get(f"/studies/{study.public_id}/").content.decode()
    assert "10 Mid inferior, stress mid, frame 18, row 80, column 61" in page
    where = "workspace/?result=1&amp;folder=stress_mid&amp;frame=17&amp;row=80&amp;column=61"
    assert where in page


def test_people_called_by_name_are_told_if_they_see_the_study(client, study, owner):
    colleague = make_user(study.trust, name="Dr Colleague")
    stranger = make_user(make_trust(), name="Dr Stranger")
    client.force_login(owner)
    refused = write(client, study, tell=[stranger.public_id])
    assert refused.status_code == 400
    write(client, study, tell=[colleague.public_id])
    assert [n.to for n in Notification.objects.filter(kind="mentioned")] == [colleague]
    comments.write(study, by=owner, text="Again", place={}, tell=[stranger])
    assert not Notification.objects.filter(to=stranger).exists()
    client.force_login(colleague)
    assert "Dr Owner calls you in a comment" in client.get("/").content.decode()


def test_what_was_said_before_a_change_stays(client, study, owner):
    client.force_login(owner)
    write(client, study, text="It is an artefact.")
    one = Comment.objects.get()
    client.post(f"/comments/{one.public_id}/change/", {"text": "It is a defect."})
    page = client.get(f"/studies/{study.public_id}/").content.decode()
    assert "It is a defect." in page
    assert "It is an artefact." in page
    assert "changed" in page


def test_what_is_taken_back_is_gone_for_guests_and_kept_for_the_trust(client, study, owner):
    guest = make_user(make_trust(), name="Dr Guest")
    sharing.share(study, by=owner, to_user=guest, reason="opinion", may_comment=True)
    client.force_login(guest)
    write(client, study, text="A hasty remark.")
    one = Comment.objects.get()
    client.post(f"/comments/{one.public_id}/take-back/")
    address = f"/studies/{study.public_id}/comments/"
    assert "A hasty remark." not in client.get(address).content.decode()
    client.force_login(owner)
    page = client.get(address).content.decode()
    assert "Taken back by its writer." in page
    assert "A hasty remark." in page


def test_only_the_writer_changes_a_comment(client, study, owner):
    client.force_login(owner)
    write(client, study)
    one = Comment.objects.get()
    client.force_login(make_user(study.trust))
    for end in ("change/", "take-back/"):
        assert client.post(f"/comments/{one.public_id}/{end}", {"text": "x"}).status_code == 404
    one.refresh_from_db()
    assert one.text == "Look at the inferior wall."


def test_a_guest_without_leave_reads_and_does_not_write(client, study, owner):
    guest = make_user(make_trust())
    sharing.share(study, by=owner, to_user=guest, reason="opinion")
    client.force_login(guest)
    assert client.get(f"/studies/{study.public_id}/comments/").status_code == 200
    assert write(client, study).status_code == 404
    assert not Comment.objects.exists()


def test_an_empty_comment_is_refused_with_its_reason(client, study, owner):
    client.force_login(owner)
    assert write(client, study, text="  ").status_code == 400
    one = comments.write(study, by=owner, text="A", place={})
    answer = client.post(f"/comments/{one.public_id}/change/", {"text": " "})
    assert answer.status_code == 400
    assert "The comment is empty" in answer.content.decode()
    for segment in ("0", "17", "x"):
        assert write(client, study, segment=segment).status_code == 400


def test_a_guest_knows_no_names_but_those_met_here(study, owner):
    guest = make_user(make_trust())
    quiet = make_user(study.trust, name="Dr Quiet")
    sharing.share(study, by=owner, to_user=guest, reason="opinion", may_comment=True)
    assert comments.people(study, guest) == [owner]
    comments.write(study, by=quiet, text="I saw it too.", place={})
    assert set(comments.people(study, guest)) == {owner, quiet}

"""The record of a study: asked on the upload's page and on the study's, used by the next run."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from django.core.files.base import ContentFile
from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.models import AuditEvent, User
from accounts.roles import Role
from processing import protocols
from processing.models import Run
from processing.tasks import submit_study
from studies import access, uploads
from studies.models import Study
from studies.tasks import ingest_upload
from tests.dicom.make import film, save
from tests.people import make_result, make_study, make_trust, make_user, protocol_content

pytestmark = pytest.mark.django_db


@pytest.fixture
def study() -> Study:
    return make_study(make_trust(research_allowed=True))


@pytest.fixture
def owner(client, study) -> User:
    user = make_user(study.trust)
    client.force_login(user)
    return user


def record(client, study: Study, **answers: object):
    return client.post(f"/studies/{study.public_id}/record/", answers)


def verbs() -> list[str]:
    return list(AuditEvent.objects.order_by("pk").values_list("verb", flat=True))


def test_what_was_given_is_asked_kept_and_used_by_the_next_run(client, study, owner):
    html = client.get(f"/studies/{study.public_id}/record/").content.decode()
    assert "What the files do not say" in html
    answer = record(client, study, agent="gadobenate", dose_mmol_per_kg="0.075",
                    stressor="regadenoson")  # fmt: skip
    assert answer["Location"] == f"/studies/{study.public_id}/"
    study.refresh_from_db()
    assert (study.agent, study.dose_mmol_per_kg, study.stressor) == (
        "gadobenate", 0.075, "regadenoson",
    )  # fmt: skip
    protocols.create(by=owner, content=protocol_content(values={
        "agent": "gadobutrol", "saturation_time_ms": 105.0}))  # fmt: skip
    submit_study(study.pk)
    told = Run.objects.get().parameters
    given = {"agent": "gadobenate", "dose_mmol_per_kg": 0.075, "stressor": "regadenoson"}
    assert told["protocol"] == {"saturation_time_ms": 105.0, **given}, "the record comes first"
    assert told["record"] == given
    event = AuditEvent.objects.get(verb="study.record")
    assert event.detail == {"changed": "agent,dose_mmol_per_kg,stressor"}


def test_the_page_says_when_a_result_does_not_know_of_it(client, study, owner):
    make_result(study)
    address = f"/studies/{study.public_id}/"
    assert "outdated-run" not in client.get(address).content.decode()
    record(client, study, agent="gadobenate")
    assert "outdated-run" in client.get(address).content.decode()


def test_the_protocol_is_chosen_by_a_person_or_by_its_rule(client, study, owner):
    by_rule = protocols.create(by=owner, content=protocol_content())
    other = protocols.create(by=owner, content=protocol_content(name="Special", use="chosen"))
    assert "By its rule: Dual sequence" in client.get(
        f"/studies/{study.public_id}/record/").content.decode()  # fmt: skip
    assert protocols.wanted(study).version.protocol == by_rule
    record(client, study, protocol_wanted=other.public_id)
    study.refresh_from_db()
    submit_study(study.pk)
    version = Run.objects.get().parameters["protocol_version"]
    assert (version["name"], version["chosen_by"]) == ("Special", "person")
    card = client.get(f"/studies/{study.public_id}/run/options/").content.decode()
    assert f'value="{other.public_id}" selected' in card
    protocols.change(other, by=owner, seen=1, content=protocol_content(
        name="Special", use="retired"))  # fmt: skip
    assert protocols.wanted(study).version.protocol == by_rule, "a retired one is not taken"
    assert client.get(f"/studies/{study.public_id}/record/").status_code == 200
    foreign = protocols.create(by=make_user(make_trust()), content=protocol_content())
    assert "<title>Error: " in record(
        client, study, protocol_wanted=foreign.public_id).content.decode()  # fmt: skip


def test_an_opt_out_ends_research_at_once_and_stands_in_the_record(client, study, owner):
    researcher = make_user(study.trust, Role.RESEARCHER)
    client.post(f"/studies/{study.public_id}/research/", {"allowed": "yes"})
    assert list(access.researchable_by(researcher)) == [study]
    record(client, study, research_consent="opted_out", research_consent_on="2026-03-31")
    study.refresh_from_db()
    assert (study.research_consent, study.research_consent_on) == ("opted_out", date(2026, 3, 31))
    assert not study.research_permission
    assert list(access.researchable_by(researcher)) == []
    assert verbs()[-2:] == ["study.research_consent", "study.research_permission"]
    assert AuditEvent.objects.get(verb="study.research_consent").detail == {"consent": "opted_out"}
    answer = client.post(f"/studies/{study.public_id}/research/", {"allowed": "yes"}, follow=True)
    assert "The patient’s record says no to research" in answer.content.decode()
    with pytest.raises(IntegrityError), transaction.atomic():
        Study.objects.filter(pk=study.pk).update(research_permission=True)
    # The owning trust can change it later; the release is then again its own decision.
    record(client, study, research_consent="given", research_consent_on="2/5/2026")
    study.refresh_from_db()
    assert not study.research_permission
    client.post(f"/studies/{study.public_id}/research/", {"allowed": "yes"})
    assert list(access.researchable_by(researcher)) == [study]


def test_each_mistake_has_its_sentence(client, study, owner):
    tomorrow = (timezone.localdate() + timedelta(days=1)).isoformat()
    for wrong, sentence in [
        ({"dose_mmol_per_kg": "5"}, "cannot be right; it is a number from 0.001 to 0.5"),
        ({"research_consent": "opted_out"}, "Give the day from which the opt-out holds"),
        ({"research_consent": "given", "research_consent_on": tomorrow}, "still to come"),
        ({"research_consent_on": "soon"}, "this is no date"),
        ({"agent": "water"}, "Select a valid choice"),
    ]:
        html = record(client, study, **wrong).content.decode()
        assert "<title>Error: " in html
        assert sentence in html
    assert "study.record" not in verbs()


def test_it_can_be_answered_while_files_are_being_checked_and_afterwards(client, tmp_path):
    user = make_user(make_trust())
    client.force_login(user)
    files = [(p.name, ContentFile(p.read_bytes())) for p in save(film(12), tmp_path)]
    upload = uploads.receive(user, files)
    page = client.get(f"/uploads/{upload.public_id}/").content.decode()
    assert f'hx-get="/uploads/{upload.public_id}/record/"' in page
    address = f"/uploads/{upload.public_id}/record/"
    client.post(address, {"agent": "gadoterate", "research_consent": "opted_out",
                          "research_consent_on": "2026-01-02"})  # fmt: skip
    assert 'value="gadoterate" selected' in client.get(address).content.decode()
    ingest_upload(upload.pk)
    study = Study.objects.get()
    assert (study.agent, study.research_consent) == ("gadoterate", "opted_out")
    assert study.research_consent_on == date(2026, 1, 2)
    client.post(address, {"agent": "gadobutrol"})
    study.refresh_from_db()
    assert (study.agent, study.research_consent, study.research_consent_on) == (
        "gadobutrol", "", None,
    )  # fmt: skip
    client.force_login(make_user(user.trust))
    assert client.get(address).status_code == 404


def test_what_is_left_empty_for_a_later_part_takes_nothing_back(client, tmp_path):
    user = make_user(make_trust())
    client.force_login(user)
    whole = save(film(24), tmp_path)
    for number, part in enumerate((whole[:12], whole[12:])):
        files = [(path.name, ContentFile(path.read_bytes())) for path in part]
        upload = uploads.receive(user, files)
        said = {"research_consent": "not_given"} if number == 0 else {"agent": "gadoterate"}
        client.post(f"/uploads/{upload.public_id}/record/", said)
        ingest_upload(upload.pk)
    study = Study.objects.get()
    assert (study.research_consent, study.agent) == ("not_given", "gadoterate")
    client.post(f"/uploads/{upload.public_id}/record/", {"agent": ""})
    study.refresh_from_db()
    assert (study.research_consent, study.agent) == ("not_given", "")

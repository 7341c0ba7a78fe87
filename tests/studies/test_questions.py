"""A question goes out with a share; its signed answer comes back, and into the report."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.models import AuditEvent
from studies import questions, reporting, sharing
from studies.models import Answer, Notification, Share
from tests.people import make_result, make_study, make_trust, make_user

pytestmark = pytest.mark.django_db

QUESTION = "Is the inferior wall a defect or an artefact?"


@pytest.fixture
def asked():
    trust = make_trust("Asking Trust")
    asker = make_user(trust, name="Dr Asker")
    study = make_study(trust)
    make_result(study)
    other = make_trust("Answering Trust")
    expert = make_user(other, name="Dr Expert")
    share = sharing.share(
        study, by=asker, to_trust=other, reason="opinion", question=QUESTION,
        due_on=timezone.localdate() + timedelta(days=2), may_comment=True,
    )  # fmt: skip
    return share, asker, expert


def give(client, share, **changes):
    data = {"quality": "good", "finding": "defect", "segments": ["10", "4"], "text": "Transmural."}
    return client.post(f"/questions/{share.public_id}/", data | changes)


def test_the_question_waits_in_the_list_and_the_answer_comes_back(client, asked):
    share, asker, expert = asked
    assert Notification.objects.get(to=expert).kind == "asked"
    client.force_login(expert)
    page = client.get("/").content.decode()
    assert "Question from Asking Trust" in page
    assert QUESTION in page
    assert f"/questions/{share.public_id}/" in page
    assert give(client, share).status_code == 302
    assert "Question from" not in client.get("/").content.decode()
    told = Notification.objects.get(to=asker)
    assert (told.kind, told.by) == ("answered", expert)
    answer = Answer.objects.get()
    assert (answer.signed_name, answer.signed_trust) == ("Dr Expert", "Answering Trust")
    assert answer.asked_name == "Dr Asker"
    assert answer.segments == [4, 10]
    assert AuditEvent.objects.filter(verb="question.answer").count() == 1


def test_the_answer_stands_in_the_report_with_both_names(client, asked):
    share, asker, expert = asked
    client.force_login(expert)
    give(client, share)
    client.force_login(asker)
    draft = reporting.save(share.study, by=asker, text="Flow is low.", seen=None)
    reporting.sign(draft, by=asker)
    page = client.get(f"/reports/{draft.public_id}/").content.decode()
    for words in (
        "Dr Asker asked:", QUESTION, "Dr Expert, Answering Trust, signed", "Perfusion defect seen",
        "4 Basal inferior, 10 Mid inferior", "Transmural.",
    ):  # fmt: skip
        assert words in page
    text = client.get(f"/reports/{draft.public_id}/report.txt").content.decode()
    assert "Answer of Dr Expert, Answering Trust" in text
    assert QUESTION in text


def test_an_answer_after_the_signature_waits_for_the_next_version(client, asked):
    share, asker, expert = asked
    draft = reporting.save(share.study, by=asker, text="Flow is low.", seen=None)
    reporting.sign(draft, by=asker)
    client.force_login(expert)
    give(client, share)
    draft.refresh_from_db()
    assert questions.answers_for(draft) == []
    again = reporting.save(share.study, by=asker, text="Flow is low, as said.", seen=None)
    assert len(questions.answers_for(again)) == 1


def test_it_is_answered_once(client, asked):
    share, _asker, expert = asked
    colleague = make_user(expert.trust)
    client.force_login(expert)
    give(client, share)
    client.force_login(colleague)
    late = give(client, share, finding="no_defect")
    assert late.status_code == 400
    assert "answered this question already" in late.content.decode()
    assert Answer.objects.get().finding == "defect"


def test_a_defect_is_somewhere(client, asked):
    share, _asker, expert = asked
    client.force_login(expert)
    answer = give(client, share, segments=[], text="")
    assert "Say where the defect is" in answer.content.decode()
    assert not Answer.objects.exists()
    assert give(client, share, segments=["17"]).status_code == 400
    assert give(client, share, finding="").status_code == 400


def test_when_the_share_ends_nothing_is_asked_or_answered_any_more(client, asked):
    share, asker, expert = asked
    client.force_login(expert)
    sharing.revoke(Share.objects.get(pk=share.pk), by=asker)
    assert give(client, share).status_code == 404
    assert not questions.open_for(expert).exists()
    with pytest.raises(questions.QuestionError, match="no longer shared"):
        questions.answer(share, by=expert, finding="no_defect", quality="good")


def test_others_cannot_see_the_question(client, asked):
    share, _asker, _expert = asked
    client.force_login(make_user(make_trust()))
    assert client.get(f"/questions/{share.public_id}/").status_code == 404
    # Nor a person of the asking trust, who sees it on the study's page instead.
    client.force_login(make_user(share.study.trust))
    assert client.get(f"/questions/{share.public_id}/").status_code == 404
    assert QUESTION in client.get(f"/studies/{share.study.public_id}/").content.decode()


def test_the_day_lies_within_the_share(asked):
    share, asker, _expert = asked
    for due, question in (
        (timezone.localdate() - timedelta(days=1), QUESTION),
        (timezone.localdate() + timedelta(days=31), QUESTION),
        (timezone.localdate(), ""),
    ):
        with pytest.raises(sharing.SharingError):
            sharing.share(
                share.study, by=asker, to_user=make_user(make_trust()), reason="x",
                question=question, due_on=due,
            )  # fmt: skip


def test_an_overdue_question_says_so(client, asked):
    share, _asker, expert = asked
    Share.objects.filter(pk=share.pk).update(due_on=timezone.localdate() - timedelta(days=1))
    client.force_login(expert)
    assert "Overdue" in client.get("/").content.decode()
    assert questions.overdue(expert) == 1

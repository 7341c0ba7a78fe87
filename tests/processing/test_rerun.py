"""A cohort analysed again by another engine: what is queued, and the difference that is told."""

from __future__ import annotations

import io

import pytest
from django.core.management import CommandError, call_command

from accounts.roles import Role
from processing.models import Run
from studies import projects, results
from studies.models import SegmentFlow
from tests.people import make_project, make_released, make_trust, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def cohort():
    trust = make_trust(research_allowed=True)
    researcher = make_user(trust, Role.RESEARCHER)
    make_released(trust, 2, patient_sex="F")
    make_released(trust, 1, patient_sex="M")
    project = make_project(researcher, trust)
    return projects.save_cohort(project, by=researcher, name="Women", definition={"sex": ["F"]})


def said(cohort: str, *arguments: str) -> str:
    out = io.StringIO()
    call_command("rerun_cohort", cohort, *arguments, stdout=out)
    return out.getvalue()


def test_each_study_of_the_cohort_is_queued_once(cohort):
    for _ in range(2):
        assert "2 studies; 2 analyses by mcaq-classic wait or run." in said(
            cohort.public_id, "mcaq-classic"
        )
    assert {run.study.patient_sex for run in Run.objects.all()} == {"F"}
    assert Run.objects.count() == 2


def test_the_difference_is_told_by_study_and_of_all(cohort):
    for run_of in cohort.project.trusts.get().trust.studies.all():
        report = dict(run_of.results.get().report)
        new = results.record(
            run_of.pk, {**report, "engine": {"name": "mcaq-classic", "version": "0.1.0"}}
        )
        for flow in SegmentFlow.objects.filter(result=new):
            SegmentFlow.objects.filter(pk=flow.pk).update(mbf=flow.mbf + 0.5)
    told = said(cohort.public_id, "mcaq-classic", "--report")
    assert told.count("mean difference +0.500 ml/min/g") == 2
    assert "All: 8 segments, mean difference +0.500, 95 % limits +0.500 to +0.500" in told
    assert not Run.objects.exists()


def test_what_is_not_there_is_told(cohort):
    with pytest.raises(CommandError, match="no cohort of this id"):
        said("0" * 26, "mcaq")
    with pytest.raises(CommandError, match="no engine 'none'"):
        said(cohort.public_id, "none")

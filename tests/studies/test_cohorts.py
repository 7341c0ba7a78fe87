"""The researcher's CSV: which studies, which rows, and nothing that names a person or can run."""

from __future__ import annotations

import csv
import io

import pytest

from accounts.models import AuditEvent
from accounts.roles import Role
from studies import cohorts
from studies.models import SegmentFlow, Study
from tests.people import make_result, make_study, make_trust, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def trust():
    return make_trust(research_allowed=True)


@pytest.fixture
def researcher(trust):
    return make_user(trust, Role.RESEARCHER)


def released(trust, **fields: object) -> Study:
    study = make_study(trust, research_permission=True, **fields)
    make_result(study)
    return study


def exported(client, user) -> list[dict[str, str]]:
    client.force_login(user)
    response = client.post("/research/segments.csv", {"purpose": "REC 24/LO/0001"})
    assert response.status_code == 200
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    assert response["Content-Disposition"].startswith('attachment; filename="corecmr-segments-')
    text = b"".join(response).decode()
    return list(csv.DictReader(io.StringIO(text)))


def test_the_rows_are_the_segments_of_the_result(client, trust, researcher):
    study = released(trust, patient_sex="F", patient_age=61, manufacturer="SIEMENS", field_t=1.5)
    rows = exported(client, researcher)
    assert list(rows[0]) == list(cohorts.COLUMNS)
    flows = SegmentFlow.objects.filter(result__study=study)
    assert len(rows) == flows.count() == 4
    for flow in flows:
        (row,) = [
            r for r in rows if (r["state"], r["aha_segment"]) == (flow.state, str(flow.segment))
        ]
        assert float(row["mbf_ml_per_min_per_g"]) == pytest.approx(flow.mbf, rel=1e-3)
        assert float(row["mbf_low_ml_per_min_per_g"]) == pytest.approx(flow.low, rel=1e-3)
        assert float(row["mbf_high_ml_per_min_per_g"]) == pytest.approx(flow.high, rel=1e-3)
        assert (row["level"], row["mpr"]) == ("mid", "2")
        assert (row["sex"], row["age_years"], row["field_t"]) == ("F", "61", "1.5")
        assert (row["manufacturer"], row["engine"]) == ("SIEMENS", "mcaq")


def test_only_what_study_and_trust_have_released(client, trust, researcher):
    """The same researcher may use studies of other trusts too, where they allow it."""
    elsewhere = make_trust(research_allowed=True)
    expected = {cohorts.pseudonym(researcher, study) for study in
                (released(trust), released(elsewhere))}  # fmt: skip
    make_result(make_study(trust))
    make_result(make_study(make_trust(), research_permission=True))
    make_study(trust, research_permission=True)
    rows = exported(client, researcher)
    assert {row["study_pseudonym"] for row in rows} == expected
    page = client.get("/research/").content.decode()
    assert "<dd>2</dd>" in page
    assert "<dd>8</dd>" in page


def test_permission_taken_back_works_at_the_next_export(client, trust, researcher):
    study = released(trust)
    assert exported(client, researcher)
    Study.objects.filter(pk=study.pk).update(research_permission=False)
    assert exported(client, researcher) == []
    Study.objects.filter(pk=study.pk).update(research_permission=True)
    type(trust).objects.filter(pk=trust.pk).update(research_allowed=False)
    assert exported(client, researcher) == []
    assert "No study" in client.get("/research/").content.decode()


def test_of_two_results_the_newest_counts(client, trust, researcher):
    study = released(trust)
    make_result(study, mbf=0.5)
    rows = exported(client, researcher)
    assert len(rows) == 4
    assert {row["mbf_ml_per_min_per_g"] for row in rows} == {"1", "0.5"}


def test_unknown_is_empty_and_great_ages_are_one(client, trust, researcher):
    released(trust, patient_age=None, field_t=None)
    released(trust, patient_age=89)
    released(trust, patient_age=97)
    SegmentFlow.objects.update(mbf=None, low=None, high=None)
    rows = exported(client, researcher)
    assert {row["age_years"] for row in rows} == {"", "89", "90"}
    assert {row["mbf_ml_per_min_per_g"] for row in rows} == {""}
    assert {row["field_t"] for row in rows} == {""}


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+1", "-1", "@SUM(A1)", "|cmd", "%0A", "\t=1", "\tx", "\r=1", "\rx", "\n@x", "  =1"],
)
def test_no_cell_is_a_formula_for_a_spreadsheet(client, trust, researcher, text):
    released(trust, manufacturer=text)
    row = exported(client, researcher)[0]
    assert row["manufacturer"].startswith("'")
    assert row["manufacturer"].lstrip("'").split() == text.split()


def test_negative_numbers_stay_numbers(trust, researcher):
    released(trust)
    SegmentFlow.objects.update(low=-0.25)
    lines = list(cohorts.csv_lines(researcher))
    assert all(",-0.25," in line for line in lines[1:])


def test_two_researchers_exports_cannot_be_joined(client, trust, researcher):
    study = released(trust)
    other = make_user(trust, Role.RESEARCHER)
    mine, again = exported(client, researcher)[0], exported(client, researcher)[0]
    theirs = exported(client, other)[0]
    assert mine["study_pseudonym"] == again["study_pseudonym"]
    assert mine["study_pseudonym"] != theirs["study_pseudonym"]
    text = "".join(cohorts.csv_lines(researcher))
    for told in (study.public_id, study.reference, study.study_uid):
        assert told not in text


def test_an_export_says_what_it_is_for_and_is_recorded(client, trust, researcher):
    released(trust)
    client.force_login(researcher)
    refused = client.post("/research/segments.csv", {"purpose": ""})
    assert refused.status_code == 422
    assert "What the data is for" in refused.content.decode()
    assert not AuditEvent.objects.filter(verb="research.export").exists()
    exported(client, researcher)
    event = AuditEvent.objects.get(verb="research.export")
    assert event.actor == researcher.public_id
    assert event.detail == {"purpose": "REC 24/LO/0001", "studies": 1}


def test_a_cohort_is_read_in_few_queries(trust, researcher, django_assert_max_num_queries):
    """One for the results, one for the segments of each; none for each row."""
    for _ in range(5):
        released(trust)
    list(cohorts.rows(researcher))
    with django_assert_max_num_queries(8):
        assert len(list(cohorts.rows(researcher))) == 1 + 5 * 4

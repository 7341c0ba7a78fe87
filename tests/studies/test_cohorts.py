"""Cohorts: which studies count by each filter, and that no count below five is told."""

from __future__ import annotations

import re
from datetime import date, timedelta

import pytest
from django.http import QueryDict
from django.utils import timezone

from accounts.models import AuditEvent
from accounts.roles import Role
from studies import cohorts, projects, sharing
from studies.models import Cohort, ProjectTrust, Result, Study
from tests.people import make_project, make_released, make_result, make_study, make_trust, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def trust():
    return make_trust(research_allowed=True)


@pytest.fixture
def researcher(client, trust):
    user = make_user(trust, Role.RESEARCHER)
    client.force_login(user)
    return user


def matching(user, query: str) -> set[int]:
    filters = cohorts.chosen(QueryDict(query), cohorts.results(user))
    assert filters.is_valid(), filters.errors
    return set(filters.qs.values_list("study_id", flat=True))


def test_only_newest_results_of_what_study_and_trust_have_released(trust, researcher):
    elsewhere = make_trust(research_allowed=True)
    released = make_released(trust) + make_released(elsewhere)
    make_result(make_study(trust))  # not released
    make_released(make_trust())  # its trust allows none
    make_study(trust, research_permission=True)  # has no result
    newer = make_result(released[0], mbf=0.5)
    assert matching(researcher, "") == {study.pk for study in released}
    assert cohorts.results(researcher).get(study=released[0]) == newer
    consultant = make_user(trust)
    assert not cohorts.results(consultant).exists()


@pytest.mark.parametrize(
    ("query", "field", "inside", "outside"),
    [
        ("age_min=60&age_max=70", "patient_age", (60, 70), (59, 71, None)),
        ("sex=F", "patient_sex", ("F",), ("M", "")),
        ("sex=F&sex=M", "patient_sex", ("F", "M"), ("O",)),
        ("field=1.5", "field_t", (1.5, 1.494), (3.0, 0.55, None)),
        ("vendor=SIEMENS", "manufacturer", ("SIEMENS",), ("GE", "")),
    ],
)
def test_filters_of_the_study(trust, researcher, query, field, inside, outside):
    wanted = {make_released(trust, **{field: value})[0].pk for value in inside}
    for value in outside:
        make_released(trust, **{field: value})
    assert matching(researcher, query) == wanted


@pytest.mark.parametrize(
    ("query", "changes", "fits"),
    [
        ("stress_mbf_min=2", {"stress_mbf": 2.0}, True),
        ("stress_mbf_min=2", {"stress_mbf": 1.99}, False),
        ("stress_mbf_max=2", {"stress_mbf": None}, False),
        ("rest_mbf_max=1", {"rest_mbf": 0.9}, True),
        ("reserve_min=2&reserve_max=3", {"reserve": 3.1}, False),
        ("endo_epi_max=0.8", {"endo_epi": 0.7}, True),
        ("light=green&light=amber", {"light": "amber"}, True),
        ("light=green", {"light": "red"}, False),
        ("engine=mcaq 0.1.0", {}, True),
    ],
)
def test_filters_of_the_result(trust, researcher, query, changes, fits):
    (study,) = make_released(trust)
    Result.objects.update(**changes)
    assert matching(researcher, query) == ({study.pk} if fits else set())


def test_by_trust_and_by_day_of_arrival(trust, researcher):
    other = make_trust(research_allowed=True)
    (mine,), (theirs,) = make_released(trust), make_released(other)
    Study.objects.filter(pk=theirs.pk).update(created_at=timezone.now() - timedelta(days=40))
    assert matching(researcher, f"trust={other.public_id}") == {theirs.pk}
    since = timezone.localdate() - timedelta(days=7)
    assert matching(researcher, f"received_after={since}") == {mine.pk}
    assert matching(researcher, f"received_before={since}") == {theirs.pk}


def test_repeat_studies_of_one_patient(trust, researcher):
    first, second = (
        make_released(trust, patient_pseudonym="A", study_date=date(2020, month, 1))[0]
        for month in (3, 9)
    )
    (alone,) = make_released(trust, patient_pseudonym="B", study_date=date(2020, 5, 1))
    (nobody,) = make_released(trust)
    # The same pseudonym in another trust is another patient.
    elsewhere = make_released(make_trust(research_allowed=True), patient_pseudonym="B")[0]
    assert matching(researcher, "repeats=repeated") == {first.pk, second.pk}
    assert matching(researcher, "repeats=first") == {
        first.pk, alone.pk, nobody.pk, elsewhere.pk,
    }  # fmt: skip


@pytest.mark.parametrize(
    "query", ["age_min=old", "light=blue", "trust=nobody", "received_after=yesterday", "sex=x"]
)
def test_an_impossible_filter_is_told_and_matches_nothing(client, trust, researcher, query):
    make_released(trust, 6)
    answer = client.get(f"/research/?{query}")
    assert answer.status_code == 422
    page = answer.content.decode()
    assert "There is a problem" in page
    assert "<dd>6</dd>" not in page
    part = client.get(f"/research/?{query}", headers={"HX-Request": "true"})
    assert "A filter is wrong" in part.content.decode()


# --- counts --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "said"), [(0, "<dd>0</dd>"), (4, "fewer than 5"), (5, ">5<")])
def test_counts_below_five_are_not_told(client, trust, researcher, number, said):
    make_released(trust, number, patient_age=61)
    page = client.get("/research/").content.decode()
    assert said in page
    if number == 4:
        assert ">4<" not in page
        assert ">3<" not in page


def test_bars_are_counts_and_each_is_a_filter(client, trust, researcher):
    make_released(trust, 6, patient_age=61)
    make_released(trust, 2, patient_age=72)
    page = client.get("/research/").content.decode()
    bars = dict(
        re.findall(r'href="(/research/\?age_min=\d+&amp;age_max=\d+)" aria-label="([^"]+)"', page)
    )
    assert bars["/research/?age_min=60&amp;age_max=70"].endswith(": 6")
    assert bars["/research/?age_min=70&amp;age_max=80"].endswith(": fewer than 5")
    assert len(bars) == 2
    page = client.get("/research/?age_min=60&age_max=70").content.decode()
    assert "<dd>6</dd>" in page
    assert "take away" in page


def test_what_patients_and_trusts_withheld_is_counted(client, trust, researcher):
    project = make_project(researcher, trust)
    make_released(trust, 6)
    for study in make_released(trust, 5):
        Study.objects.filter(pk=study.pk).update(
            research_permission=False, research_consent="opted_out"
        )
    for _ in range(2):
        make_result(make_study(trust))
    page = " ".join(client.get(f"/research/?project={project.public_id}").content.decode().split())
    assert "5 because the patient said no, fewer than 5 not released" in page


# --- projects ------------------------------------------------------------------------------------


def test_a_project_reaches_the_trusts_that_joined_while_it_is_open(trust, researcher):
    joined, asked = make_trust(research_allowed=True), make_trust(research_allowed=True)
    studies = make_released(joined, 1)
    make_released(asked, 1)
    make_released(trust, 1)  # was never asked
    project = make_project(researcher, joined)
    ProjectTrust.objects.create(project=project, trust=asked)

    def usable(user=researcher):
        return {result.study_id for result in cohorts.results(user, project)}

    assert usable() == {study.pk for study in studies}
    assert usable(make_user(trust, Role.RESEARCHER)) == set(), "does not work in it"
    type(joined).objects.filter(pk=joined.pk).update(research_allowed=False)
    assert usable() == set()
    type(joined).objects.filter(pk=joined.pk).update(research_allowed=True)
    project.ends_on = timezone.localdate() - timedelta(days=1)
    assert usable() == set()


def test_the_story_of_a_project(client, trust, researcher):
    decider = make_user(trust)
    answer = client.post(
        "/research/projects/new/",
        {
            "name": "Flow in women", "purpose": "Whether flow differs", "ethics_number": "REC 1",
            "ends_on": str(timezone.localdate() + timedelta(days=90)), "wanted": "20",
            "trusts": [trust.public_id],
        },
    )  # fmt: skip
    address = answer["Location"]
    make_released(trust, 6)
    page = client.get(address).content.decode()
    assert "Asked" in page
    assert "of 20 wanted" in page

    client.force_login(decider)
    page = client.get("/research/requests/").content.decode()
    assert "Flow in women" in page
    (asked,) = ProjectTrust.objects.all()
    client.post(f"/research/requests/{asked.public_id}/decide/", {"do": "allow"})
    assert ProjectTrust.objects.get().state == "allowed"
    assert ProjectTrust.objects.get().decided_by == decider
    stranger = make_user(make_trust())
    client.force_login(stranger)
    refused = client.post(f"/research/requests/{asked.public_id}/decide/", {"do": "refuse"})
    assert refused.status_code == 404

    client.force_login(researcher)
    assert ">6<" in client.get(address).content.decode().replace(" of 20 wanted", "<")
    client.post(f"{address}close/")
    assert "This project is over" in client.get(address).content.decode()
    verbs = AuditEvent.objects.filter(verb__startswith="project.").values_list("verb", flat=True)
    assert {"project.create", "project.decide", "project.close"} <= set(verbs)


@pytest.mark.parametrize(
    ("field", "value"),
    [("ends_on", "2001-01-01"), ("ends_on", "2999-01-01"), ("trusts", []), ("purpose", "")],
)
def test_a_project_with_a_gap_is_told(client, trust, researcher, field, value):
    data = {
        "name": "Flow", "purpose": "x", "ethics_number": "REC 1", "trusts": [trust.public_id],
        "ends_on": str(timezone.localdate() + timedelta(days=90)), field: value,
    }  # fmt: skip
    page = client.post("/research/projects/new/", data).content.decode()
    assert "There is a problem" in page
    assert not projects.of_member(researcher).exists()


def test_a_researcher_of_a_trust_in_it_can_be_added(client, trust, researcher):
    project = make_project(researcher, trust)
    other = make_user(trust, Role.RESEARCHER, email="second@hospital.example")
    outsider = make_user(make_trust(), Role.RESEARCHER, email="third@hospital.example")
    address = f"/research/projects/{project.public_id}/members/"
    for email in (outsider.email, "nobody@hospital.example"):
        page = client.post(address, {"email": email})
        assert page.status_code == 422
        assert "No researcher of the trusts" in page.content.decode()
    client.post(address, {"email": other.email})
    assert set(project.members.all()) == {researcher, other}


def test_a_cohort_is_kept_in_versions(client, trust, researcher):
    project = make_project(researcher, trust)

    def keep(query: str) -> None:
        client.post(
            "/research/cohorts/",
            {"project": project.public_id, "name": "Women", "query": query},
        )

    keep("sex=F&age_min=50&project=x&nonsense=1")
    keep("age_min=50&sex=F")  # the same in another order
    keep("sex=F&age_min=60")
    kept = Cohort.objects.order_by("version")
    assert [one.version for one in kept] == [1, 2]
    assert kept[0].definition == {"age_min": ["50"], "sex": ["F"]}
    page = client.get(f"/research/projects/{project.public_id}/").content.decode()
    assert f"/research/?age_min=60&amp;sex=F&amp;project={project.public_id}" in page


def test_of_others_projects_nothing_is_seen(client, trust, researcher):
    project = make_project(make_user(trust, Role.RESEARCHER), trust)
    for address in (
        f"/research/?project={project.public_id}", f"/research/projects/{project.public_id}/",
    ):  # fmt: skip
        assert client.get(address).status_code == 404
    assert client.post(f"/research/projects/{project.public_id}/close/").status_code == 404


def test_permission_taken_back_counts_at_once(client, trust, researcher):
    studies = make_released(trust, 5)
    owner = make_user(trust)
    assert ">5<" in client.get("/research/").content.decode()
    sharing.set_research_permission(studies[0], by=owner, allowed=False)
    assert "fewer than 5" in client.get("/research/").content.decode()

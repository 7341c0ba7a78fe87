"""What leaves for research: rows, pseudonyms, packages that other programs can read."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import zipfile

import numpy as np
import pandas
import pydicom
import pytest
from frictionless import Package

from accounts.models import AuditEvent
from accounts.roles import Role
from studies import exports
from studies.models import Project, Result, SegmentFlow, Study
from tests.dicom.make import film, save
from tests.people import (
    make_project,
    make_released,
    make_result,
    make_trust,
    make_user,
    store_source,
)
from tests.site.world import store

pytestmark = pytest.mark.django_db


@pytest.fixture
def trust():
    return make_trust("Northside Trust", research_allowed=True)


@pytest.fixture
def researcher(client, trust):
    user = make_user(trust, Role.RESEARCHER)
    client.force_login(user)
    return user


@pytest.fixture
def project(researcher, trust) -> Project:
    return make_project(researcher, trust)


def ask(client, project, /, **fields):
    data = {
        "project": project.public_id, "level": "segment", "contents": "csv", "query": "",
        "purpose": "REC 24/LO/0001", **fields,
    }  # fmt: skip
    return client.post("/research/export/", data)


def table(client, project, **fields) -> list[dict[str, str]]:
    answer = ask(client, project, **fields)
    assert answer.status_code == 200
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    return list(csv.DictReader(io.StringIO(b"".join(answer).decode())))


def package(client, project, **fields) -> zipfile.ZipFile:
    answer = ask(client, project, **{"contents": "table", **fields})
    assert answer["Content-Type"] == "application/zip"
    return zipfile.ZipFile(io.BytesIO(b"".join(answer)))


def test_one_row_for_each_segment(client, trust, project):
    study = make_released(
        trust, 5, patient_sex="F", patient_age=61, manufacturer="SIEMENS", field_t=1.5
    )[0]
    rows = table(client, project)
    assert list(rows[0]) == [column.name for column in exports.COLUMNS["segment"]]
    own = [row for row in rows if row["study"] == exports.study_pseudonym(project, study)]
    flows = SegmentFlow.objects.filter(result__study=study)
    assert len(own) == flows.count() == 4
    for flow in flows:
        (row,) = [
            r for r in own if (r["state"], r["aha_segment"]) == (flow.state, str(flow.segment))
        ]
        assert float(row["mbf_ml_per_min_per_g"]) == pytest.approx(flow.mbf, rel=1e-3)
        assert float(row["mbf_low_ml_per_min_per_g"]) == pytest.approx(flow.low, rel=1e-3)
        assert float(row["mbf_high_ml_per_min_per_g"]) == pytest.approx(flow.high, rel=1e-3)
        assert (row["level"], row["mpr"], row["trust"]) == ("mid", "2", "Northside Trust")
        assert (row["sex"], row["age_years"], row["field_t"]) == ("F", "61", "1.5")
        assert (row["manufacturer"], row["engine"], row["light"]) == ("SIEMENS", "mcaq", "green")


def test_one_row_for_each_slice_or_study(client, trust, project):
    make_released(trust, 5)
    SegmentFlow.objects.filter(segment=8, state="stress").update(mbf=1.0)
    slices = table(client, project, level="slice")
    assert len(slices) == 10
    assert {(row["state"], row["mbf_ml_per_min_per_g"]) for row in slices} == {
        ("stress", "2"), ("rest", "1.5"),
    }  # fmt: skip
    studies = table(client, project, level="study")
    assert len(studies) == 5
    assert {(row["stress_mbf_ml_per_min_per_g"], row["mpr"]) for row in studies} == {("3", "2")}


def test_filters_of_the_page_hold_for_the_export(client, trust, project):
    make_released(trust, 5, patient_sex="F")
    make_released(trust, 6, patient_sex="M")
    assert len(table(client, project, level="study", query="sex=F")) == 5


def test_fewer_than_five_are_not_exported(client, trust, project):
    make_released(trust, 4)
    answer = ask(client, project)
    assert answer.status_code == 422
    assert "Fewer than 5 studies match" in answer.content.decode()
    assert not AuditEvent.objects.filter(verb="research.export").exists()


@pytest.mark.parametrize("missing", ["purpose", "project"])
def test_an_export_says_what_it_is_for(client, trust, project, missing):
    make_released(trust, 5)
    answer = ask(client, project, **{missing: ""})
    assert answer.status_code == 422
    assert "There is a problem" in answer.content.decode()
    assert not AuditEvent.objects.filter(verb="research.export").exists()


def test_an_export_is_on_record(client, trust, researcher, project):
    make_released(trust, 5)
    table(client, project)
    event = AuditEvent.objects.get(verb="research.export")
    assert (event.actor, event.object_id) == (researcher.public_id, project.public_id)
    assert event.detail == {
        "purpose": "REC 24/LO/0001", "studies": 5, "level": "segment", "contents": "csv",
    }  # fmt: skip


def test_a_project_that_is_over_exports_nothing(client, trust, project):
    make_released(trust, 5)
    client.post(f"/research/projects/{project.public_id}/close/")
    assert ask(client, project).status_code == 422


def test_a_withdrawal_reaches_an_export_that_is_on_its_way(client, trust, project, monkeypatch):
    monkeypatch.setattr(exports, "_BATCH", 2)
    studies = make_released(trust, 6)
    parts = iter(ask(client, project, level="study"))
    next(parts)
    next(parts)
    last = studies[-1]
    Study.objects.filter(pk=last.pk).update(research_permission=False)
    assert exports.study_pseudonym(project, last) not in b"".join(parts).decode()


def test_two_projects_share_no_pseudonym(client, trust, researcher, project):
    studies = make_released(trust, 5, patient_pseudonym="A")
    other = make_project(researcher, trust)
    mine, theirs = table(client, project), table(client, other)
    for name in ("study", "patient"):
        assert not {row[name] for row in mine} & {row[name] for row in theirs}
    assert len({row["patient"] for row in mine}) == 1
    text = json.dumps(mine)
    for study in studies:
        for told in (study.public_id, study.reference, study.study_uid):
            assert told not in text


def test_unknown_is_empty_and_great_ages_are_one(client, trust, project):
    for age in (None, 89, 97, 90, 20):
        make_released(trust, 1, patient_age=age, field_t=None)
    SegmentFlow.objects.update(mbf=None, low=None, high=None)
    Result.objects.update(reserves={})
    rows = table(client, project)
    assert {row["age_years"] for row in rows} == {"", "20", "89", "90"}
    assert {row["mbf_ml_per_min_per_g"] for row in rows} == {""}
    assert {row["mpr"] for row in rows} == {""}


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+1", "-1", "@SUM(A1)", "|cmd", "%0A", "\t=1", "\tx", "\r=1", "\rx", "\n@x", "  =1"],
)
def test_no_cell_is_a_formula_for_a_spreadsheet(client, trust, project, text):
    make_released(trust, 5, manufacturer=text)
    row = table(client, project)[0]
    assert row["manufacturer"].startswith("'")
    assert row["manufacturer"].lstrip("'").split() == text.split()


def test_negative_numbers_stay_numbers(client, trust, project):
    make_released(trust, 5)
    SegmentFlow.objects.update(low=-0.25)
    assert {row["mbf_low_ml_per_min_per_g"] for row in table(client, project)} == {"-0.25"}


# --- packages ------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", exports.LEVELS)
def test_a_package_is_a_valid_data_package(client, trust, project, tmp_path, level):
    make_released(trust, 6, patient_age=61, field_t=1.5, manufacturer="GE")
    make_released(trust, 1)
    package(client, project, level=level).extractall(tmp_path)
    (root,) = tmp_path.iterdir()
    report = Package(str(root / "datapackage.json")).validate()
    assert report.valid, report.flatten(["message"])
    told = json.loads((root / "datapackage.json").read_text())
    (resource,) = told["resources"]
    frame = pandas.read_csv(root / resource["path"])
    assert list(frame.columns) == [field["name"] for field in resource["schema"]["fields"]]
    assert len(frame) == {"segment": 28, "slice": 14, "study": 7}[level]
    for line in (root / "SHA256SUMS").read_text().splitlines():
        digest, name = line.split("  ")
        assert hashlib.sha256((root / name).read_bytes()).hexdigest() == digest
    sums = {line.split("  ")[1] for line in (root / "SHA256SUMS").read_text().splitlines()}
    assert sums == {"README.txt", "datapackage.json", "definition.json", resource["path"]}
    assert "mcaq 0.1.0" in (root / "README.txt").read_text()


def test_maps_come_by_pseudonym(client, trust, project):
    studies = make_released(trust, 5)
    flow = io.BytesIO()
    np.save(flow, np.ones((2, 2), np.float32))
    store(studies[0], "mbf.npy", "application/octet-stream", flow.getvalue(),
          result=studies[0].results.get())  # fmt: skip
    names = package(client, project, contents="maps").namelist()
    (path,) = [name for name in names if name.endswith("mbf.npy")]
    assert exports.study_pseudonym(project, studies[0]) in path
    assert studies[0].public_id not in path


def test_images_are_under_the_projects_own_pseudonyms(client, trust, researcher, project, tmp_path):
    studies = make_released(trust, 5)
    paths = save(film(3, PatientID="SITE-PSEUDONYM", StudyDate="20200301"), tmp_path)
    store_source(studies[0], [(path.name, path.read_bytes()) for path in paths])
    stored = pydicom.dcmread(paths[0])
    found = {}
    for one in (project, make_project(researcher, trust)):
        archive = package(client, one, contents="dicom")
        images = [
            pydicom.dcmread(io.BytesIO(archive.read(name)))
            for name in archive.namelist()
            if name.endswith(".dcm")
        ]
        assert len(images) == 3
        assert len({image.SOPInstanceUID for image in images}) == 3
        assert {image.SOPClassUID for image in images} == {stored.SOPClassUID}
        assert {image.PatientID for image in images} == {exports.patient_pseudonym(one, studies[0])}
        assert {image.file_meta.MediaStorageSOPInstanceUID for image in images} == {
            image.SOPInstanceUID for image in images
        }
        np.testing.assert_array_equal(images[0].pixel_array, stored.pixel_array)
        found[one.pk] = images[0]
    first, second = found.values()
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "PatientID",
                    "StudyDate"):  # fmt: skip
        values = {str(ds[keyword].value) for ds in (first, second, stored)}
        assert len(values) == 3, keyword


def test_an_older_result_is_not_exported(client, trust, project):
    studies = make_released(trust, 5)
    make_result(studies[0], mbf=0.25, summed=True)
    rows = table(client, project, level="study")
    assert len(rows) == 5
    assert sorted(row["rest_mbf_ml_per_min_per_g"] for row in rows)[0] == "0.25"

"""A study that comes in parts is understood as a whole, and what a person corrected stays."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.files.base import ContentFile

from studies import corrections, ingest, uploads
from studies.models import Series, StoredFile, Study
from studies.tasks import ingest_upload
from tests.dicom.make import film, save
from tests.people import make_result, make_trust, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def user():
    return make_user(make_trust())


def sent(user, folder: Path, films: list) -> uploads.Upload:
    paths = save(films, folder)
    files = [(path.name, ContentFile(path.read_bytes())) for path in paths]
    upload = uploads.receive(user, files)
    ingest_upload(upload.pk)
    upload.refresh_from_db()
    assert upload.state == "done", upload.reason
    return upload


def stack(state: str, start: float, slices: int = 3, count: int = 12) -> list:
    return [
        frame
        for n in range(slices)
        for frame in film(
            count, series=f"{ord(state[0])}{n}", along_mm=12.0 * n, start=start + 0.1 * n,
            SeriesDescription=f"{state} perf", SeriesNumber=10 + n,
        )
    ]  # fmt: skip


def understood(study: Study) -> set[tuple[str, str, str, int]]:
    return set(study.series.values_list("state", "level", "role", "frames"))


LEVELS = ("basal", "mid", "apical")


def test_stress_today_and_rest_tomorrow_are_one_study_with_both(user, tmp_path):
    sent(user, tmp_path / "a", stack("stress", 36900.0))
    study = Study.objects.get()
    result = make_result(study)
    first = dict(study.series.values_list("level", "public_id"))
    sent(user, tmp_path / "b", stack("rest", 37800.0))
    assert understood(study) == {
        (state, level, "perfusion", 12) for state in ("stress", "rest") for level in LEVELS
    }
    assert dict(study.series.filter(state="stress").values_list("level", "public_id")) == first
    assert study.results.get() == result
    for stored in study.files.filter(kind=StoredFile.Kind.SOURCE):
        assert stored.series is not None
        assert stored.series.frames == stored.series.files.count()


def test_half_the_frames_then_the_rest_is_one_film_for_each_slice(user, tmp_path):
    whole = stack("stress", 36900.0, count=24)
    first = [ds for ds in whole if ds.InstanceNumber % 2]
    rest = [ds for ds in whole if not ds.InstanceNumber % 2]
    sent(user, tmp_path / "a", first)
    study = Study.objects.get()
    assert understood(study) == {("stress", level, "perfusion", 12) for level in LEVELS}
    sent(user, tmp_path / "b", rest)
    assert understood(study) == {("stress", level, "perfusion", 24) for level in LEVELS}
    assert {one.median_interval_s for one in study.series.all()} == {0.8}


def test_levels_are_told_anew_when_the_other_slices_come(user, tmp_path):
    whole = stack("stress", 36900.0)
    sent(user, tmp_path / "a", whole[24:])
    study = Study.objects.get()
    (only,) = study.series.all()
    assert only.level == "mid"
    sent(user, tmp_path / "b", whole[:24])
    only.refresh_from_db()
    assert only.level == "apical"
    assert understood(study) == {("stress", level, "perfusion", 12) for level in LEVELS}


def test_a_last_part_too_short_for_a_film_of_its_own_is_taken_in(user, tmp_path):
    whole = stack("stress", 36900.0, slices=1, count=24)
    sent(user, tmp_path / "a", whole[:20])
    upload = sent(user, tmp_path / "b", whole[20:])
    assert set(upload.items.values_list("state", flat=True)) == {"stored"}
    assert understood(Study.objects.get()) == {("stress", "mid", "perfusion", 24)}


def test_the_same_part_again_changes_no_row(user, tmp_path):
    sent(user, tmp_path / "a", stack("stress", 36900.0))
    sent(user, tmp_path / "b", stack("rest", 37800.0))
    study = Study.objects.get()
    before = list(study.series.values_list()), list(study.files.values_list("pk", "series", "file"))
    again = sent(user, tmp_path / "c", stack("stress", 36900.0))
    assert set(again.items.values_list("state", flat=True)) == {"duplicate"}
    now = list(study.series.values_list()), list(study.files.values_list("pk", "series", "file"))
    assert now == before


def test_what_a_person_corrected_stays_when_more_comes(user, tmp_path):
    sent(user, tmp_path / "a", stack("stress", 36900.0, slices=1))
    study = Study.objects.get()
    (one,) = study.series.all()
    said = {one.public_id: {"state": "rest", "level": "apical", "role": "perfusion"}}
    assert corrections.correct(study, by=user, said=said) == 1
    sent(user, tmp_path / "b", stack("stress", 36900.0))
    one.refresh_from_db()
    assert (one.state, one.level, one.corrected_by) == ("rest", "apical", user)
    assert one.understood == {"state": "stress", "level": "basal", "role": "perfusion"}
    assert one.corrected == {"state": "rest", "level": "apical"}
    assert study.series.count() == 3


def test_a_study_that_changed_meanwhile_is_understood_once_more(user, tmp_path, monkeypatch):
    """Two parts are taken in at once: the later one must not forget what the other brought."""
    sent(user, tmp_path / "a", stack("stress", 36900.0))
    study = Study.objects.get()
    understand = ingest._understand_whole
    calls = []

    def while_another_comes(upload, manifest, scratch):
        understand(upload, manifest, scratch)
        calls.append(upload.pk)
        if len(calls) == 1:
            sent(user, tmp_path / "c", stack("Rest again", 39000.0, slices=1))

    monkeypatch.setattr(ingest, "_understand_whole", while_another_comes)
    sent(user, tmp_path / "b", stack("rest", 37800.0))
    assert study.series.count() == 7
    assert Series.objects.filter(study=study, state="rest").count() == 4


def test_another_patients_images_do_not_join_a_study_that_is_here(user, tmp_path):
    sent(user, tmp_path / "a", stack("stress", 36900.0))
    other = [*stack("rest", 37800.0)]
    for ds in other:
        ds.PatientID = "INV0002"
    study = Study.objects.get()
    paths = save(other, tmp_path / "b")
    files = [(path.name, ContentFile(path.read_bytes())) for path in paths]
    upload = uploads.receive(user, files)
    ingest_upload(upload.pk)
    assert set(upload.items.values_list("state", flat=True)) == {"rejected"}
    assert "two patients" in upload.items.first().reason
    assert understood(study) == {("stress", level, "perfusion", 12) for level in LEVELS}


def test_what_is_no_perfusion_series_is_listed_by_series_with_the_reason(user, tmp_path, client):
    cine = film(
        25, series="c", AcquisitionTime="101500", TriggerTime=lambda n: 32.0 * n,
        SeriesDescription="CINE_SAX SMITH", SeriesNumber=3,
    )  # fmt: skip
    late = film(8, series="l", along_mm=5.0, SeriesDescription="LGE_PSIR", SeriesNumber=17)
    mapping = film(
        11, series="m", InversionTime=lambda n: 100 + 330 * n, SeriesDescription="MOLLI",
        SeriesNumber=9,
    )  # fmt: skip
    upload = sent(user, tmp_path / "a", [*cine, *late, *mapping, *stack("stress", 36900.0)])
    told = [(one["number"], one["kind"], one["images"]) for one in upload.left_out]
    assert told == [(3, "cine", 25), (9, "T1 map", 11), (17, "late enhancement", 8)]
    client.force_login(user)
    html = client.get(f"/uploads/{upload.public_id}/").content.decode()
    for words in (
        "No perfusion series", "Late enhancement", "It belongs to a cine film",
        "its waiting times change", "By its name it is for late enhancement.",
    ):  # fmt: skip
        assert words in html
    assert "SMITH" not in html
    assert html.count("It belongs to a cine film") == 2, "once by series, once by names of files"


def test_a_folder_of_cine_alone_is_told_by_series_too(user, tmp_path):
    cine = film(
        25, series="c", AcquisitionTime="101500", TriggerTime=lambda n: 32.0 * n,
        SeriesDescription="CINE_SAX", SeriesNumber=3,
    )  # fmt: skip
    paths = save(cine, tmp_path / "a")
    files = [(path.name, ContentFile(path.read_bytes())) for path in paths]
    upload = uploads.receive(user, files)
    ingest_upload(upload.pk)
    upload.refresh_from_db()
    assert upload.state == "failed"
    assert [(one["kind"], one["images"]) for one in upload.left_out] == [("cine", 25)]

"""What the pages of studies and uploads show: to whom, and in how many queries."""

from __future__ import annotations

import re

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone

from accounts.roles import Role
from processing import runs
from studies import sharing, uploads
from studies.models import Result, SegmentFlow, Series, StoredFile, Study, Upload, UploadItem
from tests.people import make_administrator, make_result, make_study, make_trust, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def study() -> Study:
    return make_study(
        make_trust("Riverside NHS Trust"),
        patient_sex="F", patient_age=61, study_uid="2.25.987654321",
        manufacturer="SIEMENS", scanner_model="Avanto", field_t=1.5,
    )  # fmt: skip


@pytest.fixture
def owner(client, study):
    user = make_user(study.trust)
    client.force_login(user)
    return user


def page(client, study: Study) -> str:
    response = client.get(f"/studies/{study.public_id}/")
    assert response.status_code == 200
    return response.content.decode()


def words(html: str) -> str:
    """What a reader sees of a page, its spaces made one."""
    html = re.sub(r"<(script|style|svg).*?</\1>", " ", html, flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


def picture(study: Study, result: Result, folder: str, name: str) -> StoredFile:
    return StoredFile.objects.create(
        study=study, result=result, folder=folder, name=name, kind=StoredFile.Kind.MAP,
        content_type="image/png", size=1, sha256="ab" * 32, file=f"aa/{folder}{name}",
    )  # fmt: skip


def test_a_study_shows_its_facts_and_not_its_uids(client, study, owner):
    seen = words(page(client, study))
    assert study.reference in seen
    assert "Riverside NHS Trust" in seen
    assert "Female, 61 years" in seen
    assert "SIEMENS Avanto, 1.5 T" in seen
    assert study.study_uid not in page(client, study)
    assert "Download everything" not in seen, "there is nothing to download yet"
    assert "The 16 segments" not in seen


def test_a_result_is_shown_with_its_numbers_maps_and_findings(client, study, owner):
    result = make_result(study, mbf=1.25)
    SegmentFlow.objects.filter(result=result, state="stress", segment=7).update(ischaemic=True)
    maps = [picture(study, result, f"{state}_mid", "mbf.png") for state in ("stress", "rest")]
    html = page(client, study)
    seen = words(html)
    for part in maps:
        assert f"/files/{part.public_id}/" in html
    row = words(re.search(r'<tr[^>]*id="segment-7".*?</tr>', html, re.DOTALL).group())
    assert "Mid anterior" in row
    assert "2.50" in row
    assert "1.25" in row
    assert "2.00" in row, "the reserve"
    assert "marked ischaemic" in row
    assert "marked ischaemic" not in words(
        re.search(r'<tr[^>]*id="segment-8".*?</tr>', html, re.DOTALL).group()
    )
    # Said once, with the series that it holds for.
    assert seen.count("One slice alone is taken as mid.") >= 1
    assert "No. 1, MCAQ 0.1.0" in seen
    assert "AcquisitionTime" in seen
    assert html.count('id="segment-') >= 16
    # A segment without a value is a dash, never a zero.
    assert "0.00" not in seen


def told_of_motion(result: Result, colour: str = "amber") -> Result:
    """The result as an engine gives it that tells how it held the heart still."""
    sentence = "The film ends 9 s after the peak of contrast."
    for series in result.report["series"]:
        series["light"] = {"colour": colour, "sentence": sentence}
        series["motion"] = {
            "displacement_mm": [[3.4, -7.6]], "folds": 0, "overlap": [None, 0.91, 0.97],
            "roughness": {"before": 0.84, "after": 0.21}, "sentence": "Shifting helped.",
            "stages": [{"name": "translation", "used": True}],
        }  # fmt: skip
    result.report["light"] = {"colour": colour, "sentence": f"Stress, mid: {sentence}"}
    result.save()
    return result


def section(html: str, title: str) -> str:
    found = re.search(rf'<section[^>]*aria-labelledby="{title}".*?</section>', html, re.DOTALL)
    assert found, title
    return found.group()


@pytest.mark.parametrize(
    ("colour", "word"),
    [("green", "Green: no warning"), ("amber", "Amber: check"), ("red", "Red: do not rely on it")],
)
def test_the_light_is_said_in_words_at_the_top_and_at_each_slice(
    client, study, owner, colour, word
):
    told_of_motion(make_result(study), colour)
    html = page(client, study)
    top = words(section(html, "quality-title"))
    assert top.index(word) < top.index("The film ends 9 s after the peak of contrast.")
    assert words(section(html, "maps-title")).count(word) == 2


def test_how_motion_was_corrected_is_shown_at_each_slice(client, study, owner):
    result = told_of_motion(make_result(study))
    stored = [
        picture(study, result, f"{state}_mid", name)
        for state in ("stress", "rest")
        for name in ("motion.png", "strip.png")
    ]
    html = page(client, study)
    part = section(html, "cines-title")
    for one in stored:
        image = re.search(rf'<img[^>]*src="/files/{one.public_id}/"[^>]*>', part)
        assert image
        told = re.search(r'alt="([^"]+)"', image.group())
        assert told
        assert {"stress, mid", "rest, mid"} & set(re.findall(r"(?:stress|rest), mid", told[1]))
    assert "3 mm down and 0 mm up, 0 mm to the right and 8 mm to the left" in part
    seen = words(part)
    assert seen.count("How the motion was corrected") == 2
    assert "Shifting helped." in seen
    assert "0.84 → 0.21" in seen
    assert "94 %, 91 %" in seen
    assert "style=" not in part


def test_a_result_from_before_there_was_evidence_of_motion_still_shows(client, study, owner):
    make_result(study)
    seen = words(page(client, study))
    assert "Quality of this result" in seen
    assert "How the motion was corrected" not in seen
    assert not re.search("Green:|Amber:|Red:", seen)


def test_the_newest_result_is_the_one_shown(client, study, owner):
    make_result(study, mbf=1.0)
    make_result(study, mbf=1.7)
    seen = words(page(client, study))
    assert "No. 2" in seen
    assert "No. 1" not in seen
    assert "3.40 3.06–3.74" in seen


def with_numbers(result: Result) -> None:
    """What the engine says of a study beside its segments, of stress alone."""
    none = {"segments": 0, "of": 6, "reason": "There is no rest series."}

    def part(**key):
        names = {"territories": ("LAD", "RCA", "LCx"), "levels": ("basal", "mid", "apical")}
        return {"global": key} | {group: dict.fromkeys(rows, key) for group, rows in names.items()}

    result.report["summary"] = {
        "stress": part(mbf=2.34, segments=2, of=6, reason=None),
        "rest": part(mbf=None, **none),
        "reserve": part(mpr=None, **none),
        "ischaemic_burden": {
            "segments": 3, "of": 16, "percent": 18.75, "cut_ml_per_min_per_g": 1.94,
            "source": "Kotecha 2019", "reason": None,
        },
    }  # fmt: skip
    result.report["parameters"] = {"model": "exchange"}
    result.report["series"][0] |= {
        "models": {
            "exchange": {"unit": "ml/min/g", "segments": {"7": 2.99, "8": 2.98}, "global": 2.98},
            "upslope": {"unit": "relative", "segments": {"7": 0.13, "8": 0.12}, "global": 0.12},
            "fermi": {"unit": "ml/min/g", "segments": {"7": 2.11, "8": None}, "global": 2.11},
        },
        "spread": {"7": 0.27, "8": None},
        "endo_epi": {
            "7": {"ratio": 0.83, "reason": None}, "8": {"ratio": None, "reason": "It is thin."},
        },
    }  # fmt: skip
    result.save()


def test_numbers_by_territory_and_level_stand_beside_the_diagrams(client, study, owner):
    with_numbers(make_result(study))
    seen = words(page(client, study))
    for name in ("LAD territory", "LCx territory", "RCA territory", "Basal", "Whole heart"):
        assert f"{name} 2.34 2 of 6" in seen
    assert "Rest: There is no rest series." in seen
    assert "Reserve: There is no rest series." in seen
    assert "3 of 16 segments (19 %) have stress flow below 1.94 ml/min/g (Kotecha 2019)" in seen


def test_other_models_and_layers_are_disclosed(client, study, owner):
    with_numbers(make_result(study))
    html = page(client, study)
    models = re.search(r'<details[^>]*id="other-models".*?</details>', html, re.DOTALL).group()
    assert " open" not in models.split(">", 1)[0]
    seen = words(models)
    assert "Fermi Upslope Spread" in seen
    assert "2.99" not in seen, "the first table holds the default"
    assert "7 Mid anterior 2.11 0.13 0.27" in seen
    assert "8 Mid anteroseptal – 0.12 –" in seen
    layers = words(re.search(r'<details[^>]*id="layers".*?</details>', html, re.DOTALL).group())
    assert "7 Mid anterior 0.83" in layers
    assert "8 Mid anteroseptal – It is thin." in layers


def test_a_result_that_knows_no_other_models_says_nothing_of_them(client, study, owner):
    make_result(study)
    html = page(client, study)
    for absent in ("Other models", "Inner and outer layer", "Whole heart", "app-numbers"):
        assert absent not in html


def test_what_only_the_owning_trust_decides_is_not_offered_to_others(client, study):
    make_result(study)
    owner, receiver = make_user(study.trust), make_user(make_trust())
    sharing.share(study, by=owner, to_user=receiver, reason="second opinion")
    client.force_login(receiver)
    html = page(client, study)
    assert "Riverside NHS Trust shares this study with you" in words(html)
    for address in ("share/", "research/", "run/submit/"):
        assert f"/studies/{study.public_id}/{address}" not in html
    assert "second opinion" not in html
    card = client.get(f"/studies/{study.public_id}/run/").content.decode()
    assert "run-submit" not in card
    client.force_login(owner)
    html = page(client, study)
    assert "second opinion" in html
    assert f"/studies/{study.public_id}/research/" in html


def test_text_that_people_wrote_cannot_become_part_of_the_page(client, study, owner):
    receiver = make_user(make_trust("<b>Bold</b> Trust"), name="<img src=x onerror=alert(1)>")
    sharing.share(study, by=owner, to_user=receiver, reason="<script>alert(1)</script>")
    make_result(study)
    Study.objects.filter(pk=study.pk).update(manufacturer="<i>SIEMENS")
    html = page(client, study)
    assert "&lt;script&gt;alert(1)" in html
    for raw in ("<script>alert", "<img src=x", "<i>SIEMENS", "<b>Bold"):
        assert raw not in html


def series(study: Study, state: str, index: int) -> None:
    Series.objects.create(
        study=study, uid=f"2.25.{index}", state=state, level="mid", frames=60, rows=192, cols=160
    )


def test_the_worklist_shows_own_and_shared_studies_and_their_state(client, study, owner):
    series(study, "stress", 1)
    series(study, "rest", 2)
    elsewhere = make_study(make_trust("Seaside NHS Trust"))
    sharing.share(elsewhere, by=make_user(elsewhere.trust), to_trust=owner.trust, reason="x")
    hidden = make_study(make_trust())
    failed = runs.claim(runs.submit(study, engine="mcaq", by=owner).pk)
    runs.fail(failed, "No series could be analysed.")
    make_result(elsewhere)
    html = client.get("/").content.decode()
    seen = words(html)
    assert "Stress 1, Rest 1" in seen or "Rest 1, Stress 1" in seen
    assert "Failed" in seen
    assert "No series could be analysed." in seen
    assert "Seaside NHS Trust Shared with you" in seen
    assert "Result ready" in seen
    assert hidden.reference not in seen


def test_a_long_worklist_takes_no_more_queries_and_has_pages(
    client, study, owner, django_assert_max_num_queries
):
    for _ in range(30):
        more = make_study(study.trust)
        series(more, "stress", 1)
        runs.submit(more, engine="mcaq", by=owner)
    client.get("/")
    # Beside the list itself: what waits for the reader (five kinds), and how long runs will take.
    with django_assert_max_num_queries(26):
        first = client.get("/").content.decode()
    second = client.get("/?page=2").content.decode()
    assert [html.count('id="study-') for html in (first, second)] == [25, 6]
    assert client.get("/?page=nonsense").status_code == 200
    assert client.get("/?page=99").content.decode().count('id="study-') == 6


def test_home_leads_each_to_what_is_theirs(client):
    client.force_login(make_user(make_trust()))
    first = words(client.get("/").content.decode())
    assert "Drop the folder" in first
    assert "No studies yet" in first
    client.force_login(make_user(make_trust(), Role.RESEARCHER))
    assert client.get("/")["Location"] == "/research/"
    client.force_login(make_administrator())
    assert client.get("/")["Location"] == "/admin/"


def test_the_corner_shows_runs_on_visible_studies_only(client, study, owner):
    mine = runs.claim(runs.submit(study, engine="mcaq", by=owner).pk)
    runs.heartbeat(mine, "motion", 0.42)
    other = make_study(make_trust())
    runs.submit(other, engine="mcaq", by=None)
    seen = words(client.get("/progress/").content.decode())
    assert study.reference in seen
    assert "Holding the heart still" in seen
    assert "42" in seen
    assert other.reference not in seen


def test_an_upload_tells_what_was_used_and_why_the_rest_was_not(client, study, owner):
    upload = uploads.start(owner)
    upload.studies.add(study)
    series(study, "stress", 1)
    for state, name, reason in (
        ("stored", "", ""), ("duplicate", "", ""), ("unused", "LOC_1", "It is a localiser."),
        ("rejected", "letter.dcm", "It is not a DICOM file. Leave it out."),
    ):  # fmt: skip
        UploadItem.objects.create(upload=upload, name=name, state=state, reason=reason, size=1)
    Upload.objects.filter(pk=upload.pk).update(
        state="done", total=4, done=4, finished_at=timezone.now()
    )
    for address in ("", "status/"):
        seen = words(client.get(f"/uploads/{upload.public_id}/{address}").content.decode())
        assert "Files received 4 Used 2 (1 already here) Left out 1 Refused 1" in seen
        assert "letter.dcm It is not a DICOM file. Leave it out." in seen
        assert "LOC_1 It is a localiser." in seen
    state = client.get(f"/uploads/{upload.public_id}/status.json").json()
    assert state == {
        "state": "done", "done": 4, "total": 4, "reason": "",
        "studies": [{"url": f"/studies/{study.public_id}/"}],
    }  # fmt: skip


def test_an_upload_under_way_keeps_asking_and_one_that_ended_does_not(client, owner):
    upload = uploads.start(owner)
    address = f"/uploads/{upload.public_id}/"
    for state in ("receiving", "queued", "checking"):
        Upload.objects.filter(pk=upload.pk).update(state=state)
        assert (
            "hx-get"
            in re.search(
                r'<div id="upload-page".*?>', client.get(address).content.decode(), re.DOTALL
            ).group()
        )
        assert f"/uploads/{upload.public_id}/" in client.get("/").content.decode()
    Upload.objects.filter(pk=upload.pk).update(state="failed", reason="None of these files is one.")
    html = client.get(address).content.decode()
    assert "hx-get" not in re.search(r'<div id="upload-page".*?>', html, re.DOTALL).group()
    assert "None of these files is one." in words(html)


def test_a_form_without_script_uploads_and_is_told_what_is_wrong(client, owner):
    files = [SimpleUploadedFile("IM_0001", b"one"), SimpleUploadedFile("IM_0002", b"two")]
    sent = client.post("/uploads/", {"files": files})
    upload = Upload.objects.get()
    assert sent["Location"] == f"/uploads/{upload.public_id}/"
    assert (upload.state, upload.total) == ("queued", 2)
    nothing = client.post("/uploads/", {}, follow=True)
    assert "No file was sent." in words(nothing.content.decode())
    assert Upload.objects.count() == 1


def test_a_program_is_told_in_json_what_is_wrong(client, owner, settings):
    json = {"Accept": "application/json"}
    upload = uploads.start(owner)
    files = f"/uploads/{upload.public_id}/files/"
    settings.UPLOAD_MAX_FILE_BYTES = 3
    answer = client.post(files, {"files": [SimpleUploadedFile("big", b"1234")]}, headers=json)
    assert answer.status_code == 413
    assert answer.json()["error"] == "upload_refused"
    assert "big is larger than" in answer.json()["message"]
    answer = client.post(f"/uploads/{upload.public_id}/complete/", {"sent": "0"}, headers=json)
    assert "No file was sent" in answer.json()["message"]
    Upload.objects.filter(pk=upload.pk).update(state="done")
    answer = client.post(f"/uploads/{upload.public_id}/withdraw/", headers=json)
    assert (answer.status_code, Upload.objects.count()) == (400, 1)
    # Two uploads may be open at once, in two windows.
    places = [client.post("/uploads/", headers=json).json()["url"] for _ in range(2)]
    assert len(set(places)) == 2

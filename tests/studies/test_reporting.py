"""Reports: sentences from the values, one draft, signatures that stay, and the page on paper."""

from __future__ import annotations

import io
import re
import sys
import zlib
from collections.abc import Iterator
from contextlib import suppress

import numpy as np
import pytest
from django.core.files.base import ContentFile
from PIL import Image

from accounts.models import AuditEvent, User
from studies import curves, printing, report_text, reporting, sharing
from studies.models import Report, StoredFile, Study
from studies.segments import AHA_NAMES
from studies.views.reading import result_context
from tests.people import make_result, make_study, make_trust, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def study() -> Study:
    study = make_study(make_trust("Riverside NHS Trust"), patient_sex="F")
    make_result(study, mbf=1.25)
    return study


@pytest.fixture
def owner(client, study) -> User:
    user = make_user(study.trust, name="Dr Ada Reader")
    client.force_login(user)
    return user


def send(client, study: Study, **fields: object):
    return client.post(f"/studies/{study.public_id}/report/", fields)


def summary(**parts: object) -> dict[str, object]:
    return {"engine": {"name": "mcaq", "version": "1"}, "series": [], "summary": parts}


def test_the_sentences_say_what_was_measured():
    told = summary(
        stress={
            "global": {"mbf": 2.004},
            "territories": {"LAD": {"mbf": 2.5}, "LCx": {"mbf": None}, "RCA": {"mbf": 1.5}},
        },
        reserve={"global": {"mpr": 2.2}},
        ischaemic_burden={
            "percent": 50.0, "of": 2, "segments": 1, "cut_ml_per_min_per_g": 1.94, "source": "X",
        },
    )  # fmt: skip
    told["series"] = [
        {
            "state": "stress", "level": "mid",
            "quality": [{"flag": "a", "severity": "warning", "sentence": "The breath was deep."}],
            "mbf": {"segments": {
                "7": {"mbf": 1.2, "low": 1.0, "high": 1.4, "ischaemic": True},
                "8": {"mbf": 2.2, "low": None, "high": None, "ischaemic": False},
            }},
        }
    ]  # fmt: skip
    text = report_text.sentences(told, AHA_NAMES, number=3)
    assert "Stress: mid." in text
    assert "MCAQ 1, result 3" in text
    assert "Stress: mean blood flow 2.00 ml/min/g (LAD 2.50, RCA 1.50)." in text
    assert "Reserve (stress ÷ rest): 2.20." in text
    assert "in 1 of 2 segments: mid anterior (1.20, 90 % interval 1.00–1.40)." in text
    assert "Stress mid: The breath was deep." in text
    assert "Rest" not in text


def test_what_is_not_known_is_not_said_as_a_number():
    told = summary(stress={"global": {"mbf": None, "reason": "There is no stress series."}})
    assert "ml/min/g" not in report_text.sentences(told, AHA_NAMES, number=1)


def test_from_our_sentences_to_a_signed_report(client, study, owner):
    page = client.get(f"/studies/{study.public_id}/report/").content.decode()
    assert "Quantitative first-pass perfusion" in page
    assert not Report.objects.exists(), "looking makes no draft"
    assert send(client, study, text="Flow is even.", do="save", seen="").status_code == 302
    draft = Report.objects.get()
    assert (draft.version, draft.text, draft.is_signed) == (1, "Flow is even.", False)
    answer = send(client, study, text="Flow is even. A.R.", do="sign", seen="1")
    assert answer.headers["Location"] == f"/reports/{draft.public_id}/"
    draft.refresh_from_db()
    assert draft.signed_by == owner
    assert draft.text == "Flow is even. A.R."
    page = client.get(f"/reports/{draft.public_id}/").content.decode()
    assert "Signed by <b>Dr Ada Reader</b>" in page
    assert "Flow is even. A.R." in page
    assert "Dr Ada Reader" in client.get(f"/studies/{study.public_id}/").content.decode()
    verbs = set(AuditEvent.objects.values_list("verb", flat=True))
    assert {"report.write", "report.save", "report.sign", "report.view"} <= verbs


def test_a_signed_report_is_not_changed_but_amended(client, study, owner):
    first = reporting.save(study, by=owner, text="One.", seen=None)
    reporting.sign(first, by=owner)
    page = client.get(f"/studies/{study.public_id}/report/").content.decode()
    assert ">One.</textarea>" in page, "the next version begins as a copy"
    second = reporting.save(study, by=owner, text="Two.", seen=None)
    reporting.sign(second, by=owner)
    first.refresh_from_db()
    assert (first.text, second.version) == ("One.", 2)
    assert "Replaced by version 2." in client.get(f"/reports/{first.public_id}/").content.decode()
    reporting.discard(first, by=owner)
    assert Report.objects.count() == 2, "a signed report is not thrown away"


def test_who_saves_over_another_keeps_their_text_and_sees_the_other(client, study, owner):
    reporting.save(study, by=make_user(study.trust), text="Theirs.", seen=None)
    answer = send(client, study, text="Mine.", do="sign", seen="")
    page = answer.content.decode()
    assert answer.status_code == 400
    assert ">Mine.</textarea>" in page
    assert "Theirs." in page
    assert Report.objects.get().text == "Theirs."
    assert not Report.objects.get().is_signed


@pytest.mark.parametrize("text", ["", "   ", "x" * (reporting.MOST_CHARACTERS + 1)])
def test_an_empty_or_endless_report_is_refused(client, study, owner, text):
    answer = send(client, study, text=text, do="save", seen="")
    assert answer.status_code == 400
    assert "There is a problem" in answer.content.decode()
    assert not Report.objects.exists()


def test_without_a_result_there_is_nothing_to_report(client, owner):
    empty = make_study(owner.trust)
    answer = client.get(f"/studies/{empty.public_id}/report/", follow=True)
    assert "no result to report on" in answer.content.decode()


def test_a_draft_stays_with_its_result_and_says_that_there_is_a_newer_one(client, study, owner):
    draft = reporting.save(study, by=owner, text="One.", seen=None)
    make_result(study)
    page = client.get(f"/studies/{study.public_id}/report/").content.decode()
    assert "newer result, number 2" in page
    again = reporting.save(study, by=owner, text="One again.", seen=1)
    assert again.result == draft.result
    assert "result 2 was made later" in client.get(f"/reports/{draft.public_id}/").content.decode()


def test_who_a_study_is_shared_with_reads_signed_reports_only(client, study, owner):
    reader = make_user(make_trust())
    sharing.share(study, by=owner, to_user=reader, reason="opinion", may_download=False)
    report = reporting.save(study, by=owner, text="One.", seen=None)
    client.force_login(reader)
    assert client.get(f"/reports/{report.public_id}/").status_code == 404
    reporting.sign(report, by=owner)
    assert client.get(f"/reports/{report.public_id}/").status_code == 200
    assert client.get(f"/reports/{report.public_id}/report.pdf").status_code == 404, "see only"
    assert client.get(f"/studies/{study.public_id}/report/").status_code == 404


def test_the_plain_text_says_what_it_is(client, study, owner):
    report = reporting.save(study, by=owner, text="Flow is even.", seen=None)
    body = client.get(f"/reports/{report.public_id}/report.txt").content.decode()
    assert "DRAFT, not signed" in body
    assert "not for diagnosis" in body.lower()
    reporting.sign(report, by=owner)
    body = client.get(f"/reports/{report.public_id}/report.txt").content.decode()
    assert "Signed by Dr Ada Reader" in body
    assert study.reference in body


def test_the_pdf_is_tagged_titled_and_fetches_nothing(client, study, owner):
    pytest.importorskip("weasyprint", reason="needs Debian's libpango", exc_type=OSError)
    result = study.results.get()
    picture = StoredFile(
        study=study, result=result, folder="stress_mid", name="mbf.png", size=1,
        kind=StoredFile.Kind.MAP, content_type="image/png", sha256="ab" * 32,
    )  # fmt: skip
    picture.file.save("mbf.png", ContentFile(png()), save=True)
    report = reporting.save(study, by=owner, text="Flow is even.", seen=None)
    answer = client.get(f"/reports/{report.public_id}/report.pdf")
    assert answer.status_code == 200
    assert answer.content.startswith(b"%PDF-")
    inside = b"".join(streams(answer.content)) + answer.content
    assert b"/StructTreeRoot" in inside
    assert b"pdfuaid" in inside
    assert b"DisplayDocTitle true" in inside
    assert re.search(rb"/Subtype */Image", inside), "the map is in it"


def test_without_the_library_the_page_is_offered_instead(client, study, owner, monkeypatch):
    report = reporting.save(study, by=owner, text="Flow is even.", seen=None)
    # As Python does for a package that is not there.
    monkeypatch.setitem(sys.modules, "weasyprint", None)
    answer = client.get(f"/reports/{report.public_id}/report.pdf", follow=True)
    assert "Print this page" in answer.content.decode()


def streams(pdf: bytes) -> Iterator[bytes]:
    """What lies compressed in a PDF."""
    for packed in re.findall(rb"stream\n(.*?)\nendstream", pdf, re.DOTALL):
        with suppress(zlib.error):
            yield zlib.decompress(packed)


def png() -> bytes:
    target = io.BytesIO()
    Image.new("RGB", (4, 4), "red").save(target, "PNG")
    return target.getvalue()


def array(study: Study, name: str, values: np.ndarray) -> StoredFile:
    target = io.BytesIO()
    np.save(target, values)
    stored = StoredFile(
        study=study, folder="stress_mid", name=name, size=1, kind=StoredFile.Kind.DATA,
        content_type="application/octet-stream", sha256="ab" * 32,
    )  # fmt: skip
    stored.file.save(name, ContentFile(target.getvalue()), save=True)
    return stored


def test_curves_are_the_mean_signal_of_blood_and_muscle(study):
    labels = np.zeros((4, 4), np.uint8)
    labels[0], labels[1] = 2, 1
    film = np.full((6, 4, 4), 10, np.float32)
    film[3:, 0], film[4:, 1] = 110, 35
    film[5] = 1000  # not used
    entry = {
        "folder": "stress_mid",
        "frame_times_s": [0.0, 10.0, 20.0, 30.0, 40.0, 50.0],
        "frames": [{"used": n != 5, "role": "dynamic"} for n in range(6)],
    }
    files = {
        ("stress_mid", "corrected.npy"): array(study, "corrected.npy", film),
        ("stress_mid", "segmentation.npy"): array(study, "segmentation.npy", labels),
    }
    found = curves.of_series(entry, files)
    assert found is not None
    heights = [
        [(curves.HEIGHT - curves.BOTTOM - float(p.split(",")[1])) for p in line.split()]
        for line in (found.blood, found.muscle)
    ]
    full = curves.HEIGHT - curves.TOP - curves.BOTTOM
    assert heights[0] == pytest.approx([0, 0, 0, full, full], abs=0.11)
    assert heights[1] == pytest.approx([0, 0, 0, 0, full / 4], abs=0.11)
    assert [text for _, text in found.ticks] == ["0", "10", "20", "30", "40"]
    assert curves.of_series(entry, {}) is None


def test_the_page_on_paper_shows_maps_curves_and_intended_use(study):
    owner = make_user(study.trust)
    report = reporting.save(study, by=owner, text="Flow is even.", seen=None)
    told = printing.context(report, result_context(report.result, None), owner=True)
    assert told["intended_use"]
    assert [row["label"] for row in told["grid"]]

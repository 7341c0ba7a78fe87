"""What is taken along: segments as CSV, a page that opens offline, pictures as JPEG."""

from __future__ import annotations

import csv
import io
import re
import zipfile

import pytest
from PIL import Image

from studies import sharing
from tests.people import make_result, make_study, make_trust, make_user
from tests.site.world import store

pytestmark = pytest.mark.django_db


@pytest.fixture
def study():
    study = make_study(make_trust())
    study.reader = make_user(study.trust)
    return study


def picture() -> bytes:
    made = io.BytesIO()
    Image.new("RGBA", (8, 6), (200, 30, 10, 255)).save(made, "PNG")
    return made.getvalue()


def test_segments_as_csv_with_their_units(client, study):
    make_result(study, mbf=1.5)
    client.force_login(study.reader)
    answer = client.get(f"/studies/{study.public_id}/segments.csv")
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(answer.content.decode())))
    assert len(rows) == 4
    first = next(row for row in rows if row["state"] == "stress" and row["segment"] == "7")
    assert first["mbf_ml_per_min_per_g"] == "3"
    assert first["mbf_low_90_ml_per_min_per_g"] == "2.7"
    assert first["segment_name"] == "Mid anterior"
    assert first["reserve"] == "2"
    assert client.get(f"/studies/{study.public_id}/segments.csv?result=7").status_code == 404


def test_a_guest_without_download_gets_no_csv_and_no_jpeg(client, study):
    result = make_result(study)
    stored = store(study, "mbf.png", "image/png", picture(), result=result)
    guest = make_user(make_trust())
    sharing.share(study, by=study.reader, to_user=guest, reason="x", may_download=False)
    client.force_login(guest)
    assert b"".join(client.get(f"/files/{stored.public_id}/")) == picture()
    assert client.get(f"/files/{stored.public_id}/?as=jpeg").status_code == 404
    assert client.get(f"/studies/{study.public_id}/segments.csv").status_code == 404


def test_a_picture_as_jpeg(client, study):
    stored = store(study, "mbf.png", "image/png", picture(), result=make_result(study))
    client.force_login(study.reader)
    answer = client.get(f"/files/{stored.public_id}/?download&as=jpeg")
    assert answer["Content-Type"] == "image/jpeg"
    assert answer["Content-Disposition"].endswith('.jpg"')
    with Image.open(io.BytesIO(answer.content)) as made:
        assert (made.format, made.size) == ("JPEG", (8, 6))


def test_the_zip_opens_with_a_page_of_its_own(client, study):
    result = make_result(study)
    store(study, "mbf.png", "image/png", picture(), folder="stress_mid", result=result)
    client.force_login(study.reader)
    body = b"".join(client.get(f"/studies/{study.public_id}/everything.zip"))
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        root = f"corecmr-{study.reference}/"
        page = archive.read(f"{root}index.html").decode()
        names = set(archive.namelist())
        assert f"{root}segments.csv" in names
    assert "Not for diagnosis" in page
    assert "script" not in page
    # Whatever it shows lies in the ZIP, and nothing is fetched from elsewhere.
    shown = re.findall(r'(?:src|href|poster)="([^"]+)"', page)
    assert shown
    assert {root + name for name in shown} <= names


def test_other_studies_of_the_patient_stand_on_the_page_of_the_own_trust(client, study):
    study.patient_pseudonym = "P1"
    study.save()
    make_result(study)
    earlier = make_study(study.trust, patient_pseudonym="P1")
    make_result(earlier, summed=True)
    elsewhere = make_study(make_trust(), patient_pseudonym="P1")
    client.force_login(study.reader)
    page = client.get(f"/studies/{study.public_id}/").content.decode()
    assert "Other studies of this patient" in page
    assert earlier.reference in page
    assert elsewhere.reference not in page
    guest = make_user(make_trust())
    sharing.share(study, by=study.reader, to_user=guest, reason="x")
    client.force_login(guest)
    page = client.get(f"/studies/{study.public_id}/").content.decode()
    assert earlier.reference not in page

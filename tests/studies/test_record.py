"""Who opened a study: told to its owners, and to administrators who ask by its reference."""

from __future__ import annotations

import csv
import io

import pytest

from accounts.models import AuditEvent
from studies import reporting, sharing
from studies.models import StoredFile, Study
from tests.people import make_administrator, make_result, make_study, make_trust, make_user
from tests.site.world import EMPTY_ZIP, store

pytestmark = pytest.mark.django_db


@pytest.fixture
def opened(client) -> Study:
    """A study that a guest of another trust opened and took a file of."""
    study = make_study(make_trust("Hillside"))
    owner = make_user(study.trust, name="Olive Owner")
    guest = make_user(make_trust("Seaside"), name="Gil Guest", email="=guest@sea.example")
    sharing.share(study, by=owner, to_user=guest, reason="opinion")
    stored = store(study, "mbf.npy", "application/octet-stream")
    client.force_login(guest)
    client.get(f"/studies/{study.public_id}/")
    b"".join(client.get(f"/files/{stored.public_id}/"))
    client.force_login(make_user(make_trust(), name="Stan Stranger", email="stan@far.example"))
    assert client.get(f"/studies/{study.public_id}/").status_code == 404
    client.force_login(owner)
    return study


def test_the_owner_sees_person_trust_what_and_when(client, opened):
    for address in (f"/studies/{opened.public_id}/", f"/studies/{opened.public_id}/openings/"):
        page = client.get(address).content.decode()
        for words in ("Gil Guest", "Seaside", "Opened the study", "Downloaded a file"):
            assert words in page
        assert "Stan Stranger" not in page
    guest = make_user(make_trust())
    sharing.share(opened, by=make_user(opened.trust), to_user=guest, reason="x")
    client.force_login(guest)
    assert "Gil Guest" not in client.get(f"/studies/{opened.public_id}/").content.decode()
    assert client.get(f"/studies/{opened.public_id}/openings/").status_code == 404


def test_reports_and_dicom_objects_that_were_taken_are_told_too(client, opened):
    owner = make_user(opened.trust, name="Rita Reader")
    result = make_result(opened)
    store(
        opened, "dicom.zip", "application/zip", EMPTY_ZIP,
        result=result, kind=StoredFile.Kind.OBJECTS,
    )  # fmt: skip
    report = reporting.save(opened, by=owner, text="Flow is even.", seen=None)
    client.force_login(owner)
    client.get(f"/reports/{report.public_id}/")
    client.get(f"/reports/{report.public_id}/report.txt")
    b"".join(client.get(f"/studies/{opened.public_id}/dicom.zip"))
    page = client.get(f"/studies/{opened.public_id}/openings/").content.decode()
    for words in ("Read a report", "Downloaded a report", "Downloaded DICOM objects"):
        assert words in page


def test_a_refusal_is_recorded_with_what_was_asked_for(opened):
    refusal = AuditEvent.objects.get(verb="access.refused")
    assert refusal.object_id == opened.public_id
    assert refusal.detail == {"view": "study", "method": "GET", "status": 404}


def test_an_administrator_answers_who_opened_it_in_four_clicks(client, opened):
    """Home, the record, the search, the export: each address is a link or a form of the last."""
    client.force_login(make_administrator())
    assert 'href="/admin/accounts/auditevent/"' in client.get("/admin/").content.decode()
    page = client.get("/admin/accounts/auditevent/").content.decode()
    assert "A study’s reference" in page
    query = f"?q={opened.reference.lower()}"
    page = client.get(f"/admin/accounts/auditevent/{query}").content.decode()
    assert "=guest@sea.example" in page
    assert "stan@far.example" in page  # the refusal too
    link = f"/admin/accounts/auditevent/export.csv?q={opened.reference.lower()}"
    assert link in page
    answer = client.get(link)
    rows = list(csv.DictReader(io.StringIO(b"".join(answer).decode())))
    assert {row["person"] for row in rows} >= {"'=guest@sea.example", "stan@far.example"}
    assert {row["object_id"] for row in rows} <= {
        opened.public_id, *opened.files.values_list("public_id", flat=True),
        *opened.shares.values_list("public_id", flat=True),
    }  # fmt: skip
    assert {"audit.view", "audit.export"} <= set(AuditEvent.objects.values_list("verb", flat=True))


def test_the_record_is_searched_by_person_too(client, opened):
    client.force_login(make_administrator())
    page = client.get("/admin/accounts/auditevent/?q=Stan").content.decode()
    assert "access.refused" in page
    assert "=guest@sea.example" not in page

"""Nothing of the patient is left anywhere on a study's whole way: the drill in its short form."""

from __future__ import annotations

import pytest

from scripts.drill.intake_identity import Sweep

pytestmark = pytest.mark.django_db


@pytest.mark.filterwarnings("ignore")
def test_no_planted_identifier_is_kept_or_given_to_anybody_it_is_not_for(tmp_path):
    sweep = Sweep(tmp_path, every=12)
    sweep.run()
    assert {place: dict(found) for place, found in sweep.found.items() if found} == {}
    assert {"database", "downloads", "log records", "media", "scratch"} <= set(sweep.found)
    # What is searched would be found: it was there, and is where it belongs.
    assert sweep.planted > 10_000
    assert sweep.in_quarantine > 10
    assert sweep.banners == 2
    assert sweep.given > 100

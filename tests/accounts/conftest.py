"""What every test of people needs."""

from __future__ import annotations

import pytest

from accounts.models import Policy


@pytest.fixture(autouse=True)
def policies(db) -> None:
    """Those that migrations publish; a test with transactions of its own empties every table."""
    for kind, version in (("privacy", 1), ("privacy", 2), ("terms", 1)):
        Policy.objects.get_or_create(kind=kind, version=version)

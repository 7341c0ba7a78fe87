"""What all tests share: the end of their database server, the test data, no skips in CI."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from django.conf import settings

from scripts import postgres

CHECKOUT = Path(__file__).resolve().parents[1]


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the server that the settings started for this run."""
    if settings.configured and settings.DATABASE_STARTED:
        postgres.stop(postgres.server(test=True))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """In CI everything is installed, so a test that finds a part missing there has failed."""
    outcome = yield
    report = outcome.get_result()
    reason = report.longrepr[2] if report.skipped and isinstance(report.longrepr, tuple) else ""
    if os.environ.get("CI") and "needs " in reason:
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped in CI: {reason}"


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The shared test data, which is no part of the project."""
    named = os.environ.get("CORECMR_TEST_DATA")
    root = Path(named) if named else CHECKOUT.parent / "shared" / "data"
    if not root.is_dir():
        pytest.skip("needs the shared test data: set CORECMR_TEST_DATA to its folder")
    return root

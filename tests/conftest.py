"""What all tests share: the end of their database server, the test data, no skips in CI."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

# As in manage.py: it must be said before numpy is imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import pytest
from django.conf import settings
from django.db import connection

from scripts import postgres

CHECKOUT = Path(__file__).resolve().parents[1]


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the server that the settings started for this run."""
    if settings.configured and getattr(settings, "DATABASE_STARTED", False):
        postgres.stop(postgres.server(test=True))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    return _no_skip_in_ci((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Iterator[None]:
    return _no_skip_in_ci((yield))


def _no_skip_in_ci(report):
    """CI installs everything, so a test that misses a part of the machine has failed there.

    Such skips say "needs …", for example "needs Debian package chromium".
    """
    if not os.environ.get("CI") or not report.skipped or not isinstance(report.longrepr, tuple):
        return report
    reason = str(report.longrepr[2]).removeprefix("Skipped: ")
    if reason.startswith("needs "):
        report.outcome = "failed"
        report.longrepr = f"Skipped, which CI does not accept: {reason}"
    return report


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup, django_db_blocker) -> None:
    """Tests with transactions of their own end with TRUNCATE, which the record refuses.

    Only in this database, and only that trigger; tests of the record switch it on again.
    """
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        for table in ("accounts_auditevent", "accounts_auditlink"):
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER audit_keep_whole")


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The shared test data, which is no part of the project."""
    named = os.environ.get("CORECMR_TEST_DATA")
    root = Path(named) if named else CHECKOUT.parent / "shared" / "data"
    if not root.is_dir():
        pytest.skip("needs the shared test data: set CORECMR_TEST_DATA to its folder")
    return root

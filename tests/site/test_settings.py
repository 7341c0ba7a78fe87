"""Production refuses to start without its secrets, with one sentence per mistake."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys

import pytest

GOOD = {
    "SECRET_KEY": secrets.token_urlsafe(60),
    "CORECMR_DEIDENTIFICATION_KEY": secrets.token_urlsafe(60),
    "CORECMR_IDENTITY_KEYS": secrets.token_urlsafe(60),
    "CORECMR_MFA_KEY": secrets.token_urlsafe(60),
    "CORECMR_TRUSTED_PROXIES": "1",
    "DATABASE_URL": "postgresql://corecmr@localhost/corecmr",
    "ALLOWED_HOSTS": "corecmr.example",
    "EMAIL_HOST": "mail.example",
}


def start(**changes: str | None) -> subprocess.CompletedProcess[str]:
    environment = {
        name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG"}
    }
    environment |= {name: value for name, value in (GOOD | changes).items() if value is not None}
    environment["DJANGO_SETTINGS_MODULE"] = "corecmr.settings.production"
    return subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_complete_settings_pass_djangos_deployment_checks():
    outcome = start()
    assert outcome.returncode == 0, outcome.stderr


@pytest.mark.parametrize(
    ("changes", "sentences"),
    [
        ({"SECRET_KEY": None}, ["SECRET_KEY is not set"]),
        ({"SECRET_KEY": "short"}, ["SECRET_KEY has 5 characters"]),
        ({"CORECMR_IDENTITY_KEYS": f"{'k' * 50},short"}, ["CORECMR_IDENTITY_KEYS needs at least"]),
        (
            {"CORECMR_IDENTITY_KEYS": GOOD["CORECMR_DEIDENTIFICATION_KEY"]},
            ["must not hold CORECMR_DEIDENTIFICATION_KEY"],
        ),
        ({"DATABASE_URL": "sqlite:///x.sqlite3"}, ["no other database is supported"]),
        (
            dict.fromkeys(GOOD),
            [
                "SECRET_KEY is not set", "CORECMR_DEIDENTIFICATION_KEY is not set",
                "CORECMR_IDENTITY_KEYS is not set",
                "DATABASE_URL is not set", "ALLOWED_HOSTS is not set", "EMAIL_HOST is not set",
            ],
        ),
        ({"CORECMR_WORKERS": "many"}, ["CORECMR_WORKERS is 'many'; it must be a whole number"]),
    ],
)  # fmt: skip
def test_each_mistake_is_named(changes, sentences):
    outcome = start(**changes)
    assert outcome.returncode != 0
    for sentence in sentences:
        assert sentence in outcome.stderr

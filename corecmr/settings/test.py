"""The test suite: a real PostgreSQL, files below a temporary folder, quick password hashes."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

import dj_database_url

from corecmr.settings.base import *  # noqa: F403
from corecmr.settings.base import INSTALLED_APPS as _INSTALLED_APPS
from corecmr.settings.base import Q_CLUSTER as _Q_CLUSTER
from corecmr.settings.base import STORAGES as _STORAGES
from corecmr.settings.base import file_storages
from scripts import postgres

SECRET_KEY = "tests-only-" + "0123456789abcdef" * 4
DEIDENTIFICATION_KEY = "tests-only-" + "fedcba9876543210" * 4
IDENTITY_KEYS = ["tests-only-" + "02468ace13579bdf" * 4]
MFA_KEY = "tests-only-" + "02468ace13579bdf" * 4
REQUIRE_MFA = False  # tests of it turn it on
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = True
ALLOWED_HOSTS = ["localhost", "127.0.0.1", "testserver"]
# True if this process started the tests' server and so has to stop it.
DATABASE_STARTED = postgres.ensure_started(test=True)
DATABASES = {"default": dj_database_url.parse(postgres.database_url(test=True))}
if os.environ.get("CORECMR_VAR_DIR"):
    VAR_DIR = Path(os.environ["CORECMR_VAR_DIR"])  # a worker started by a test shares its files
else:
    VAR_DIR = Path(tempfile.mkdtemp(prefix="corecmr-test-"))
    atexit.register(shutil.rmtree, VAR_DIR, ignore_errors=True)
STATIC_ROOT = VAR_DIR / "staticfiles"
STATIC_ROOT.mkdir(exist_ok=True)
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = True
SCRATCH_DIR = VAR_DIR / "scratch"
AUDIT_HEADS = VAR_DIR / "audit-heads.jsonl"
ERASURE_LEDGER = VAR_DIR / "erasures.jsonl"
TRUTH_TEST_HOURS = 0  # tests of it turn it on
STORAGES = {
    **_STORAGES,
    **file_storages(VAR_DIR),
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
if os.environ.get("CORECMR_VAR_DIR"):
    EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
    EMAIL_FILE_PATH = str(VAR_DIR / "mail")
Q_CLUSTER = {**_Q_CLUSTER, "poll": 0.05}
RUN_LEASE_SECONDS = 2

# Migrations are looked at for what would lock a table in use. Those below are of the time before
# the first release, when no table was.
INSTALLED_APPS = [*_INSTALLED_APPS, "django_migration_linter"]
MIGRATION_LINTER_OPTIONS = {
    "no_cache": True,
    "include_apps": ["accounts", "studies", "processing"],
    "ignore_name": [
        "0002_scanner_pseudonym",
        "0003_archives_and_questions",
        "0004_files_in_pieces",
        "0006_sealed_names",
        "0006_trust_settings",
        "0007_sealed_examinations",
        "0008_record_and_corrections",
        "0009_items_by_hash",
        "0012_lookup_erasure_and_share_verbs",
        "0013_projects_and_figures",
        "0014_fill_figures",
    ],
    "warnings_as_errors_tests": ["CREATE_INDEX"],
}

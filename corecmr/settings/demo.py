"""One machine, one command: an embedded database, folders for files, mail written to files."""

from __future__ import annotations

import os
import secrets
from urllib.parse import urlsplit

import dj_database_url

from corecmr import env
from corecmr.settings.base import *  # noqa: F403
from corecmr.settings.base import VAR_DIR
from scripts.postgres import database_url

_SECRET_FILE = VAR_DIR / "secret-key"


def _secret(name: str) -> str:
    """The demo's own secret, made by ``make demo``; a throw-away one where none was made."""
    path = VAR_DIR / name
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        return secrets.token_urlsafe(48)


SECRET_KEY = os.environ.get("SECRET_KEY") or _secret("secret-key")
DEIDENTIFICATION_KEY = os.environ.get("CORECMR_DEIDENTIFICATION_KEY") or _secret(
    "deidentification-key"
)
IDENTITY_KEYS = env.words("CORECMR_IDENTITY_KEYS") or [_secret("identity-key")]
MFA_KEY = os.environ.get("CORECMR_MFA_KEY") or _secret("mfa-key")
REQUIRE_MFA = env.flag("CORECMR_REQUIRE_MFA", False)
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = True  # passkeys at http://localhost
ALLOWED_HOSTS = ["localhost", "127.0.0.1", "[::1]"]
CSRF_TRUSTED_ORIGINS: list[str] = []

_url = os.environ.get("DATABASE_URL") or database_url()
# No server yet is no reason to stop: `analyse` and `check` need none.
DATABASES = {
    "default": dj_database_url.parse(_url, conn_max_age=60, conn_health_checks=True)
    if _url
    else {"ENGINE": "django.db.backends.postgresql", "NAME": "corecmr", "HOST": "/nonexistent"}
}
if _url and "host=" in (urlsplit(_url).query or ""):
    DATABASES["default"].setdefault("OPTIONS", {})

EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
EMAIL_FILE_PATH = str(VAR_DIR / "mail")
SESSION_COOKIE_SECURE = False
CSRF_COOKIE_SECURE = False

"""Production: refuses to start without its secrets, and sends everything over TLS."""

from __future__ import annotations

import dj_database_url
from django.core.exceptions import ImproperlyConfigured

from corecmr import env
from corecmr.settings.base import *  # noqa: F403

_problems: list[str] = []


def _secret(name: str, shortest: int = 50) -> str:
    try:
        value = env.text(name)
    except ImproperlyConfigured as error:
        _problems.append(str(error))
        return ""
    if len(value) < shortest:
        _problems.append(f"{name} has {len(value)} characters; it needs at least {shortest}.")
    return value


SECRET_KEY = _secret("SECRET_KEY")
SECRET_KEY_FALLBACKS = env.words("SECRET_KEY_FALLBACKS")
DEIDENTIFICATION_KEY = _secret("CORECMR_DEIDENTIFICATION_KEY")
IDENTITY_KEYS = env.words("CORECMR_IDENTITY_KEYS")
if not IDENTITY_KEYS:
    _problems.append("CORECMR_IDENTITY_KEYS is not set. Set it in the environment.")
if any(len(key) < 50 for key in IDENTITY_KEYS):
    _problems.append("Each key of CORECMR_IDENTITY_KEYS needs at least 50 characters.")
if DEIDENTIFICATION_KEY and DEIDENTIFICATION_KEY in IDENTITY_KEYS:
    _problems.append("CORECMR_IDENTITY_KEYS must not hold CORECMR_DEIDENTIFICATION_KEY.")
MFA_KEY = _secret("CORECMR_MFA_KEY")
MFA_KEY_FALLBACKS = env.words("CORECMR_MFA_KEY_FALLBACKS")
if not env.text("CORECMR_TRUSTED_PROXIES", ""):
    # With a wrong count all people would share one address, and its limits.
    _problems.append(
        "CORECMR_TRUSTED_PROXIES is not set. Say how many proxies stand before the web server."
    )
_database = _secret("DATABASE_URL", shortest=12)
ALLOWED_HOSTS = env.words("ALLOWED_HOSTS")
if not ALLOWED_HOSTS:
    _problems.append("ALLOWED_HOSTS is not set. Name the site's host names, separated by commas.")
if _database and not _database.startswith(("postgres://", "postgresql://")):
    _problems.append("DATABASE_URL must begin with postgresql://; no other database is supported.")
EMAIL_HOST = env.text("EMAIL_HOST", "")
if not EMAIL_HOST:
    _problems.append("EMAIL_HOST is not set. Name the SMTP server that sends the site's mail.")
if _problems:
    raise ImproperlyConfigured("CoreCMR does not start:\n- " + "\n- ".join(_problems))

DATABASES = {"default": dj_database_url.parse(_database, conn_max_age=60, conn_health_checks=True)}
CSRF_TRUSTED_ORIGINS = [f"https://{host.lstrip('.')}" for host in ALLOWED_HOSTS]
EMAIL_PORT = env.number("EMAIL_PORT", 587, low=1, high=65535)
EMAIL_HOST_USER = env.text("EMAIL_HOST_USER", "")
EMAIL_HOST_PASSWORD = env.text("EMAIL_HOST_PASSWORD", "")
EMAIL_USE_TLS = env.flag("EMAIL_USE_TLS", True)

SESSION_COOKIE_SECURE = True
SESSION_COOKIE_NAME = "__Host-sessionid"
CSRF_COOKIE_SECURE = True
CSRF_COOKIE_NAME = "__Host-csrftoken"
SECURE_SSL_REDIRECT = True
# A service manager on the machine asks without TLS, and is told nothing but that.
SECURE_REDIRECT_EXEMPT = [r"^health/(live|ready)/$"]
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_HSTS_SECONDS = 2 * 365 * 24 * 60 * 60
SECURE_HSTS_INCLUDE_SUBDOMAINS = True
SECURE_HSTS_PRELOAD = True

"""Settings shared by all; safe by default. demo, test and production build on them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from csp.constants import NONE, SELF
from django.utils.translation import gettext_lazy as _

from corecmr import env
from corecmr.middleware import static_headers

BASE_DIR = Path(__file__).resolve().parents[2]
VAR_DIR = Path(env.text("CORECMR_VAR_DIR", str(BASE_DIR / "var")))

DEBUG = False
ALLOWED_HOSTS: list[str] = []
ROOT_URLCONF = "corecmr.urls"
WSGI_APPLICATION = "corecmr.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "corecmr.apps.CoreConfig",
    "corecmr.apps.AdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.forms",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.usersessions",
    "csp",
    "django_filters",
    "django_htmx",
    "django_q",
    "rest_framework",
    "drf_spectacular",
    "accounts",
    "studies",
    "processing",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "corecmr.middleware.CompressedPagesMiddleware",
    "corecmr.middleware.RequestIdMiddleware",
    "csp.middleware.CSPMiddleware",
    "corecmr.middleware.PrivacyHeadersMiddleware",
    "corecmr.middleware.ShedMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "accounts.middleware.SessionLimitsMiddleware",
    "accounts.refusals.RefusalsMiddleware",
    "accounts.middleware.GateMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "corecmr.context.site",
            ],
        },
    }
]
FORM_RENDERER = "django.forms.renderers.TemplatesSetting"

# --- people -----------------------------------------------------------------------------------
AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {
        "NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator",
        "OPTIONS": {"user_attributes": ["email", "name"]},
    },
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 12},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "home"
ACCOUNT_LOGOUT_REDIRECT_URL = "home"
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*", "password2*"]
#: A puzzle for the browser against floods of registrations; see accounts/proof.py.
SIGN_UP_PROOF = env.flag("CORECMR_SIGN_UP_PROOF", False)
ACCOUNT_SIGNUP_FORM_CLASS = "accounts.forms.RegistrationForm"
ACCOUNT_EMAIL_VERIFICATION = "mandatory"
ACCOUNT_EMAIL_UNKNOWN_ACCOUNTS = False
ACCOUNT_EMAIL_SUBJECT_PREFIX = "[CoreCMR] "
ACCOUNT_PREVENT_ENUMERATION = True
ACCOUNT_ADAPTER = "accounts.adapter.AccountAdapter"
ACCOUNT_SESSION_REMEMBER = False
ACCOUNT_EMAIL_NOTIFICATIONS = True
ACCOUNT_RATE_LIMITS = {
    # A hospital comes from one address: what one of its people does wrong must not lock the
    # others out. What one account may bear is counted by account, wherever the tries come from.
    "login": "300/m/ip",
    "login_failed": "60/m/ip,5/300s/key",
    "interest": "10/h/ip",
    "invite": "20/d/user",
}
MFA_ADAPTER = "accounts.mfa.MFAAdapter"
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes", "webauthn"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_TOTP_ISSUER = "CoreCMR"
# A code holds a little longer than the app shows it; accounts/mfa.py takes each only once.
MFA_TOTP_TOLERANCE = 1
MFA_FORMS = {
    "authenticate": "accounts.mfa.AuthenticateOnceForm",
    "reauthenticate": "accounts.mfa.ReauthenticateOnceForm",
    "login_webauthn": "accounts.mfa.PasskeyLoginForm",
}
# Nobody signs in before the first address is confirmed; a second one may wait to be.
MFA_ALLOW_UNVERIFIED_EMAIL = True
REQUIRE_MFA = env.flag("CORECMR_REQUIRE_MFA", True)
MFA_KEY_FALLBACKS: list[str] = []
ALLAUTH_TRUSTED_PROXY_COUNT = env.number("CORECMR_TRUSTED_PROXIES", 0, high=5)

SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_AGE = 12 * 60 * 60
SESSION_LONGEST_SECONDS = 12 * 60 * 60
SESSION_IDLE_SECONDS = 30 * 60
SESSION_WARNING_SECONDS = 5 * 60
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_HTTPONLY = True
CSRF_FAILURE_VIEW = "corecmr.errors.csrf_failure"

# --- data -------------------------------------------------------------------------------------
DATABASES: dict[str, Any] = {}
CACHES = {
    # In the database, because limits on sign-in must be shared by all web processes.
    "default": {
        "BACKEND": "corecmr.cache.LimitsCache",
        "LOCATION": "corecmr_cache",
        "OPTIONS": {"MAX_ENTRIES": 1000},  # beyond it what has run out is deleted
    }
}


def file_storages(var_dir: Path) -> dict[str, dict[str, Any]]:
    """Where files lie: an S3 bucket or an Azure container if one is named, else folders."""
    bucket, container = env.text("CORECMR_S3_BUCKET", ""), env.text("CORECMR_AZURE_CONTAINER", "")
    if container:
        return _azure_storages(container)
    if not bucket:
        return {
            "default": {
                "BACKEND": "django.core.files.storage.FileSystemStorage",
                "OPTIONS": {"location": str(var_dir / "media"), "base_url": None},
            },
            "quarantine": {
                "BACKEND": "django.core.files.storage.FileSystemStorage",
                "OPTIONS": {"location": str(var_dir / "quarantine"), "base_url": None},
            },
        }
    shared = {
        "bucket_name": bucket,
        "endpoint_url": env.text("CORECMR_S3_ENDPOINT", "") or None,
        "region_name": env.text("CORECMR_S3_REGION", "") or None,
        "access_key": env.text("CORECMR_S3_ACCESS_KEY", "") or None,
        "secret_key": env.text("CORECMR_S3_SECRET_KEY", "") or None,
        "addressing_style": env.text("CORECMR_S3_ADDRESSING", "path"),
        "signature_version": "s3v4",
        "default_acl": None,
        "file_overwrite": False,  # the library's own default would replace files in silence
        "querystring_auth": True,
        "querystring_expire": 60,
    }
    backend = "storages.backends.s3.S3Storage"
    return {
        "default": {"BACKEND": backend, "OPTIONS": {**shared, "location": "media"}},
        "quarantine": {"BACKEND": backend, "OPTIONS": {**shared, "location": "quarantine"}},
    }


def _azure_storages(container: str) -> dict[str, dict[str, Any]]:
    """Needs requirements/azure.txt besides the base."""
    shared = {
        "azure_container": container,
        "connection_string": env.text("CORECMR_AZURE_CONNECTION", ""),
        "overwrite_files": False,
        "expiration_secs": 60,
        "client_options": {
            "retry_total": 2,
            "initial_backoff": 1,
            "increment_base": 2,
            "connection_timeout": 10,
        },
    }
    backend = "corecmr.azure.AzureStorage"
    return {
        name: {"BACKEND": backend, "OPTIONS": {**shared, "location": place}}
        for name, place in (("default", "media"), ("quarantine", "quarantine"))
    }


STORAGES: dict[str, dict[str, Any]] = {
    **file_storages(VAR_DIR),
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATIC_ROOT = VAR_DIR / "staticfiles"
WHITENOISE_ADD_HEADERS_FUNCTION = static_headers
MEDIA_URL = "/nowhere/"  # stored files have no address of their own: see studies/media.py
SCRATCH_DIR = VAR_DIR / "scratch"
#: Signed heads of the record's chain, outside of the database: they tell when its end was cut off.
AUDIT_HEADS = Path(env.text("CORECMR_AUDIT_HEADS", str(VAR_DIR / "audit-heads.jsonl")))

# Files go to a temporary file at once, so a request's memory does not grow with its files.
FILE_UPLOAD_HANDLERS = ["corecmr.temporary.TemporaryFiles"]
DATA_UPLOAD_MAX_NUMBER_FILES = 5000
DATA_UPLOAD_MAX_NUMBER_FIELDS = 1000
UPLOAD_MAX_FILE_BYTES = env.number("CORECMR_UPLOAD_MAX_FILE_MB", 256, low=1) * 1024**2
UPLOAD_MAX_TOTAL_BYTES = env.number("CORECMR_UPLOAD_MAX_TOTAL_MB", 4096, low=1) * 1024**2
# What may wait to be checked, so that nobody can fill the disk.
QUOTA_PERSON_BYTES = env.number("CORECMR_QUOTA_PERSON_MB", 16384, low=1) * 1024**2
QUOTA_PERSON_UPLOADS = env.number("CORECMR_QUOTA_PERSON_UPLOADS", 20, low=1)
QUOTA_TRUST_BYTES = env.number("CORECMR_QUOTA_TRUST_MB", 65536, low=1) * 1024**2
QUOTA_TRUST_UPLOADS = env.number("CORECMR_QUOTA_TRUST_UPLOADS", 100, low=1)

# --- work -------------------------------------------------------------------------------------
WORKERS = env.number("CORECMR_WORKERS", 2, low=1, high=64)
RUN_LEASE_SECONDS = env.number("CORECMR_RUN_LEASE_SECONDS", 15, low=1, high=600)
RUN_WALL_SECONDS = env.number("CORECMR_RUN_WALL_SECONDS", 1500, low=10)
RUN_MEMORY_BYTES = env.number("CORECMR_RUN_MEMORY_MB", 8192, low=512) * 1024**2
INTAKE_WALL_SECONDS = env.number("CORECMR_INTAKE_WALL_SECONDS", 900, low=10)
INTAKE_MEMORY_BYTES = env.number("CORECMR_INTAKE_MEMORY_MB", 3072, low=512) * 1024**2
DEFAULT_ENGINE = "mcaq"
#: So often a worker measures a phantom whose flow is known; 0 switches it off.
TRUTH_TEST_HOURS = env.number("CORECMR_TRUTH_TEST_HOURS", 24, low=0, high=24 * 31)

# --- watching ---------------------------------------------------------------------------------
#: A request that waited longer for its turn is told that the site is busy; 0 lets all wait.
SHED_AFTER_SECONDS = env.number("CORECMR_SHED_AFTER_SECONDS", 8, low=0, high=120)
#: What monitoring sends as "Authorization: Bearer …" to /health/deep/ and /metrics.
WATCH_TOKEN = env.text("CORECMR_WATCH_TOKEN", "")
#: host or host:port whose certificate /health/deep/ looks at.
WATCH_CERTIFICATE_OF = env.text("CORECMR_WATCH_CERTIFICATE_OF", "")
#: Public keys (age1…) that backups are encrypted for.
BACKUP_RECIPIENTS = env.words("CORECMR_BACKUP_RECIPIENTS")
#: What was erased, outside of the database: a restored backup is told to forget it again.
ERASURE_LEDGER = Path(env.text("CORECMR_ERASURE_LEDGER", str(VAR_DIR / "erasures.jsonl")))
_TIMEOUT = RUN_WALL_SECONDS + 300
Q_CLUSTER: dict[str, Any] = {
    "name": "corecmr",
    "orm": "default",
    "workers": WORKERS,
    # The retry clock starts when a message is fetched, so few may wait in memory, and retry
    # must outlast waiting and running together. The Run row, not the queue, decides on retries.
    "queue_limit": WORKERS,
    "bulk": 1,
    "timeout": _TIMEOUT,
    "retry": _TIMEOUT * 3 + 60,
    "max_attempts": 1,
    "ack_failures": True,
    "catch_up": False,
    "recycle": 20,
    "poll": 0.2,
    "guard_cycle": 1,
    "save_limit": 0,
    "label": "Queue",
}

# --- the browser ------------------------------------------------------------------------------
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "media-src": [SELF],
        "font-src": [SELF],
        "connect-src": [SELF],
        "manifest-src": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
        "base-uri": [NONE],
    }
}
X_FRAME_OPTIONS = "DENY"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"

# --- API --------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "accounts.api.on_error",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "CoreCMR",
    "DESCRIPTION": "Studies, results, runs and cohorts, by key.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_AUTHENTICATION": [],
    "SCHEMA_PATH_PREFIX": "/api/v1/",
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "accounts.api.describe_errors",
    ],
}

# --- language and time ------------------------------------------------------------------------
LANGUAGE_CODE = "en-gb"
LANGUAGES = [("en-gb", _("English"))]
TIME_ZONE = "Europe/London"
USE_I18N = True
USE_TZ = True
FORMAT_MODULE_PATH = ["corecmr.formats"]
LOCALE_PATHS = [BASE_DIR / "locale"]

# --- mail and logs ----------------------------------------------------------------------------
DEFAULT_FROM_EMAIL = env.text("CORECMR_FROM_EMAIL", "CoreCMR <no-reply@localhost>")
SERVER_EMAIL = DEFAULT_FROM_EMAIL
LOG_FORMAT = env.one_of("CORECMR_LOG_FORMAT", "line", ("line", "json"))
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"request_id": {"()": "corecmr.logs.RequestIdFilter"}},
    "formatters": {
        "line": {"()": "corecmr.logs.LineFormatter"},
        "json": {"()": "corecmr.logs.JsonFormatter"},
    },
    "handlers": {
        "console": {
            "class": "logging.StreamHandler",
            "filters": ["request_id"],
            "formatter": LOG_FORMAT,
        }
    },
    "root": {"handlers": ["console"], "level": "INFO"},
    "loggers": {
        "django": {"handlers": ["console"], "level": "INFO", "propagate": False},
        "django-q": {"handlers": ["console"], "level": "WARNING", "propagate": False},
        # It writes down each step of each page, and a picture that it cannot read as a whole.
        "weasyprint": {"level": "CRITICAL", "propagate": False},
    },
}

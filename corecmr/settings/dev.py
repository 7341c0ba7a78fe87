"""For `make dev`: the demo with Django's error pages, and static files from their sources."""

from __future__ import annotations

from corecmr.settings.demo import *  # noqa: F403
from corecmr.settings.demo import STORAGES as _STORAGES

DEBUG = True
STORAGES = {
    **_STORAGES,
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = True

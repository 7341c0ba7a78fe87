"""System check: the engine that new studies go to must be there."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from processing.engines import engine_names


@register()
def default_engine_exists(**kwargs: Any) -> list[CheckMessage]:
    names = engine_names()
    if settings.DEFAULT_ENGINE in names:
        return []
    return [
        Error(f"DEFAULT_ENGINE is {settings.DEFAULT_ENGINE!r}; installed are {', '.join(names)}.")
    ]

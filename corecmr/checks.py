"""System checks: what must hold before the site may start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from django.utils.module_loading import import_string

from corecmr.queue import JOBS


@register()
def jobs_resolve(**kwargs: Any) -> list[CheckMessage]:
    """A job name that leads nowhere would be found out only by a worker, at night."""
    problems: list[CheckMessage] = []
    for name, path in JOBS.items():
        try:
            import_string(path)
        except ImportError:
            problems.append(Error(f"The job {name!r} names {path}, which does not exist."))
    return problems


@register()
def queue_clock(**kwargs: Any) -> list[CheckMessage]:
    """django-q2 hands a message out again after ``retry``: it must outlast waiting and running."""
    cluster = settings.Q_CLUSTER
    waiting = -(-cluster["queue_limit"] // cluster["workers"])
    if cluster["retry"] <= cluster["timeout"] * (2 + waiting):
        return [Error("Q_CLUSTER: retry must exceed timeout × (2 + queue_limit ÷ workers).")]
    if cluster["timeout"] <= settings.RUN_WALL_SECONDS:
        return [Error("RUN_WALL_SECONDS must lie below the queue's timeout.")]
    return []


@register()
def media_is_private(**kwargs: Any) -> list[CheckMessage]:
    """Stored files must not lie where the web server hands out files without asking."""
    location = settings.STORAGES["default"].get("OPTIONS", {}).get("location", "")
    backend = settings.STORAGES["default"]["BACKEND"]
    if not backend.endswith("FileSystemStorage"):
        return []
    media = Path(location).resolve()
    for public in [Path(settings.STATIC_ROOT), *map(Path, settings.STATICFILES_DIRS)]:
        public = public.resolve()
        if media == public or public in media.parents or media in public.parents:
            return [Error(f"Stored files lie in {media}, among the public files of {public}.")]
    return []

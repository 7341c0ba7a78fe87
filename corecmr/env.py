"""Typed readers of environment variables. A mistake is one sentence, never a guess."""

from __future__ import annotations

import os

from django.core.exceptions import ImproperlyConfigured


def text(name: str, default: str | None = None) -> str:
    """A string; without a default it must be set."""
    value = os.environ.get(name, "").strip()
    if value:
        return value
    if default is None:
        raise ImproperlyConfigured(f"{name} is not set. Set it in the environment.")
    return default


def number(name: str, default: int, *, low: int = 0, high: int = 2**63) -> int:
    """A whole number between ``low`` and ``high``."""
    raw = os.environ.get(name, "").strip()
    if not raw:
        return default
    try:
        value = int(raw)
    except ValueError:
        raise ImproperlyConfigured(f"{name} is {raw!r}; it must be a whole number.") from None
    if not low <= value <= high:
        raise ImproperlyConfigured(f"{name} is {value}; it must lie between {low} and {high}.")
    return value


def flag(name: str, default: bool) -> bool:
    """Yes or no."""
    raw = os.environ.get(name, "").strip().lower()
    if not raw:
        return default
    if raw in {"1", "true", "yes", "on"}:
        return True
    if raw in {"0", "false", "no", "off"}:
        return False
    raise ImproperlyConfigured(f"{name} is {raw!r}; it must be yes or no.")


def words(name: str, default: list[str] | None = None) -> list[str]:
    """A list separated by commas."""
    raw = os.environ.get(name, "").strip()
    if not raw:
        return list(default or [])
    return [word.strip() for word in raw.split(",") if word.strip()]


def one_of(name: str, default: str, allowed: tuple[str, ...]) -> str:
    """One of several words."""
    value = text(name, default)
    if value not in allowed:
        raise ImproperlyConfigured(f"{name} is {value!r}; it must be one of {', '.join(allowed)}.")
    return value

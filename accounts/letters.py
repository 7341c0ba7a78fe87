"""Mail from templates: what a letter says, and what stands above it."""

from __future__ import annotations

from typing import Any

from django.template.loader import render_to_string


def letter(template: str, **context: Any) -> tuple[str, str]:
    """Subject and body, from the files ``template``_subject.txt and ``template``.txt."""
    subject = render_to_string(f"{template}_subject.txt", context).strip()
    return subject, render_to_string(f"{template}.txt", context)

"""The form of the register of interest, for the public page."""

from __future__ import annotations

from django import template

from accounts.forms import InterestForm

register = template.Library()


@register.simple_tag
def interest_form() -> InterestForm:
    return InterestForm()

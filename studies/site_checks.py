"""What readers of results are told of the site's own checks."""

from __future__ import annotations

from django.utils.formats import date_format
from django.utils.translation import gettext as _

from studies.models import SiteCheck


def warning() -> str:
    """A sentence for every page of numbers while the site measures wrongly; else ""."""
    check = SiteCheck.objects.filter(kind=SiteCheck.Kind.TRUTH, passed=False).first()
    if check is None or check.at is None:
        return ""
    return _(
        "On %(day)s this site measured a phantom whose flow is known, and the result was not as it "
        "should be. Do not rely on numbers until your administrator has cleared this up."
    ) % {"day": date_format(check.at, "j F Y")}

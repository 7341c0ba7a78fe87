"""Which studies of the list are shown, by what its filters say."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.db.models import Exists, OuterRef, Q, QuerySet, Subquery
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from processing import states
from processing.models import Run
from studies.models import Report, Result, Study


class WorklistForm(forms.Form):
    """Which studies of the list are shown. What is not understood is as if it were not asked."""

    reference = forms.CharField(label=_("Reference"), required=False, max_length=20)
    state = forms.ChoiceField(
        label=_("State"),
        required=False,
        choices=[
            ("", _("All")),
            ("open", _("Being analysed")),
            ("failed", _("Failed or cancelled")),
            ("unreported", _("Result, no signed report")),
            ("signed", _("Report signed")),
            ("none", _("Not analysed")),
        ],
    )
    whose = forms.ChoiceField(
        label=_("Whose"),
        required=False,
        choices=[("", _("All")), ("own", _("My trust’s")), ("shared", _("Shared with me"))],
    )
    since = forms.ChoiceField(
        label=_("Received"),
        required=False,
        choices=[
            ("", _("At any time")),
            ("7", _("In the last week")),
            ("31", _("In the last month")),
            ("366", _("In the last year")),
        ],
    )

    def __init__(self, data: Any = None) -> None:
        super().__init__(data, auto_id="filter_%s")
        for field in self.fields.values():
            field.optional_is_said = True  # type: ignore[attr-defined]
        self.is_valid()

    @property
    def chosen(self) -> dict[str, str]:
        return {name: value for name, value in self.cleaned_data.items() if value}

    @property
    def names(self) -> str:
        """Which filters are set, for the record: not what was typed."""
        return " ".join(sorted(self.chosen))

    @property
    def query(self) -> str:
        return urlencode(self.chosen)

    def among(self, studies: QuerySet[Study], user: User) -> QuerySet[Study]:
        """Of ``studies`` those that were asked for."""
        asked = self.chosen
        if "reference" in asked:
            letters = "".join(one for one in asked["reference"].upper() if one.isalnum())
            studies = studies.filter(reference__icontains=letters)
        if "whose" in asked:
            own = Q(trust=user.trust.pk if user.trust else None)
            studies = studies.filter(own if asked["whose"] == "own" else ~own)
        if "since" in asked:
            first = timezone.now() - timedelta(days=int(asked["since"]))
            studies = studies.filter(created_at__gte=first)
        return self._in_state(studies, asked.get("state", ""))

    def _in_state(self, studies: QuerySet[Study], state: str) -> QuerySet[Study]:
        if not state:
            return studies
        has_result = Exists(Result.objects.filter(study=OuterRef("pk")))
        signed = Exists(Report.objects.filter(study=OuterRef("pk"), signed_at__isnull=False))
        if state == "unreported":
            return studies.filter(Q(has_result) & ~Q(signed))
        if state == "signed":
            return studies.filter(signed)
        latest = Run.objects.filter(study=OuterRef("pk")).order_by("-created_at").values("state")
        studies = studies.annotate(latest=Subquery(latest[:1]))
        if state == "open":
            return studies.filter(latest__in=states.OPEN)
        if state == "failed":
            return studies.filter(latest__in=(states.FAILED, states.CANCELLED))
        return studies.filter(~Q(has_result)).filter(Q(latest=None) | ~Q(latest__in=states.OPEN))

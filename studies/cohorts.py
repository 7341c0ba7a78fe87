"""Cohorts: which studies count, how many they are, and how their figures are spread.

One FilterSet reads the filters of the page, the API and the export. Everything starts at the newest
results of studies that the researcher may use; a count below five is never told.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import django_filters as filters
from django import forms
from django.db.models import Count, Exists, OuterRef, Q, QuerySet
from django.http import QueryDict
from django.utils.translation import gettext_lazy as _

from accounts.models import Trust, User
from studies import access
from studies.models import Project, Result, Study

#: Fewer might be somebody: they are neither counted nor exported.
LEAST = 5
FIELD_STRENGTHS = (("0.55", "0.55 T"), ("1.5", "1.5 T"), ("3", "3 T"))
LIGHTS = (("green", _("Green")), ("amber", _("Amber")), ("red", _("Red")))
SEXES = (("F", _("Female")), ("M", _("Male")), ("O", _("Other")))
REPEATS = (("first", _("The first of each patient")), ("repeated", _("Of patients with several")))


def results(user: User, project: Project | None = None) -> QuerySet[Result]:
    """The newest results of studies that ``user`` may use, in ``project`` where one is given."""
    studies = access.researchable_by(user) if project is None else access.usable_in(project, user)
    return Result.objects.filter(is_newest=True, study__in=studies)


class CohortFilter(filters.FilterSet):
    """The filters of a cohort. Flow in ml/min/g, age in years, field strength in tesla."""

    stress_mbf = filters.RangeFilter(label=_("Stress MBF, ml/min/g"))
    rest_mbf = filters.RangeFilter(label=_("Rest MBF, ml/min/g"))
    reserve = filters.RangeFilter(label=_("Reserve (stress ÷ rest)"))
    endo_epi = filters.RangeFilter(label=_("Inner ÷ outer layer at stress"))
    age = filters.RangeFilter("study__patient_age", label=_("Age, years"))
    light = filters.MultipleChoiceFilter(
        choices=LIGHTS, label=_("Quality"), widget=forms.CheckboxSelectMultiple
    )
    sex = filters.MultipleChoiceFilter(
        "study__patient_sex", choices=SEXES, label=_("Sex"), widget=forms.CheckboxSelectMultiple
    )
    field = filters.MultipleChoiceFilter(
        choices=FIELD_STRENGTHS, label=_("Field strength"), method="by_field",
        widget=forms.CheckboxSelectMultiple,
    )  # fmt: skip
    vendor = filters.MultipleChoiceFilter(
        "study__manufacturer", label=_("Scanner’s maker"), choices=(),
        widget=forms.CheckboxSelectMultiple,
    )  # fmt: skip
    trust = filters.ModelMultipleChoiceFilter(
        field_name="study__trust__public_id", to_field_name="public_id", label=_("Trust"),
        queryset=Trust.objects.none(), widget=forms.CheckboxSelectMultiple,
    )  # fmt: skip
    engine = filters.MultipleChoiceFilter(
        label=_("Engine and version"), choices=(), method="by_engine",
        widget=forms.CheckboxSelectMultiple,
    )  # fmt: skip
    received = filters.DateFromToRangeFilter(
        "study__created_at", label=_("Received"),
        widget=filters.widgets.DateRangeWidget(attrs={"type": "date"}),
    )  # fmt: skip
    repeats = filters.ChoiceFilter(
        choices=REPEATS, label=_("Repeat studies"), method="by_repeats",
        empty_label=_("All studies"),
    )  # fmt: skip

    class Meta:
        model = Result
        fields: tuple[str, ...] = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        there = self.queryset.order_by()
        vendors = there.values_list("study__manufacturer", flat=True).distinct()
        self.filters["vendor"].extra["choices"] = [(name, name) for name in sorted(vendors) if name]
        engines = there.values_list("engine", "engine_version").distinct()
        self.filters["engine"].extra["choices"] = [
            (f"{name} {version}", f"{name} {version}") for name, version in sorted(engines)
        ]
        self.filters["trust"].queryset = Trust.objects.filter(pk__in=there.values("study__trust"))

    def by_field(self, queryset: QuerySet[Result], name: str, values: list[str]) -> Any:
        """Scanners round: 1.494 is 1.5."""
        chosen = Q()
        for value in values:
            chosen |= Q(
                study__field_t__gte=0.9 * float(value), study__field_t__lte=1.1 * float(value)
            )
        return queryset.filter(chosen)

    def by_engine(self, queryset: QuerySet[Result], name: str, values: list[str]) -> Any:
        chosen = Q()
        for value in values:
            engine, _space, version = value.rpartition(" ")
            chosen |= Q(engine=engine, engine_version=version)
        return queryset.filter(chosen)

    def by_repeats(self, queryset: QuerySet[Result], name: str, value: str) -> Any:
        """Of one patient in one trust: pseudonyms are made by patient and site."""
        if not value:
            return queryset
        same = self.queryset.filter(
            study__trust=OuterRef("study__trust"),
            study__patient_pseudonym=OuterRef("study__patient_pseudonym"),
        ).exclude(study__patient_pseudonym="")
        if value == "repeated":
            return queryset.filter(Exists(same.exclude(pk=OuterRef("pk"))))
        earlier = same.filter(
            Q(study__study_date__lt=OuterRef("study__study_date"))
            | Q(study__study_date=OuterRef("study__study_date"), study__lt=OuterRef("study"))
        )
        return queryset.exclude(Exists(earlier))


def chosen(data: QueryDict | Mapping[str, list[str]], base: QuerySet[Result]) -> CohortFilter:
    """The filters in ``data``, over ``base``."""
    if not isinstance(data, QueryDict):
        query = QueryDict(mutable=True)
        for name, values in data.items():
            query.setlist(name, values)
        data = query
    return CohortFilter(data, queryset=base)


def definition(data: QueryDict) -> dict[str, list[str]]:
    """What of a query is filters, in a fixed order: the same choice is the same definition."""
    names = set(CohortFilter(QueryDict(), queryset=Result.objects.none()).form.fields)
    found = {}
    for name in sorted(data):
        if name in names or name.rpartition("_")[0] in names:
            values = sorted(value.strip() for value in data.getlist(name) if value.strip())
            if values:
                found[name] = values
    return found


# --- counts -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Bin:
    """From ``low`` up to, not including, ``high``; ``count`` is None where it is below five."""

    low: float
    high: float
    count: int | None


@dataclass(frozen=True)
class Histogram:
    name: str
    label: Any
    bins: tuple[Bin, ...]


#: Name of the filter, lookup, edges of the bins.
SPREADS: tuple[tuple[str, str, tuple[float, ...]], ...] = (
    ("stress_mbf", "stress_mbf", tuple(0.5 * step for step in range(11))),
    ("rest_mbf", "rest_mbf", tuple(0.25 * step for step in range(9))),
    ("reserve", "reserve", tuple(0.5 * step for step in range(11))),
    ("endo_epi", "endo_epi", tuple(round(0.4 + 0.15 * step, 2) for step in range(9))),
    ("age", "study__patient_age", tuple(float(edge) for edge in range(10, 100, 10))),
)


def told(count: int) -> int | None:
    """A count as it may be told: None where it is below five, and zero is zero."""
    return count if count == 0 or count >= LEAST else None


def counts(found: QuerySet[Result]) -> tuple[dict[str, Any], tuple[Histogram, ...]]:
    """How many studies, patients and trusts, and the spread of each figure, in one query."""
    asked: dict[str, Any] = {
        "studies": Count("pk"),
        "patients": Count("study__patient_pseudonym", distinct=True),
        "trusts": Count("study__trust", distinct=True),
    }
    for name, lookup, edges in SPREADS:
        for number, (low, high) in enumerate(pairwise(edges)):
            within = Q(**{f"{lookup}__gte": low, f"{lookup}__lt": high})
            asked[f"{name}_{number}"] = Count("pk", filter=within)
    got = found.order_by().aggregate(**asked)
    labels = CohortFilter.base_filters
    histograms = tuple(
        Histogram(
            name,
            labels[name].label,
            tuple(
                Bin(low, high, told(got[f"{name}_{number}"]))
                for number, (low, high) in enumerate(pairwise(edges))
            ),
        )
        for name, _lookup, edges in SPREADS
    )
    whole = {name: told(got[name]) for name in ("studies", "patients")}
    # How many trusts is no secret: they are named on the page.
    return {**whole, "trusts": got["trusts"]}, histograms


def left_out(project: Project) -> dict[str, int | None]:
    """Studies with a result of the trusts that joined, which may not be used, by why."""
    joined = project.trusts.filter(state="allowed").values("trust")
    with_result = Study.objects.filter(trust__in=joined, results__is_newest=True)
    patient = with_result.filter(research_consent__in=("not_given", "opted_out")).count()
    trust = with_result.filter(research_permission=False).count() - patient
    return {"patient": told(patient), "trust": told(trust)}

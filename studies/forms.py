"""Forms about studies; the rules they ask for live in the services."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext as now
from django.utils.translation import gettext_lazy as _

from accounts.models import Trust, User
from studies import comments, projects, questions, sharing
from studies.corrections import FIELDS
from studies.models import Answer, Erasure, Project, Series, Study
from studies.models.studies import Level, State
from studies.segments import AHA_NAMES


class DayField(forms.DateField):
    """A day, written as people write it."""

    def __init__(self, **options: Any) -> None:
        # No date picker of the browser's: Chromium's keeps the tab key to itself.
        box = forms.DateInput(
            attrs={"inputmode": "numeric", "autocomplete": "off"}, format="%d/%m/%Y"
        )
        formats = ["%d/%m/%Y", "%d.%m.%Y", "%Y-%m-%d", "%d %B %Y", "%d %b %Y"]
        super().__init__(widget=box, input_formats=formats, **options)


class PatientNumberForm(forms.Form):
    number = forms.CharField(
        label=_("Find a patient’s studies by local number"),
        max_length=64,
        error_messages={"required": _("Enter the patient’s local number, as your hospital has it")},
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )


class ShareForm(forms.Form):
    to_trust = forms.ModelChoiceField(
        label=_("Trust"),
        queryset=Trust.objects.none(),
        required=False,
        empty_label=_("Choose a trust"),
        help_text=_("All consultants of this trust will see the study."),
    )
    to_email = forms.EmailField(label=_("Or one colleague's work email address"), required=False)
    reason = forms.CharField(
        label=_("Why you share it"),
        max_length=300,
        help_text=_("Recorded with the share. Do not name the patient."),
    )
    days = forms.IntegerField(
        label=_("For how many days"),
        initial=sharing.DEFAULT_DAYS,
        min_value=1,
        max_value=sharing.MOST_DAYS,
    )
    may_download = forms.BooleanField(
        label=_("They may download images and results"), required=False, initial=True
    )

    may_comment = forms.BooleanField(
        label=_("They may comment on it"), required=False, initial=True
    )
    may_run = forms.BooleanField(
        label=_("They may analyse it again, and draw outlines for that"),
        required=False,
        help_text=_("What they get stays with the study, for your trust to see."),
    )
    question = forms.CharField(
        label=_("A question to them"),
        required=False,
        max_length=2000,
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text=_("It waits in their list; their signed answer comes back to you and stands in "
                    "the report. Do not name the patient."),
    )  # fmt: skip
    due_on = DayField(
        label=_("Answer wanted by"),
        required=False,
        help_text=_("Day/month/year, for example 31/3/2027."),
        error_messages={
            "invalid": _("Answer wanted by: this is no date. Give it as day/month/year, 31/3/2027.")
        },
    )

    def __init__(self, *args: Any, study: Study, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.study = study
        trusts = study.trust.partners if study.trust.partners_only else Trust.objects
        choice = self.fields["to_trust"]
        choice.queryset = trusts.exclude(pk=study.trust_id)  # type: ignore[attr-defined]
        partners = {trust.pk for trust in study.trust.partners.all()}
        if partners and not study.trust.partners_only:
            choice.choices = _partners_first(choice.choices, partners)  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        email = data.get("to_email")
        if bool(data.get("to_trust")) == bool(email) and not self.errors:
            self.add_error("to_trust", _("Choose a trust, or give one colleague's address."))
        data["to_user"] = None
        if email and not self.errors:
            data["to_user"] = self._colleague(email)
        return data

    def _colleague(self, email: str) -> User | None:
        """An address that is not a reader's gets one answer, whoever it belongs to."""
        user = User.objects.filter(email=email.lower()).first()
        if user is None or not user.can("read_studies"):
            self.add_error(
                "to_email",
                _("No consultant on CoreCMR has this address. Check it, or choose a trust."),
            )
            return None
        return user


def _partners_first(
    choices: Iterable[tuple[Any, Any]], partners: set[int]
) -> list[tuple[Any, Any]]:
    """The choices of a list of trusts in two groups, below the one for none."""
    empty, *trusts = [(getattr(value, "value", value), name) for value, name in choices]
    return [
        empty,
        (_("Partner trusts"), [one for one in trusts if one[0] in partners]),
        (_("Other trusts"), [one for one in trusts if one[0] not in partners]),
    ]


class SeriesForm(forms.Form):
    """What each series of a study is: as it was understood, or as a person corrects it."""

    def __init__(self, *args: Any, series: Iterable[Series], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.series = [one for one in series if one.role != Series.Role.MAP]
        for number, one in enumerate(self.series, start=1):
            named = _("series %(number)d") % {"number": number}
            levels = list(Level.choices)
            if not one.level:
                levels.insert(0, ("", _("Not known")))
            self._choice(one, "state", _("State of %(series)s") % {"series": named}, State.choices)
            self._choice(one, "level", _("Slice of %(series)s") % {"series": named}, levels)
            self._choice(one, "role", _("Use of %(series)s") % {"series": named}, _ROLES)

    def _choice(self, one: Series, name: str, label: str, choices: Any) -> None:
        self.fields[f"{one.public_id}-{name}"] = forms.ChoiceField(
            label=label, choices=choices, initial=getattr(one, name), required=False
        )

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        used = {data.get(f"{one.public_id}-role") or one.role for one in self.series}
        if not self.errors and Series.Role.PERFUSION not in used:
            first = f"{self.series[0].public_id}-role" if self.series else None
            self.add_error(
                first, now("No series would be left to analyse. Use at least one as perfusion.")
            )
        return data

    def said(self) -> dict[str, dict[str, str]]:
        """State, level and role by the series' public id, from a form that is valid."""
        return {
            one.public_id: {
                name: self.cleaned_data.get(f"{one.public_id}-{name}", "") for name in FIELDS
            }
            for one in self.series
        }

    def rows(self) -> list[dict[str, Any]]:
        """For the page: each series with its three boxes."""
        return [
            {"series": one, **{name: self[f"{one.public_id}-{name}"] for name in FIELDS}}
            for one in self.series
        ]


_ROLES = [choice for choice in Series.Role.choices if choice[0] != Series.Role.MAP]


class ResearchExportForm(forms.Form):
    """What of a cohort is exported, and for what; the filters themselves stand in the address."""

    project = forms.ModelChoiceField(
        label=_("Project"),
        queryset=Project.objects.none(),
        to_field_name="public_id",
        empty_label=_("Choose a project"),
        help_text=_("Studies get pseudonyms that are this project’s alone."),
    )
    level = forms.ChoiceField(
        label=_("One row for each"),
        choices=[
            ("segment", _("AHA segment of each series")),
            ("slice", _("Slice")),
            ("study", _("Study")),
        ],
        initial="segment",
        widget=forms.RadioSelect,
    )
    contents = forms.ChoiceField(
        label=_("What you get"),
        choices=[
            ("csv", _("The table alone, as CSV")),
            ("table", _("A package: table, data dictionary, checksums, citation")),
            ("maps", _("The package with flow at each pixel, as arrays")),
            ("dicom", _("The package with images and results as DICOM")),
        ],
        initial="csv",
        widget=forms.RadioSelect,
    )
    purpose = forms.CharField(
        label=_("What the data is for"),
        max_length=300,
        help_text=_("For example the analysis and its ethics reference. It is recorded."),
    )

    def __init__(self, *args: Any, by: User, **kwargs: Any) -> None:
        kwargs.setdefault("auto_id", "export_%s")  # two forms stand on one page
        super().__init__(*args, **kwargs)
        open_ones = projects.of_member(by).filter(closed_at=None, ends_on__gte=timezone.localdate())
        self.fields["project"].queryset = open_ones  # type: ignore[attr-defined]


class AnswerForm(forms.Form):
    """The structured answer to a question that came with a share."""

    quality = forms.ChoiceField(
        label=_("Quality of the images"), choices=Answer.Quality.choices, widget=forms.RadioSelect
    )
    finding = forms.ChoiceField(
        label=_("What you see"), choices=Answer.Finding.choices, widget=forms.RadioSelect
    )
    segments = forms.TypedMultipleChoiceField(
        label=_("Segments that it concerns"),
        coerce=int,
        required=False,
        choices=[(number, f"{number} {name}") for number, name in AHA_NAMES.items()],
        widget=forms.CheckboxSelectMultiple,
    )
    text = forms.CharField(
        label=_("In your words"),
        required=False,
        max_length=questions.MOST_CHARACTERS,
        widget=forms.Textarea(attrs={"rows": 6}),
        help_text=_("It stands in the report under your name and your trust’s."),
    )


class CommentForm(forms.Form):
    """A comment, with the place that it is pinned to and the people it calls."""

    text = forms.CharField(
        label=_("Comment"),
        max_length=comments.MOST_CHARACTERS,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=_("Everybody who sees the study reads it. Do not name the patient."),
        error_messages={"required": _("Comment: it is empty. Write it, or leave it.")},
    )
    tell = forms.MultipleChoiceField(
        label=_("Call by name"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=_("They are told in the portal."),
    )
    folder = forms.CharField(required=False, max_length=64, widget=forms.HiddenInput)
    frame = forms.IntegerField(required=False, min_value=0, widget=forms.HiddenInput)
    row = forms.IntegerField(required=False, min_value=0, widget=forms.HiddenInput)
    column = forms.IntegerField(required=False, min_value=0, widget=forms.HiddenInput)
    segment = forms.IntegerField(
        required=False, min_value=1, max_value=16, widget=forms.HiddenInput
    )
    result_number = forms.IntegerField(required=False, min_value=1, widget=forms.HiddenInput)

    def __init__(self, *args: Any, people: Iterable[User], **kwargs: Any) -> None:
        kwargs.setdefault("auto_id", "comment_%s")
        super().__init__(*args, **kwargs)
        self.people = {one.public_id: one for one in people}
        choices = [(key, str(one)) for key, one in self.people.items()]
        if choices:
            self.fields["tell"].choices = choices  # type: ignore[attr-defined]
        else:
            del self.fields["tell"]

    @property
    def told(self) -> list[User]:
        return [self.people[key] for key in self.cleaned_data.get("tell", [])]


class CohortForm(forms.Form):
    """A cohort's name, as it is kept in a project."""

    project = forms.ModelChoiceField(
        label=_("Project"),
        queryset=Project.objects.none(),
        to_field_name="public_id",
        empty_label=_("Choose a project"),
    )
    name = forms.CharField(
        label=_("Name of the cohort"),
        max_length=120,
        help_text=_("The same name again makes its next version."),
    )

    def __init__(self, *args: Any, by: User, **kwargs: Any) -> None:
        kwargs.setdefault("auto_id", "cohort_%s")
        super().__init__(*args, **kwargs)
        mine = projects.of_member(by)
        self.fields["project"].queryset = mine  # type: ignore[attr-defined]


class ProjectForm(forms.Form):
    """A new research project."""

    name = forms.CharField(label=_("Name of the project"), max_length=120)
    purpose = forms.CharField(
        label=_("Purpose"),
        max_length=2000,
        widget=forms.Textarea,
        help_text=_("The question, and which values it takes. Trusts decide by it."),
    )
    ethics_number = forms.CharField(
        label=_("Ethics approval"),
        max_length=60,
        help_text=_("For example REC 24/LO/0123, or why none is needed."),
    )
    ends_on = forms.DateField(
        label=_("Ends on"),
        help_text=_("After this day nothing is counted or exported; at most five years from now."),
        widget=forms.DateInput(attrs={"type": "date"}),
    )
    wanted = forms.IntegerField(label=_("How many studies it wants"), min_value=0, required=False)
    trusts = forms.ModelMultipleChoiceField(
        label=_("Trusts to ask"),
        queryset=Trust.objects.filter(research_allowed=True),
        to_field_name="public_id",
        widget=forms.CheckboxSelectMultiple,
        help_text=_("Each decides for itself. Only trusts that allow research are listed."),
    )

    def clean_ends_on(self) -> date:
        day: date = self.cleaned_data["ends_on"]
        today = timezone.localdate()
        if not today < day <= today + timedelta(days=5 * 366):
            raise forms.ValidationError(_("Give a day after today, within five years."))
        return day


class MemberForm(forms.Form):
    email = forms.EmailField(label=_("Work email address of the researcher"))


class LookupForm(forms.Form):
    reference = forms.CharField(
        label=_("Reference of a study"),
        max_length=20,
        help_text=_("Seven letters and digits, for example as said on the telephone."),
    )


class ErasureForm(forms.Form):
    reason = forms.ChoiceField(
        label=_("Why it is to be erased"),
        choices=[one for one in Erasure.Reason.choices if one[0] not in Erasure.BY_THE_SITE],
        widget=forms.RadioSelect,
    )


class HoldForm(forms.Form):
    reason = forms.CharField(
        label=_("Why the study must be kept"),
        max_length=300,
        help_text=_("Shown to your trust while the hold lasts. Do not name the patient."),
    )

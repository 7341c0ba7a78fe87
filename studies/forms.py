"""Forms about studies; the rules they ask for live in the services."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from accounts.models import Trust, User
from studies import sharing
from studies.models import Erasure, Study


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

    may_run = forms.BooleanField(
        label=_("They may analyse it again"),
        required=False,
        help_text=_("What they get stays with the study, for your trust to see."),
    )

    def __init__(self, *args: Any, study: Study, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.study = study
        self.fields["to_trust"].queryset = Trust.objects.exclude(  # type: ignore[attr-defined]
            pk=study.trust_id
        )

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


class ResearchExportForm(forms.Form):
    purpose = forms.CharField(
        label=_("What the data is for"),
        max_length=300,
        help_text=_("For example the study's name and its ethics reference. It is recorded."),
    )


class LookupForm(forms.Form):
    reference = forms.CharField(
        label=_("Reference of a study"),
        max_length=20,
        help_text=_("Seven letters and digits, for example as said on the telephone."),
    )


class ErasureForm(forms.Form):
    reason = forms.ChoiceField(
        label=_("Why it is to be erased"),
        choices=[one for one in Erasure.Reason.choices if one[0] != Erasure.Reason.RETENTION],
        widget=forms.RadioSelect,
    )


class HoldForm(forms.Form):
    reason = forms.CharField(
        label=_("Why the study must be kept"),
        max_length=300,
        help_text=_("Shown to your trust while the hold lasts. Do not name the patient."),
    )

"""The part of the registration form that is ours; allauth adds e-mail and password."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from django.http import HttpRequest

    from accounts.models import Trust, User


class RegistrationForm(forms.Form):
    """allauth loads this class before the models are ready, so it imports them when used."""

    name = forms.CharField(label=_("Full name"), max_length=120)
    trust: forms.ModelChoiceField[Trust] = forms.ModelChoiceField(
        label=_("Your trust"), queryset=None, empty_label=_("Choose your trust")
    )
    role = forms.ChoiceField(label=_("What you need"), widget=forms.RadioSelect)
    accept_terms = forms.BooleanField(
        label=_("I accept the terms and conditions"),
        error_messages={"required": _("You must accept the terms and conditions to register.")},
    )
    accept_privacy = forms.BooleanField(
        label=_("I have read and accept the privacy policy"),
        error_messages={"required": _("You must accept the privacy policy to register.")},
    )
    field_order = (
        "name", "email", "password1", "password2", "trust", "role", "accept_terms",
        "accept_privacy",
    )  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        from accounts.models import Trust
        from accounts.roles import REQUESTABLE

        self.fields["trust"].queryset = Trust.objects.all()  # type: ignore[attr-defined]
        self.fields["role"].choices = [  # type: ignore[attr-defined]
            (role.value, role.label) for role in REQUESTABLE
        ]

    def signup(self, request: HttpRequest, user: User) -> None:
        from accounts.registration import register

        data = self.cleaned_data
        register(user, name=data["name"], trust=data["trust"], role=data["role"])

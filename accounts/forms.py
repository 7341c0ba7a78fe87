"""Forms of people: registering, inviting, a person's own settings, register of interest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from zoneinfo import available_timezones

from allauth.core import context
from django import forms
from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from django.http import HttpRequest

    from accounts.models import Trust, User

#: Where the invitation that somebody followed waits for the form.
INVITATION_KEY = "invitation"
_UNPROVEN = _(
    "The check against automatic registrations was not finished. Press Register again; it takes a "
    "few seconds, and your browser must run JavaScript."
)


class RegistrationForm(forms.Form):
    """The part of the registration form that is ours; allauth adds e-mail and password.

    allauth loads this class before the models are ready, so it imports them when used.
    """

    name = forms.CharField(
        label=_("Full name"), max_length=120, widget=forms.TextInput({"autocomplete": "name"})
    )
    trust: forms.ModelChoiceField[Trust] = forms.ModelChoiceField(
        label=_("Your trust"),
        queryset=None,
        required=False,
        empty_label=_("Recognise it by my email address"),
    )
    role = forms.ChoiceField(label=_("What you need"), widget=forms.RadioSelect)
    professional_number = forms.CharField(
        label=_("Professional number"),
        required=False,
        max_length=20,
        help_text=_("Of the GMC, HCPC or NMC, if you have one. It helps to tell who you are."),
    )
    accept_terms = forms.BooleanField(
        label=_("I accept the terms and conditions"),
        error_messages={"required": _("You must accept the terms and conditions to register.")},
    )
    accept_privacy = forms.BooleanField(
        label=_("I have read and accept the privacy policy"),
        error_messages={"required": _("You must accept the privacy policy to register.")},
    )
    field_order = (
        "name", "email", "password1", "password2", "trust", "role", "professional_number",
        "accept_terms", "accept_privacy",
    )  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        from accounts import invitations, proof
        from accounts.models import Trust
        from accounts.roles import REQUESTABLE

        # It is optional for those alone whose address tells it, which clean() sees to.
        self.fields["trust"].optional_is_said = True  # type: ignore[attr-defined]
        self.fields["trust"].queryset = Trust.objects.all()  # type: ignore[attr-defined]
        self.fields["role"].choices = [  # type: ignore[attr-defined]
            (role.value, role.label) for role in REQUESTABLE
        ]
        token = context.request.session.get(INVITATION_KEY, "")
        self.invitation = invitations.read(token) if token else None
        if proof.is_asked():
            self.fields["proof"] = forms.CharField(required=False, widget=forms.HiddenInput)
            self.puzzle = proof.puzzle()
        if self.invitation:
            self.initial["email"] = self.invitation.email
            self.initial["role"] = self.invitation.role
            if self.invitation.trust:
                self.initial["trust"] = self.invitation.trust.pk

    def clean(self) -> dict[str, Any]:
        from accounts import proof
        from accounts.models import Trust

        data: dict[str, Any] = super().clean() or self.cleaned_data
        if "trust" in data and data["trust"] is None:
            data["trust"] = Trust.of_address(str(data.get("email", "")))
            if data["trust"] is None:
                self.add_error("trust", _("Choose your trust. Your address does not tell it."))
        if "proof" in self.fields and not self.errors and not proof.accept(data["proof"]):
            self.add_error(None, _UNPROVEN)
        return data

    def signup(self, request: HttpRequest, user: User) -> None:
        from accounts.registration import register

        data = self.cleaned_data
        invited = self.invitation and self.invitation.email.lower() == data["email"].lower()
        register(
            user,
            name=data["name"],
            trust=data["trust"],
            role=data["role"],
            professional_number=data["professional_number"],
            invited_by=self.invitation.by if self.invitation and invited else None,
        )
        request.session.pop(INVITATION_KEY, None)


class InvitationForm(forms.Form):
    email = forms.EmailField(label=_("Email address of your colleague"))
    role = forms.ChoiceField(label=_("What your colleague needs"), widget=forms.RadioSelect)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        from accounts.roles import REQUESTABLE

        self.fields["role"].choices = [  # type: ignore[attr-defined]
            (role.value, role.label) for role in REQUESTABLE
        ]


class ConsentForm(forms.Form):
    accept = forms.BooleanField(
        label=_("I have read and accept them"),
        error_messages={"required": _("You must accept them to go on.")},
    )


class ProfileForm(forms.Form):
    """What somebody says of themselves, and what of it colleagues see."""

    name = forms.CharField(label=_("Full name"), max_length=120)
    professional_number = forms.CharField(
        label=_("Professional number"), required=False, max_length=20
    )
    telephone = forms.CharField(label=_("Telephone"), required=False, max_length=40)
    in_directory = forms.BooleanField(
        label=_("Show my name, trust and role in the directory of colleagues"), required=False
    )
    shows_email = forms.BooleanField(label=_("Show my email address there"), required=False)
    shows_telephone = forms.BooleanField(label=_("Show my telephone number there"), required=False)
    time_zone = forms.ChoiceField(label=_("Time zone"))
    mail_when_waiting = forms.BooleanField(
        label=_("Email me when somebody waits for approval"), required=False
    )
    mail_digest = forms.BooleanField(
        label=_("Email me once a day what is new, if anything is"), required=False
    )

    def __init__(self, data: Any = None, *, user: User) -> None:
        self.user = user
        names = [name for name in type(self).base_fields if hasattr(user, name)]
        initial = {name: getattr(user, name) for name in names}
        super().__init__(data, initial=initial)
        zones = sorted(zone for zone in available_timezones() if _is_a_place(zone))
        self.fields["time_zone"].choices = [  # type: ignore[attr-defined]
            (zone, zone.replace("_", " ")) for zone in zones
        ]
        if not user.is_staff:
            del self.fields["mail_when_waiting"]
        for field in self.fields.values():
            if isinstance(field, forms.BooleanField):
                field.optional_is_said = True  # type: ignore[attr-defined]

    def save(self) -> list[str]:
        """Keep what changed; gives the names of the fields."""
        changed = [name for name in self.changed_data if name in self.fields]
        for name in changed:
            setattr(self.user, name, self.cleaned_data[name])
        if changed:
            self.user.save(update_fields=changed)
        return changed


def _is_a_place(zone: str) -> bool:
    old = ("Etc/", "SystemV/", "US/", "Canada/", "posix/", "right/")
    return zone == "UTC" or ("/" in zone and not zone.startswith(old))


class CloseAccountForm(forms.Form):
    password = forms.CharField(
        label=_("Your password"),
        strip=False,
        widget=forms.PasswordInput({"autocomplete": "current-password"}),
    )
    understood = forms.BooleanField(
        label=_("I understand that this cannot be undone"),
        error_messages={"required": _("Say that you understand this.")},
    )


class DirectorySearchForm(forms.Form):
    q = forms.CharField(label=_("Name or trust"), required=False, max_length=100)


class InterestForm(forms.Form):
    """From a visitor; the address is asked for so that somebody can answer."""

    name = forms.CharField(
        label=_("Full name"), max_length=120, widget=forms.TextInput({"autocomplete": "name"})
    )
    email = forms.EmailField(
        label=_("Work email"), widget=forms.EmailInput({"autocomplete": "email"})
    )
    organisation = forms.CharField(
        label=_("Trust or organisation"),
        max_length=120,
        widget=forms.TextInput({"autocomplete": "organization"}),
    )


class FeedbackForm(forms.Form):
    """From somebody who is signed in, to the administrators of the site."""

    text = forms.CharField(
        label=_("Your message"),
        max_length=4000,
        widget=forms.Textarea(attrs={"rows": 6}),
        error_messages={"required": _("Your message: it is empty. Write it, or leave this page.")},
    )


class ApiKeyForm(forms.Form):
    """A new key for a program."""

    name = forms.CharField(
        label=_("What the key is for"),
        max_length=60,
        help_text=_("For example the program that uses it, and where it runs."),
    )
    scopes = forms.MultipleChoiceField(
        label=_("What it may do"), widget=forms.CheckboxSelectMultiple, choices=()
    )
    days = forms.IntegerField(label=_("For how many days"), initial=90, min_value=1, max_value=365)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        from accounts.models import ApiToken

        self.fields["scopes"].choices = ApiToken.Scope.choices  # type: ignore[attr-defined]

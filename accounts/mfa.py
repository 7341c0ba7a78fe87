"""The second factor: whether somebody has one, and its secrets, encrypted where they are kept."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from allauth.mfa import app_settings
from allauth.mfa.adapter import DefaultMFAAdapter, get_adapter
from allauth.mfa.base.forms import AuthenticateForm, ReauthenticateForm
from allauth.mfa.models import Authenticator
from allauth.mfa.webauthn.forms import LoginWebAuthnForm
from allauth.mfa.webauthn.internal import auth as webauthn
from cryptography.fernet import Fernet, MultiFernet
from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.core.cache import cache
from django.utils.translation import gettext as _

from accounts.models import User


class MFAAdapter(DefaultMFAAdapter):
    """Secrets of authenticator apps and recovery codes are useless without the site's key."""

    def encrypt(self, text: str) -> str:
        return _cipher().encrypt(text.encode()).decode()

    def decrypt(self, encrypted_text: str) -> str:
        return _cipher().decrypt(encrypted_text.encode()).decode()

    def generate_authenticator_name(self, user: AbstractBaseUser, type: Authenticator.Type) -> str:
        """What the form suggests as the name of one more passkey."""
        number = Authenticator.objects.filter(user_id=user.pk, type=type).count() + 1
        return _("Passkey {number}").format(number=number)

    def get_public_key_credential_user_entity(self, user: AbstractBaseUser) -> dict[str, Any]:
        """What a device keeps of its owner: the public id, for primary keys stay on the server."""
        entity: dict[str, Any] = super().get_public_key_credential_user_entity(user)
        return {**entity, "id": user.public_id.encode()}  # type: ignore[attr-defined]


def _cipher() -> MultiFernet:
    """The first key encrypts; earlier ones still open what they closed."""
    keys = [settings.MFA_KEY, *settings.MFA_KEY_FALLBACKS]
    digests = (hashlib.sha256(b"corecmr mfa " + key.encode()).digest() for key in keys)
    return MultiFernet([Fernet(base64.urlsafe_b64encode(digest)) for digest in digests])


def is_required(user: User | AnonymousUser) -> bool:
    """Whether ``user`` must have a second factor: the site asks for it, or a trust of theirs."""
    if not isinstance(user, User):
        return False
    return settings.REQUIRE_MFA or any(one.trust and one.trust.require_mfa for one in user.held)


def is_missing(user: User | AnonymousUser) -> bool:
    """Whether the site or a trust of theirs asks for a second factor that ``user`` lacks."""
    if not is_required(user):
        return False
    factors = [Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN]
    return not Authenticator.objects.filter(user=user, type__in=factors).exists()


class PasskeyLoginForm(LoginWebAuthnForm):
    """Signing in by a passkey alone. Nothing is counted by account: nobody can be locked out."""

    def clean_credential(self) -> Authenticator:
        credential = self.cleaned_data["credential"]
        webauthn.parse_authentication_response(credential)
        try:
            handle = base64.urlsafe_b64decode(credential["response"]["userHandle"] + "==").decode()
        except (ValueError, TypeError, KeyError):
            raise get_adapter().validation_error("incorrect_code") from None
        user = User.objects.filter(public_id=handle).first()
        if user is None:
            raise get_adapter().validation_error("incorrect_code")
        return webauthn.complete_authentication(user, credential)


class _OnceMixin:
    """A code opens once, for as long as it is taken at all."""

    def clean_code(self) -> str:
        code: str = super().clean_code()  # type: ignore[misc]
        seconds = app_settings.TOTP_PERIOD * (2 * settings.MFA_TOTP_TOLERANCE + 1)
        seen = hashlib.sha256(f"{self.user.pk} {code}".encode()).hexdigest()  # type: ignore[attr-defined]
        if not cache.add(f"mfa-code:{seen}", "used", timeout=seconds):
            raise get_adapter().validation_error("incorrect_code")
        return code


class AuthenticateOnceForm(_OnceMixin, AuthenticateForm):
    """The second step of signing in."""


class ReauthenticateOnceForm(_OnceMixin, ReauthenticateForm):
    """The same person once more, before something that matters."""

"""Public identifiers: unguessable ids for addresses, and a short reference for people to say."""

from __future__ import annotations

import secrets

from django.db import models
from django.urls import register_converter

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_ALPHANUMERIC = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
PUBLIC_ID_LENGTH = 26
REFERENCE_LENGTH = 7


def new_public_id() -> str:
    """128 random bits as 26 characters of Crockford's base 32, lower case."""
    value = int.from_bytes(secrets.token_bytes(16))
    digits = []
    for _ in range(PUBLIC_ID_LENGTH):
        value, digit = divmod(value, 32)
        digits.append(_CROCKFORD[digit])
    return "".join(reversed(digits)).lower()


def check_character(text: str) -> str:
    """The check character of ISO 7064 Mod 37,36: finds every single wrong character.

    Of swapped neighbours it finds all but one in 600.
    """
    product = 36
    for character in text:
        total = (product + _ALPHANUMERIC.index(character)) % 36 or 36
        product = total * 2 % 37
    return _ALPHANUMERIC[(37 - product) % 36]


def new_reference() -> str:
    """Six speakable characters and their check character. A finder, never a key.

    None is given out in which a swap of neighbours would go unnoticed.
    """
    while True:
        body = "".join(secrets.choice(_CROCKFORD) for _ in range(REFERENCE_LENGTH - 1))
        reference = body + check_character(body)
        if not any(is_reference(swapped) for swapped in _swaps(reference)):
            return reference


def is_reference(text: str) -> bool:
    """Whether the check character of ``text`` is right."""
    return check_character(text[:-1]) == text[-1]


#: What people write for characters that a reference does not have.
_MEANT = str.maketrans({"O": "0", "I": "1", "L": "1"})


def clean_reference(text: str) -> str:
    """``text`` as a reference is written, or "" where it cannot be one."""
    text = text.strip().upper()[:20]
    # The check character may be any letter, so only what stands before it is corrected.
    body = text.replace(" ", "").replace("-", "")
    body = body[: REFERENCE_LENGTH - 1].translate(_MEANT) + body[REFERENCE_LENGTH - 1 :]
    known = len(body) == REFERENCE_LENGTH and all(one in _ALPHANUMERIC for one in body)
    return body if known and is_reference(body) else ""


def _swaps(text: str) -> list[str]:
    """``text`` with each pair of differing neighbours swapped."""
    return [
        text[:place] + text[place + 1] + text[place] + text[place + 2 :]
        for place in range(len(text) - 1)
        if text[place] != text[place + 1]
    ]


class PublicIdField(models.CharField):
    """The id of a row in addresses and in the audit; the primary key never leaves the server."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        kwargs.setdefault("max_length", PUBLIC_ID_LENGTH)
        kwargs.setdefault("default", new_public_id)
        kwargs.setdefault("unique", True)
        kwargs.setdefault("editable", False)
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]


class PublicIdConverter:
    """For URL patterns: ``<public_id:id>`` matches only what could be one of our ids."""

    regex = "[0-9a-hjkmnp-tv-z]{26}"

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


register_converter(PublicIdConverter, "public_id")

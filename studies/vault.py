"""Bytes that only this site can read: sealed with AES-256-GCM under keys from the environment.

The first key of ``IDENTITY_KEYS`` seals, each of them opens, so that a key can be changed: put the
new one first, run ``manage.py reseal``, then drop the old one. What a thing was sealed for is
part of the seal: a row copied to another study does not open there.
"""

from __future__ import annotations

import secrets
from functools import cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

_VERSION = b"\x01"
_NONCE_BYTES = 12


class CannotOpen(Exception):
    """No key of this site opens it: a key was lost, or the bytes were changed."""


def seal(data: bytes, about: str) -> bytes:
    """``data`` sealed for ``about``, with the first key."""
    nonce = secrets.token_bytes(_NONCE_BYTES)
    key = settings.IDENTITY_KEYS[0]
    return _VERSION + nonce + _cipher(key).encrypt(nonce, data, about.encode())


def unseal(sealed: bytes, about: str) -> bytes:
    """What was sealed for ``about``, by whichever key. Raises CannotOpen."""
    start = len(_VERSION) + _NONCE_BYTES
    if sealed[: len(_VERSION)] == _VERSION and len(sealed) > start:
        nonce, body = sealed[len(_VERSION) : start], sealed[start:]
        for key in settings.IDENTITY_KEYS:
            try:
                return _cipher(key).decrypt(nonce, body, about.encode())
            except InvalidTag:
                continue
    raise CannotOpen


@cache
def _cipher(secret: str) -> AESGCM:
    derived = HKDF(SHA256(), length=32, salt=None, info=b"CoreCMR identities")
    return AESGCM(derived.derive(secret.encode()))

"""Proof of work at registration, where a site asks for it: a puzzle that costs a browser a second.

A flood of registrations then costs its sender processor time; no third party is asked, and nobody
has to read a picture. Off unless ``CORECMR_SIGN_UP_PROOF`` says otherwise.
"""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta

import altcha
from django.conf import settings
from django.core.cache import cache
from django.utils import timezone
from django.utils.crypto import salted_hmac

#: Derivations of about 1 ms each on a laptop; one in 256 begins with the two digits asked for.
ALGORITHM, COST, PREFIX = "PBKDF2/SHA-256", 3000, "00"
#: A person fills the form in at leisure; the puzzle is solved while the page is open.
LASTS = timedelta(hours=1)


def puzzle() -> str:
    """A new puzzle, signed, as JSON for the page."""
    challenge = altcha.create_challenge(
        ALGORITHM, COST, key_prefix=PREFIX, expires_at=timezone.now() + LASTS, hmac_secret=_secret()
    )
    return json.dumps(challenge.to_dict())


def accept(answer: str) -> bool:
    """Whether the puzzle was ours, is fresh and solved; each answer is taken once."""
    try:
        right = altcha.verify_solution(answer, _secret()).verified
    except (ValueError, KeyError, TypeError, AttributeError):
        return False
    if not right:
        return False
    once = json.dumps(altcha.Payload.from_base64(answer).challenge.to_dict(), sort_keys=True)
    key = f"proof:{hashlib.sha256(once.encode()).hexdigest()}"
    return cache.add(key, 1, LASTS.total_seconds())


def is_asked() -> bool:
    return bool(settings.SIGN_UP_PROOF)


def _secret() -> bytes:
    return salted_hmac("corecmr.sign-up-proof", "", algorithm="sha256").digest()

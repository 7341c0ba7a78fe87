"""Why the way in does not take something: sentences for the person who sends."""

from __future__ import annotations


class UploadError(Exception):
    """Files were not taken. ``status`` is the answer that programs get beside the sentence."""

    status = 400


class TooLarge(UploadError):
    """There is no room, by our rules, for so much."""

    status = 413


class NoRoom(UploadError):
    """The disk is full."""

    status = 507

"""Columns that are sealed: in the database and its backups they tell nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import models

from studies import vault

if TYPE_CHECKING:
    _Text = models.Field[str, str]
else:
    _Text = models.Field

_ABOUT = "name of an uploaded file"


class SealedNameField(_Text):
    """The name of a file as its sender knows it, which may name a patient.

    Each value is sealed on its own, so rows cannot be compared by it, but for the empty name.
    A name that no key opens any more reads as empty.
    """

    empty_values: tuple[Any, ...] = (None, "")

    def get_internal_type(self) -> str:
        return "BinaryField"

    def get_db_prep_value(self, value: Any, connection: Any, prepared: bool = False) -> Any:
        return connection.Database.Binary(vault.seal(str(value).encode(), _ABOUT) if value else b"")

    def from_db_value(self, value: Any, *_: Any) -> str:
        if not value:
            return ""
        try:
            return vault.unseal(bytes(value), _ABOUT).decode()
        except vault.CannotOpen:
            return ""

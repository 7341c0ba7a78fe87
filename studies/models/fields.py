"""Columns that are sealed: in the database and its backups they tell nothing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from django.db import models

from studies import vault

if TYPE_CHECKING:
    _Field = models.Field[Any, Any]
    _TextField = models.Field[str, str]
else:
    _Field = _TextField = models.Field


class _Sealed:
    """Each value is sealed on its own, so rows cannot be compared by it, but for empty ones.

    What no key opens any more reads as empty.
    """

    about: str
    nothing: Any

    def get_internal_type(self) -> str:
        return "BinaryField"

    def get_db_prep_value(self, value: Any, connection: Any, prepared: bool = False) -> Any:
        sealed = vault.seal(json.dumps(value).encode(), self.about) if value else b""
        return connection.Database.Binary(sealed)

    def from_db_value(self, value: Any, *_: Any) -> Any:
        if not value:
            return self.nothing
        try:
            return json.loads(vault.unseal(bytes(value), self.about))
        except vault.CannotOpen:
            return self.nothing


class SealedNameField(_Sealed, _TextField):
    """The name of a file as its sender knows it, which may name a patient."""

    about = "name of an uploaded file"
    nothing = ""
    empty_values: tuple[Any, ...] = (None, "")


class SealedListField(_Sealed, _Field):
    """A list of what JSON can tell, in which such names stand."""

    about = "list with names of uploaded files"
    empty_values: tuple[Any, ...] = (None, [])

    @property
    def nothing(self) -> list[Any]:
        return []

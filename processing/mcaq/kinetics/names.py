"""The models' names and units, without their numerics: for those who only choose."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

Unit = Literal["ml/min/g", "relative"]

#: In the order in which they are shown. A relative value is no flow.
UNITS: dict[str, Unit] = {
    "exchange": "ml/min/g",
    "fermi": "ml/min/g",
    "tikhonov": "ml/min/g",
    "two_compartment": "ml/min/g",
    "upslope": "relative",
}
DEFAULT = "exchange"


class UnknownModel(ValueError):
    """A model of that name is not there; the text says which are."""


def is_flow(name: str) -> bool:
    return UNITS[name] == "ml/min/g"


def named(names: object) -> tuple[str, ...]:
    """Names as a list, or joined by commas, or "all"; in the order of ``UNITS``, each once.

    Raises UnknownModel.
    """
    if names is None:
        return ()
    parts = names.split(",") if isinstance(names, str) else names
    if not isinstance(parts, Iterable):
        raise UnknownModel("Name models in a list, joined by commas, or say all.")
    wanted = [str(name).strip() for name in parts]
    if wanted == ["all"]:
        return tuple(UNITS)
    for name in wanted:
        if name not in UNITS:
            raise UnknownModel(
                f"There is no model {name!r}. Choose from {', '.join(UNITS)}, or all."
            )
    return tuple(name for name in UNITS if name in wanted)


def of_flow(name: object) -> str:
    """The model that maps and segments are made with. Raises UnknownModel if it tells no flow."""
    chosen = DEFAULT if name is None else str(name)
    if chosen not in UNITS or not is_flow(chosen):
        flows = ", ".join(name for name in UNITS if is_flow(name))
        raise UnknownModel(f"There is no model of flow {chosen!r}. Choose from {flows}.")
    return chosen

"""Engines and where they are found. This module knows nothing of Django.

An engine turns the series of one study into a result. Ours are built in; others are installed
as packages that name a class under the entry point group ``corecmr.engines``. An engine is
imported only when it is asked for: web and worker processes never load its numerics.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.metadata import entry_points
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Protocol

from studies.object_classes import MR_CLASSES

if TYPE_CHECKING:
    from processing.mcaq.series import Series, StudyResult

ENTRY_POINT_GROUP = "corecmr.engines"
#: Which object classes an engine takes, under the engine's name; read without the engine.
CLASSES_GROUP = "corecmr.object_classes"
_BUILT_IN = {
    "mcaq": "processing.mcaq.engine:Mcaq",
    "mcaq-classic": "processing.mcaq.engine:McaqClassic",
    "mcaq-classic-rddr": "processing.mcaq.engine:McaqClassicRddr",
}

#: Called with the stage's name and the fraction of the whole work that is done.
Progress = Callable[[str, float], None]


class Engine(Protocol):
    """What an engine must offer."""

    name: str
    version: str

    def analyse(
        self, series: Sequence[Series], parameters: Mapping[str, object], progress: Progress
    ) -> StudyResult:
        """Analyse the series of one study.

        A series that cannot be analysed is refused with a sentence in the result;
        an exception is a bug of the engine.
        """


class UnknownEngine(Exception):
    """No engine of that name is installed; the text says which are."""


@cache
def _places() -> dict[str, str]:
    """Where each engine's class lies. A package cannot take the name of a built-in engine."""
    installed = {point.name: point.value for point in entry_points(group=ENTRY_POINT_GROUP)}
    return {**installed, **_BUILT_IN}


def object_classes() -> frozenset[str]:
    """The SOP Class UIDs that one engine or another takes, as ``module:NAME`` of a package says.

    An engine that says nothing takes what MCAQ takes. The module that holds the list must be
    light: it is loaded by the worker that receives uploads.
    """
    said = {point.name: point.value for point in entry_points(group=CLASSES_GROUP)}
    taken = {name: resolve_name(said[name]) for name in _places() if name in said}
    return MR_CLASSES.union(*taken.values())


def engine_names() -> list[str]:
    return sorted(_places())


def get_engine(name: str) -> Engine:
    """The engine called ``name``. Raises UnknownEngine."""
    try:
        place = _places()[name]
    except KeyError:
        installed = ", ".join(engine_names())
        raise UnknownEngine(f"There is no engine {name!r}. Installed: {installed}.") from None
    engine: Engine = resolve_name(place)()
    return engine

"""The figures of a benchmark against what they must reach."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import isnan


@dataclass(frozen=True)
class Figure:
    """One figure. ``reach`` is the least (or most) that counts as good, ``aim`` what is wanted.

    larger_is_better: whether reach and aim are lower bounds. A value that is not known is not a
    number; ``note`` says why, or what else must be said.
    """

    quantity: str
    where: str
    value: float
    reach: float | None = None
    aim: float | None = None
    larger_is_better: bool = False
    note: str = ""

    @property
    def falls_short(self) -> bool:
        return self.reach is not None and not self._meets(self.reach)

    @property
    def verdict(self) -> str:
        if self.aim is not None and self._meets(self.aim):
            return "aim"
        if self.reach is None:
            return ""
        return "SHORT" if self.falls_short else "reach"

    def _meets(self, bound: float) -> bool:
        # A figure that is not a number meets nothing.
        return self.value >= bound if self.larger_is_better else self.value <= bound


def lines(figures: Iterable[Figure]) -> Iterable[str]:
    """The table as text, one figure a line."""
    yield f"{'quantity':<52} {'where':<26} {'value':>9} {'reach':>8} {'aim':>8}"
    for one in figures:
        bounds = [("" if bound is None else f"{bound:g}") for bound in (one.reach, one.aim)]
        value = "–" if isnan(one.value) and one.note else f"{one.value:.3f}"
        yield (
            f"{one.quantity:<52} {one.where:<26} {value:>9} {bounds[0]:>8} {bounds[1]:>8}"
            f"  {one.verdict} {one.note}".rstrip()
        )


def said(what: str) -> None:
    """What is being measured, on one line of the terminal; nothing where there is none."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{what}")
        sys.stderr.flush()


def show(figures: Sequence[Figure]) -> int:
    """Print the table and how many figures fall short; 1 if any does."""
    said("")
    print("\n".join(lines(figures)))
    short = [one for one in figures if one.falls_short]
    if short:
        print(f"{len(short)} of {sum(f.reach is not None for f in figures)} figures fall short.")
    return 1 if short else 0

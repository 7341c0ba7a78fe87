"""CSV text in which no cell can be taken for a formula of a spreadsheet."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator

#: What makes a spreadsheet run a cell, or lets what follows begin a cell of its own.
_FORMULA_STARTS = frozenset("=+-@|%\t\r\n")


class _Echo:
    def write(self, line: str) -> str:
        return line


def csv_lines(rows: Iterable[Iterable[object]]) -> Iterator[str]:
    """The rows as CSV text, a line at a time."""
    writer = csv.writer(_Echo())
    for row in rows:
        yield writer.writerow([_cell(value) for value in row])


def _cell(value: object) -> object:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, str) and value.lstrip(" ")[:1] in _FORMULA_STARTS:
        return "'" + value
    return value

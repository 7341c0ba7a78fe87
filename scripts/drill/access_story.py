"""A hundred random lives of studies of thirty steps each, compared with a model of the rules."""

from __future__ import annotations

from collections.abc import Callable

from scripts.bench.table import Figure

RUNS, STEPS = 100, 30


def measure(said: Callable[[str], None]) -> list[Figure]:
    from scripts.drill.database import scene

    with scene():
        from tests.site import story

        said(f"{RUNS} stories of {STEPS} steps")
        wrong, note = 0, ""
        try:
            story.tell(RUNS, STEPS)
        except AssertionError as error:
            wrong, note = 1, str(error)[:200]
    return [
        Figure("stories in which product and model differ", f"{RUNS} × {STEPS} steps", wrong,
               reach=0, note=note)
    ]  # fmt: skip

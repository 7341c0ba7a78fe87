"""Every address of a study, for every kind of person, in every state of it, by every method."""

from __future__ import annotations

from collections.abc import Callable

from scripts.bench.table import Figure


def measure(said: Callable[[str], None]) -> list[Figure]:
    from scripts.drill.database import scene

    with scene():
        from django.db import transaction
        from django.urls import get_resolver

        from tests.site import matrix
        from tests.site.test_urls import patterns

        bare = matrix.undeclared(set(patterns(get_resolver())))
        total = matrix.Tally()
        with transaction.atomic():
            site = matrix.make_site()
            for number, who in enumerate(matrix.PEOPLE):
                said(f"person {number + 1} of {len(matrix.PEOPLE)}: {who}")
                tally = matrix.go_through(site, people=(who,))
                total.asked += tally.asked
                total.status += tally.status
                total.telling += tally.telling
                total.unrecorded += tally.unrecorded
            transaction.set_rollback(True)
    where = f"{len(matrix.PEOPLE)} people, {len(matrix.STATES)} states"
    return [
        Figure("addresses of a study without a row", "resolver", len(bare), reach=0),
        Figure("requests", where, total.asked, reach=10_000, larger_is_better=True),
        Figure("wrong answers", where, len(total.status), reach=0, note=_first(total.status)),
        Figure("refusals that differ from absence", where, len(total.telling), reach=0,
               note=_first(total.telling)),
        Figure("views and refusals not recorded", where, len(total.unrecorded), reach=0,
               note=_first(total.unrecorded)),
    ]  # fmt: skip


def _first(wrong: list[tuple[object, ...]]) -> str:
    return repr(wrong[0]) if wrong else ""

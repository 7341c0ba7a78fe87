"""The access matrix in its short form; ``make drill-access`` goes through all of it."""

from __future__ import annotations

import pytest
from django.urls import get_resolver

from tests.site import matrix
from tests.site.test_urls import patterns

pytestmark = pytest.mark.django_db


def test_every_address_of_a_study_has_a_row():
    routes = set(patterns(get_resolver()))
    assert matrix.undeclared(routes) == set()
    assert {line.route for line in matrix.TABLE} <= routes
    assert matrix.undeclared({"studies/<public_id:public_id>/new/"})


def test_a_part_of_the_matrix():
    """The kinds of person and the states that differ most; a row and a state is left out nowhere
    where it is decided by the object."""
    site = matrix.make_site()
    tally = matrix.go_through(
        site,
        people=("visitor", "sender", "viewer", "runner", "revoked", "moved away", "researcher"),
        states=("held", "asked", "erased", "absent"),
        methods=("get", "post"),
    )
    assert tally.asked == 7 * 4 * 2 * len(matrix.TABLE)
    assert (tally.status, tally.telling, tally.unrecorded) == ([], [], [])

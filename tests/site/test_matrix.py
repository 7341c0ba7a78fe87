"""The access matrix: who may do what with a study, at every address."""

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


def test_the_whole_matrix():
    """Every address of a study, for every kind of person, in every state of it, by every method."""
    tally = matrix.go_through(matrix.make_site())
    assert tally.asked == 5 * 8 * len(matrix.PEOPLE) * len(matrix.TABLE) > 10_000
    assert (tally.status, tally.telling, tally.unrecorded) == ([], [], [])

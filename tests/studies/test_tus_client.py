"""A real tus client against a real server that is killed in the middle: the drill's short form."""

from __future__ import annotations

from scripts.drill import intake_tus


def test_what_is_stored_is_what_was_sent_though_the_server_was_killed():
    figures = intake_tus.measure(lambda what: None, kills=2, files=4, seed=7)
    assert [f"{one.quantity}: {one.value}" for one in figures if one.falls_short] == []

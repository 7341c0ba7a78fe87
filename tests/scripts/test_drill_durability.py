"""The drill of durability in short: kills at random, a database that is away; nothing lost."""

from __future__ import annotations

from scripts.drill.parts import measured

KILLS = "20"


def test_nothing_is_lost_done_twice_or_half_done(monkeypatch):
    monkeypatch.setenv("DRILL_KILLS", KILLS)
    # Recovery in seconds is printed by the drill; here only counts decide.
    counts = [one for one in measured("durability", "kills") if not one.quantity.endswith(", s")]
    assert len(counts) == 6
    assert counts[0].value == int(KILLS)
    assert [one.quantity for one in counts if one.falls_short] == []


def test_without_a_database_answers_are_clear_and_all_goes_on_by_itself(monkeypatch):
    monkeypatch.setenv("DRILL_OUTAGE", "8")
    figures = [one for one in measured("durability", "outage") if not one.quantity.endswith(", s")]
    assert len(figures) == 5
    assert [one.quantity for one in figures if one.falls_short] == []

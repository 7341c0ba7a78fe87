"""The short form of the drill ``intake_malformed``: some hundred bad files, the whole check."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from scripts.drill import intake_malformed

pytestmark = pytest.mark.django_db


@pytest.fixture
def drill(tmp_path) -> Iterator[intake_malformed.Drill]:
    # Other tests of this session have left files of theirs there.
    before = intake_malformed.left_over()
    yield intake_malformed.Drill(tmp_path, lambda what: None)
    assert intake_malformed.left_over() == before


def test_mutated_files_and_bombs_cost_nothing_but_themselves(drill, tmp_path):
    made = intake_malformed.seeds(tmp_path / "seeds")
    rng = np.random.default_rng(7)
    mutants = [
        (f"{n}-{name}", intake_malformed.mutated_bytes(data, rng))
        for n, (name, data) in enumerate(made * 10)
    ]
    drill.send("mutated", mutants)
    stored = drill.send("bombs", intake_malformed.known_bombs())
    assert stored == 0
    _held(drill)
    assert drill.tally.sent > 150


@pytest.mark.data
def test_malformed_files_of_the_shared_data(drill, data_root):
    files = intake_malformed.malformed()
    assert len(files) > 250
    assert drill.send("malformed", files) == 0
    _held(drill)


def _held(drill: intake_malformed.Drill) -> None:
    tally = drill.tally
    assert tally.verdicts == tally.sent
    assert tally.rejected > 0
    assert tally.without_reason == tally.broken_uploads == tally.good_lost == 0
    assert tally.slowest_s < 5

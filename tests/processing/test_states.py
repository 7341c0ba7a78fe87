"""The table of moves."""

from processing import states
from processing.models import Run


def test_the_model_and_the_table_name_the_same_states():
    assert set(Run.State.values) == set(states.MOVES)


def test_nothing_leaves_a_terminal_state_and_everything_reaches_one():
    assert {"succeeded", "failed", "cancelled"} == states.TERMINAL
    assert {"queued", "running"} == states.OPEN
    for state in states.OPEN:
        reached, ahead = set(), {state}
        while ahead - reached:
            reached |= ahead
            ahead = set().union(*(states.MOVES[name] for name in ahead))
        assert reached >= states.TERMINAL


def test_a_waiting_run_cannot_succeed_without_running():
    assert not states.may_move("queued", "succeeded")
    assert states.may_move("running", "queued")

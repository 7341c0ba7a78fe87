"""The states of a run and the moves between them. Pipeline steps are progress, not states."""

from __future__ import annotations

from typing import Final

QUEUED: Final = "queued"
RUNNING: Final = "running"
SUCCEEDED: Final = "succeeded"
FAILED: Final = "failed"
CANCELLED: Final = "cancelled"

#: running → queued happens when a lease lapsed, or after a fault that may be tried again.
MOVES: Final[dict[str, frozenset[str]]] = {
    QUEUED: frozenset({RUNNING, CANCELLED}),
    RUNNING: frozenset({QUEUED, SUCCEEDED, FAILED, CANCELLED}),
    SUCCEEDED: frozenset(),
    FAILED: frozenset(),
    CANCELLED: frozenset(),
}
OPEN: Final = frozenset(state for state, moves in MOVES.items() if moves)
TERMINAL: Final = frozenset(MOVES) - OPEN


def may_move(before: str, after: str) -> bool:
    """Whether a run may go from ``before`` to ``after``."""
    return after in MOVES[before]

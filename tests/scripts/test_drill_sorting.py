"""The drill of sorting in short: a case of each kind, on the layouts of every vendor."""

from __future__ import annotations

import pytest

from scripts.drill.intake_sorting import Case, cases, judged

_SHORT = {
    ("siemens", "misleading names"), ("siemens", "dual echo"), ("siemens", "PD frames apart"),
    ("siemens", "slices in one series"), ("siemens", "scanner's maps"),
    ("ge", "dual sequence, blind names"), ("ge", "protocol names"),
    ("philips-enhanced", "dual echo"), ("philips-enhanced", "rest only"),
    ("philips-classic", "blind names"), ("siemens-enhanced", "usual names"),
}  # fmt: skip


@pytest.mark.parametrize(
    "case",
    [one for one in cases() if (one.vendor, one.name) in _SHORT],
    ids=lambda one: f"{one.vendor}, {one.name}",
)
def test_sorting_is_right_or_says_that_it_does_not_know(case: Case, tmp_path):
    found = judged(case, tmp_path)
    assert not {what: count for what, count in found.items() if what.endswith("wrong") and count}
    assert found["level right"] == found["state right"] + found["state unknown"] - _inputs(case)
    if case.name in {"misleading names", "protocol names", "blind names"}:
        assert found["state right"] == 0, "nothing says stress or rest, so any word is a guess"


def _inputs(case: Case) -> int:
    """Input films, whose state is counted but which have no level of their own."""
    return {"dual echo": 4, "dual sequence, blind names": 2}.get(case.name, 0)

"""The governance papers name tests and commands; each of them is there."""

from __future__ import annotations

import re

import pytest

from scripts.drill.parts import parts_of
from tests.conftest import CHECKOUT

FOLDER = CHECKOUT / "docs" / "governance"
PAPERS = sorted(path.name for path in FOLDER.glob("*.md"))
#: Severity and likelihood to risk, row by row of the standard's matrix.
MATRIX = {
    "L5": (3, 4, 4, 5, 5), "L4": (2, 3, 3, 4, 5), "L3": (2, 2, 3, 3, 4), "L2": (1, 2, 2, 3, 4),
    "L1": (1, 1, 2, 2, 3),
}  # fmt: skip


def words(name: str) -> list[str]:
    return re.findall(r"`([^`]+)`", (FOLDER / name).read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", PAPERS)
def test_each_control_that_is_named_is_there(name):
    files = [one for one in words(name) if one.endswith((".py", ".txt", ".json", ".md"))]
    assert [one for one in files if not (CHECKOUT / one).is_file()] == []
    drills = [one.removeprefix("make drill-") for one in words(name) if "make drill-" in one]
    assert [one for one in drills if not parts_of(one)] == []


def test_the_papers_are_the_ones_that_the_folder_lists():
    listed = set(re.findall(r"\]\(([\w-]+\.md)\)", (FOLDER / "README.md").read_text()))
    assert listed == set(PAPERS) - {"README.md"}


def test_each_hazard_has_controls_and_the_risk_that_the_matrix_gives():
    text = (FOLDER / "hazard-log.md").read_text(encoding="utf-8")
    for level, risks in MATRIX.items():
        assert f"| **{level}** | " + " | ".join(map(str, risks)) + " |" in text
    hazards = re.split(r"^### ", text.split("## Summary")[0], flags=re.MULTILINE)[1:]
    assert len(hazards) >= 8
    for hazard in hazards:
        rated = re.findall(r"S(\d) (L\d), risk (\d)", hazard)
        assert len(rated) == 2, hazard[:60]
        assert [MATRIX[likely][int(grave) - 1] for grave, likely, _ in rated] == [
            int(risk) for _, _, risk in rated
        ], hazard[:60]
        assert re.search(r"`(tests/|make )", hazard), hazard[:60]

"""The intended use is worded once: whatever shows it takes it from there, or repeats it exactly."""

from __future__ import annotations

from studies.intended_use import INTENDED_USE
from tests.conftest import CHECKOUT

SOURCES = ("corecmr", "accounts", "studies", "processing", "templates", "frontend", "scripts")
#: The page of last resort can ask nothing of the program, and accounts may not import studies.
REPEATS = ("templates/500.html", "templates/accounts/mail/approved.txt")


def test_no_source_has_words_of_its_own_for_it():
    found = []
    for folder in SOURCES:
        for path in (CHECKOUT / folder).rglob("*"):
            if path.suffix in {".py", ".html", ".txt", ".js"}:
                text = path.read_text(encoding="utf-8").lower()
                if "not for diagnosis" in text:
                    found.append(path.relative_to(CHECKOUT).as_posix())
    assert set(found) == {"studies/intended_use.py", *REPEATS}


def test_what_repeats_it_does_so_word_for_word():
    for name in REPEATS:
        assert INTENDED_USE in (CHECKOUT / name).read_text(encoding="utf-8")

"""Public ids carry 128 random bits; the check character finds what people mistype."""

from __future__ import annotations

import itertools
import re
import string

from accounts import identifiers
from accounts.identifiers import (
    PUBLIC_ID_LENGTH,
    PublicIdConverter,
    check_character,
    is_reference,
    new_public_id,
    new_reference,
)


def test_public_ids_have_their_shape_and_do_not_repeat():
    ids = {new_public_id() for _ in range(2000)}
    assert len(ids) == 2000
    pattern = re.compile(PublicIdConverter.regex)
    assert all(pattern.fullmatch(public_id) for public_id in ids)
    assert all(len(public_id) == PUBLIC_ID_LENGTH for public_id in ids)
    # 26 characters of 5 bits hold 130: the first can only be 0 to 7 if 128 bits are used.
    assert {public_id[0] for public_id in ids} == set("01234567")


def test_check_character_of_the_standards_example():
    """ISO 7064:2003 gives A12425GABC1234002 with check character M."""
    assert check_character("A12425GABC1234002") == "M"


def test_every_single_wrong_character_and_swap_of_neighbours_is_found():
    alphabet = string.digits + string.ascii_uppercase
    for _ in range(50):
        reference = new_reference()
        assert is_reference(reference)
        for place, right in enumerate(reference):
            for wrong in set(alphabet) - {right}:
                assert not is_reference(reference[:place] + wrong + reference[place + 1 :])
        for place in range(len(reference) - 1):
            a, b = reference[place], reference[place + 1]
            swapped = reference[:place] + b + a + reference[place + 2 :]
            assert is_reference(swapped) == (a == b)


def test_a_reference_whose_swap_would_go_unnoticed_is_not_given_out(monkeypatch):
    """The standard's one blind spot, for two neighbours such as 0 and Z or A and 9."""
    bodies = (
        (f"{first}{a}{b}000", f"{first}{b}{a}000")
        for first, a, b in itertools.permutations("0123456789ABCDEFGHJKMNPQRSTVWXYZ", 3)
    )
    blind = next(body for body, swapped in bodies
                 if check_character(body) == check_character(swapped))  # fmt: skip
    drawn = iter(blind + "ABCDEF")
    monkeypatch.setattr(identifiers.secrets, "choice", lambda alphabet: next(drawn))
    assert new_reference() == "ABCDEF" + check_character("ABCDEF")

"""Public ids carry 128 random bits; the check character finds what people mistype."""

from __future__ import annotations

import re
import string

from accounts.identifiers import (
    PUBLIC_ID_LENGTH,
    PublicIdConverter,
    check_character,
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
    for _ in range(20):
        reference = new_reference()
        body, check = reference[:-1], reference[-1]
        for place, right in enumerate(body):
            for wrong in set(alphabet) - {right}:
                assert check_character(body[:place] + wrong + body[place + 1 :]) != check
        for place in range(len(body) - 1):
            a, b = body[place], body[place + 1]
            swapped = body[:place] + b + a + body[place + 2 :]
            assert (check_character(swapped) == check) == (a == b)

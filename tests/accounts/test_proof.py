"""The proof of work at registration: asked where it is switched on, and taken once."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from html import unescape

import altcha
import pytest
from django.core.cache import cache

from accounts import proof
from accounts.models import User
from tests.accounts.test_registration import form
from tests.people import make_trust

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _asked(settings, monkeypatch):
    cache.clear()
    settings.SIGN_UP_PROOF = True
    monkeypatch.setattr(proof, "COST", 10)


def answer(puzzle: str) -> str:
    challenge = altcha.Challenge.from_dict(json.loads(puzzle))
    solution = altcha.solve_challenge(challenge)
    assert solution is not None
    return altcha.Payload(challenge, solution).to_base64()


def test_a_site_that_does_not_ask_shows_no_puzzle(client, settings):
    settings.SIGN_UP_PROOF = False
    assert b"data-proof" not in client.get("/accounts/signup/").content


def test_registering_takes_the_answer_to_the_puzzle_of_the_page(client):
    trust = make_trust()
    page = client.get("/accounts/signup/").content.decode()
    puzzle = unescape(re.search(r'data-proof="([^"]+)"', page).group(1))

    refused = client.post("/accounts/signup/", form(trust, proof=""))
    assert "was not finished" in refused.content.decode()
    assert "Dr New Person" in refused.content.decode(), "what was typed is kept"
    assert not User.objects.exists()

    assert client.post("/accounts/signup/", form(trust, proof=answer(puzzle))).status_code == 302
    assert User.objects.get().email == "new.person@hospital.example"


def test_an_answer_is_taken_once():
    given = answer(proof.puzzle())
    assert proof.accept(given)
    assert not proof.accept(given)


def test_another_mistake_in_the_form_does_not_use_the_answer_up(client):
    trust, given = make_trust(), answer(proof.puzzle())
    assert client.post("/accounts/signup/", form(trust, name="", proof=given)).status_code == 200
    assert client.post("/accounts/signup/", form(trust, proof=given)).status_code == 302


@pytest.mark.parametrize("given", ["", "x", "e30=", "bnVsbA==", "WzFd"])
def test_nonsense_is_no_answer(given):
    assert not proof.accept(given)


def test_an_answer_of_another_kind_is_none(settings, monkeypatch):
    ours = answer(proof.puzzle())
    settings.SECRET_KEY = "another-secret-" + "0" * 50
    assert not proof.accept(ours), "it was signed with another key"
    settings.SECRET_KEY = "a-third-secret-" + "0" * 50
    monkeypatch.setattr(proof, "LASTS", timedelta(seconds=-5))
    assert not proof.accept(answer(proof.puzzle())), "it is stale"

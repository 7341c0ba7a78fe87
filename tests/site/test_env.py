"""Environment variables: read as what they are, and a mistake is one sentence."""

from __future__ import annotations

import pytest
from django.core.exceptions import ImproperlyConfigured

from corecmr import env

NAME = "CORECMR_TEST_VARIABLE"


@pytest.fixture(params=["", "   "])
def unset(monkeypatch, request):
    monkeypatch.setenv(NAME, request.param)


def test_what_is_not_set_is_the_default_or_asked_for(unset):
    assert env.text(NAME, "default") == "default"
    assert env.number(NAME, 7) == 7
    assert env.flag(NAME, True) is True
    assert env.words(NAME) == []
    assert env.words(NAME, ["a"]) == ["a"]
    with pytest.raises(ImproperlyConfigured, match=f"{NAME} is not set"):
        env.text(NAME)


@pytest.mark.parametrize(
    ("reader", "raw", "expected"),
    [
        (env.text, " value ", "value"),
        (lambda name: env.number(name, 0), "12", 12),
        (lambda name: env.flag(name, False), "Yes", True),
        (lambda name: env.flag(name, False), "on", True),
        (lambda name: env.flag(name, True), "0", False),
        (lambda name: env.flag(name, True), "FALSE", False),
        (env.words, "a, b,,c ", ["a", "b", "c"]),
    ],
)
def test_what_is_set_is_read(monkeypatch, reader, raw, expected):
    monkeypatch.setenv(NAME, raw)
    assert reader(NAME) == expected


@pytest.mark.parametrize(
    ("reader", "raw", "sentence"),
    [
        (lambda name: env.number(name, 0), "1.5", "must be a whole number"),
        (lambda name: env.number(name, 5, low=1, high=9), "10", "must lie between 1 and 9"),
        (lambda name: env.number(name, 5), "-1", "must lie between 0"),
        (lambda name: env.flag(name, True), "perhaps", "must be yes or no"),
    ],
)
def test_a_mistake_is_named(monkeypatch, reader, raw, sentence):
    monkeypatch.setenv(NAME, raw)
    with pytest.raises(ImproperlyConfigured, match=f"{NAME} is .*{sentence}"):
        reader(NAME)

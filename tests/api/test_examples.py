"""The examples of docs/api.md are run as they stand there."""

from __future__ import annotations

import re
import shlex

import pytest
from django.core.cache import cache
from django.test import Client

from accounts import tokens
from accounts.models import ApiToken
from accounts.roles import Role
from processing import runs
from tests.conftest import CHECKOUT
from tests.people import make_project, make_released, make_trust, make_user
from tests.site.world import store

pytestmark = pytest.mark.django_db
EXAMPLES = re.findall(r"^curl .*$", (CHECKOUT / "docs" / "api.md").read_text(), re.MULTILINE)


def run(line: str, values: dict[str, str]):
    for name, value in values.items():
        line = line.replace(f"${name}", value)
    words = iter(shlex.split(line)[1:])
    method, headers, body, address = "get", {}, None, ""
    for word in words:
        if word == "-X":
            method = next(words).lower()
        elif word == "-H":
            name, _colon, value = next(words).partition(": ")
            headers[name] = value
        elif word == "-d":
            body = next(words)
        elif word == "--output":
            next(words)
        else:
            address = word
    kind = headers.pop("Content-Type", "application/json")
    options = {} if method == "get" else {"data": body or "", "content_type": kind}
    return getattr(Client(headers=headers), method)(address, **options)


@pytest.mark.parametrize(
    "line", EXAMPLES, ids=lambda line: re.search(r"/api/v1(\S+?)[\"?]", line)[1]
)
def test_an_example_works(line):
    cache.clear()
    trust = make_trust(research_allowed=True)
    user = make_user(trust)
    user.memberships.create(trust=trust, role=Role.RESEARCHER)
    study = make_released(trust, 6, patient_sex="F")[0]
    result = study.results.get()
    values = {
        "SITE": "", "STUDY": study.public_id, "RESULT": result.public_id,
        "FILE": store(study, "mbf.npy", "application/octet-stream", result=result).public_id,
        "RUN": runs.submit(study, engine="mcaq-classic", by=user).public_id,
        "PROJECT": make_project(user, trust).public_id,
        "KEY": tokens.create(user, name="x", scopes=ApiToken.Scope.values, days=1)[1],
    }  # fmt: skip
    answer = run(line, values)
    assert answer.status_code in (200, 201), b"".join(answer)
    assert b"".join(answer)


def test_there_are_examples_of_every_address():
    assert len(EXAMPLES) == 10

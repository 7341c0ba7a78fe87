"""Every address of a study in the API, by the key of every kind of person, in every state of it."""

from __future__ import annotations

import pytest
from django.core.cache import cache
from django.db import transaction
from django.test import Client, override_settings

from accounts import tokens
from accounts.api import KeyThrottle
from accounts.models import ApiToken
from studies.models import Result
from tests.site import matrix

pytestmark = pytest.mark.django_db

#: Address, method, the verb that it takes, and the status of an answer.
ROWS = [
    ("studies/{study}/", "get", "see", 200),
    ("results/{result}/", "get", "see", 200),
    ("files/{data}/", "get", "download", 200),
    ("runs/{run}/", "get", "see", 200),
    ("studies/{study}/runs/", "post", "run", 201),
    # Stopped by the owning trust, or by a guest who started it.
    ("runs/{run}/cancel/", "post", "manage", 200),
]


@override_settings(REQUIRE_MFA=True)
def test_a_key_opens_what_its_person_may_and_nothing_else(monkeypatch):
    cache.clear()
    monkeypatch.setattr(KeyThrottle, "rate", "100000/min")
    site = matrix.make_site()
    for state, objects in site.objects.items():
        result = Result.objects.filter(study__public_id=objects["study"]).first()
        objects["result"] = result.public_id if result else matrix.ABSENT
        if state in ("erased", "absent"):
            objects["result"] = matrix.ABSENT
    wrong, asked = [], 0
    for who, user in site.people.items():
        key = tokens.create(user, name="x", scopes=ApiToken.Scope.values, days=1)[1]
        client = Client(headers={"Authorization": f"Bearer {key}"})
        for path, method, verb, status in ROWS:
            refusals = set()
            for state in matrix.STATES:
                address = f"/api/v1/{path.format_map(site.objects[state])}"
                wanted = _expected(who, state, path, verb, status)
                with transaction.atomic():
                    data = {"data": {"engine": "mcaq"}, "content_type": "application/json"}
                    answer = getattr(client, method)(address, **(data if method == "post" else {}))
                    body = b"".join(answer)
                    transaction.set_rollback(True)
                asked += 1
                if answer.status_code != wanted:
                    wrong.append((who, state, method, path, answer.status_code, wanted))
                if answer.status_code == 404:
                    refusals.add(body.replace(answer["X-Request-ID"].encode(), b""))
            if len(refusals) > 1:
                wrong.append((who, path, "refusals differ", refusals))
    assert wrong == []
    assert asked == len(ROWS) * len(matrix.STATES) * (len(matrix.PEOPLE) - 1)


def _expected(who: str, state: str, path: str, verb: str, status: int) -> int:
    verbs = matrix.PEOPLE[who]
    if verbs is None:
        return 401
    there = state not in ("erased", "absent")
    if "{result}" in path:
        there = there and state not in ("new", "running")
    if not there or verb not in verbs:
        return 404
    return status

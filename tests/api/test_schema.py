"""The OpenAPI document is true: requests made from it get answers that it describes."""

from __future__ import annotations

import pytest
import schemathesis
from django.core.cache import cache
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from accounts import tokens
from accounts.api import KeyThrottle
from accounts.models import ApiToken
from accounts.roles import Role
from corecmr.wsgi import application
from tests.people import make_project, make_released, make_trust, make_user

pytestmark = pytest.mark.django_db
SECRET = "SECRET-OF-ANOTHER-TRUST"


@pytest.fixture
def _one_connection():
    """The test's transaction lies in this connection: no request may close it."""
    signals = (request_started, request_finished)
    for signal in signals:
        signal.disconnect(close_old_connections)
    yield
    for signal in signals:
        signal.connect(close_old_connections)


@pytest.fixture
def key(_one_connection, monkeypatch) -> str:
    cache.clear()
    monkeypatch.setattr(KeyThrottle, "rate", "100000/min")
    trust = make_trust(research_allowed=True)
    user = make_user(trust)
    user.memberships.create(trust=trust, role=Role.RESEARCHER)
    make_project(user, trust)
    make_released(trust, 6)
    make_released(make_trust(), 1, scanner_model=SECRET)
    return tokens.create(user, name="fuzz", scopes=ApiToken.Scope.values, days=1)[1]


def test_nothing_breaks_whatever_is_asked(key):
    schema = schemathesis.openapi.from_wsgi("/api/v1/schema/?format=json", application)
    asked = []
    for operation in (one.ok() for one in schema.get_all_operations()):
        strategy = operation.as_strategy()

        @settings(
            max_examples=25, deadline=None, database=None,
            suppress_health_check=list(HealthCheck), derandomize=True,
        )  # fmt: skip
        @given(case=strategy)
        def ask(case):
            response = case.call(headers={"Authorization": f"Bearer {key}"})
            asked.append((case.method, case.path, response.status_code))
            case.validate_response(
                response,
                checks=[
                    not_a_server_error, status_code_conformance, content_type_conformance,
                    response_schema_conformance,
                ],
            )  # fmt: skip
            assert SECRET not in response.text

        ask()
    assert len({path for _method, path, _status in asked}) == 10
    assert {200, 404} <= {status for _method, _path, status in asked}

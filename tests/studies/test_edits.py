"""Outlines drawn over a result: what may be kept, whose counts, and the analysis made with them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from django.test import Client

from processing import runs
from processing.models import Run
from studies import edits, sharing
from studies.models import ContourEdit, Result
from tests.people import make_result, make_study, make_trust, make_user

pytestmark = pytest.mark.django_db


def ring(radius, row=60.0, col=50.0, count=24):
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False)
    return [[row + radius * float(np.sin(a)), col + radius * float(np.cos(a))] for a in angle]


def wall(inner=10.0, outer=16.0):
    return {"endocardium": ring(inner), "epicardium": ring(outer)}


@pytest.fixture
def result():
    trust = make_trust()
    owner = make_user(trust, name="Dr First")
    result = make_result(make_study(trust))
    result.owner = owner
    return result


def put(client: Client, result: Result, version: int, content: object):
    return client.put(
        f"/studies/{result.study.public_id}/drawing/",
        json.dumps({"version": version, "content": content}),
        content_type="application/json",
    )


def test_what_is_drawn_is_kept_and_read_again(client, result):
    client.force_login(result.owner)
    told = put(client, result, 0, {"stress_mid": wall()}).json()
    assert told["version"] == 1
    assert told["by"] == "Dr First"
    again = client.get(f"/studies/{result.study.public_id}/drawing/").json()
    np.testing.assert_allclose(again["content"]["stress_mid"]["endocardium"], ring(10), atol=0.005)
    # The same once more is no new version.
    assert put(client, result, 1, {"stress_mid": wall()}).json()["version"] == 1
    assert client.delete(f"/studies/{result.study.public_id}/drawing/").json()["version"] == 0
    assert not ContourEdit.objects.exists()


def test_of_two_who_draw_neither_overwrites_the_other(client, result):
    client.force_login(result.owner)
    put(client, result, 0, {"stress_mid": wall()})
    other = Client()
    other.force_login(make_user(result.study.trust, name="Dr Second"))
    late = put(other, result, 0, {"stress_mid": wall(9)})
    assert late.status_code == 409
    assert late.json()["by"] == "Dr First"
    assert late.json()["version"] == 1
    kept = edits.of(result)
    np.testing.assert_allclose(kept.content["stress_mid"]["endocardium"], ring(10), atol=0.005)
    # Having seen them, the second may put his own in their place.
    assert put(other, result, 1, {"stress_mid": wall(9)}).json()["version"] == 2


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([], "no drawing"),
        ({"rest_apical": wall()}, "no such series"),
        ({"stress_mid": {"endocardium": ring(10)}}, "belong together"),
        ({"stress_mid": {**wall(), "rv_insertion_anterior": [1, 2]}}, "belong together"),
        ({"stress_mid": wall(16, 10)}, "larger than the outer"),
        ({"stress_mid": wall(0.5)}, "too small"),
        ({"stress_mid": {"aif_region": ring(3, count=3)}}, "8 to 720 points"),
        ({"stress_mid": {"aif_region": [[float(n), 1e9] for n in range(9)]}}, "nowhere"),
        ({"stress_mid": {"aif_region": [["1", "2"]] * 9}}, "nowhere"),
        ({"stress_mid": {"aif_region": [[True, False]] * 9}}, "nowhere"),
        ({"stress_mid": {"mbf": 3}}, "cannot be drawn"),
        (
            {"stress_mid": {"rv_insertion_anterior": [1, 2], "rv_insertion_inferior": [3, 4]}},
            "send the outlines",
        ),
    ],
)
def test_what_is_no_drawing_is_refused_with_a_reason(client, result, content, words):
    client.force_login(result.owner)
    answer = put(client, result, 0, content)
    assert answer.status_code == 400
    assert words in answer.json()["reason"]
    assert not ContourEdit.objects.exists()


def test_bytes_that_are_no_json_are_refused(client, result):
    client.force_login(result.owner)
    address = f"/studies/{result.study.public_id}/drawing/"
    for body in (b"\xff\xfe", b"[1, 2]", b'{"version": "1"}', b"{"):
        assert client.put(address, body, content_type="application/json").status_code == 400


def test_an_analysis_with_the_drawing_stands_beside_the_result(client, result):
    client.force_login(result.owner)
    address = f"/studies/{result.study.public_id}/run/drawn/"
    client.post(address, {"result": "1"})
    assert not Run.objects.exists()
    put(client, result, 0, {"stress_mid": wall()})
    for _ in range(3):
        client.post(address, {"result": "1"})
    run = Run.objects.get()
    assert run.engine == "mcaq"
    assert set(run.parameters["given"]) == {"stress_mid"}
    assert run.parameters["edited"] == {
        "from_result": 1,
        "series": {"stress_mid": ["endocardium", "epicardium"]},
    }


def test_what_was_drawn_for_a_result_stays_when_more_is_drawn_over_it(result):
    study, owner = result.study, result.owner
    first = runs.submit_drawn(study, result, {"stress_mid": wall()}, by=owner)
    second = make_result(study)
    Run.objects.filter(pk=first.pk).update(state="succeeded", result=second)
    again = runs.submit_drawn(study, second, {"rest_mid": {"aif_region": ring(4)}}, by=owner)
    assert set(again.parameters["given"]) == {"stress_mid", "rest_mid"}
    assert again.parameters["edited"]["from_result"] == 2
    assert again.parameters["edited"]["series"]["rest_mid"] == ["aif_region"]


def test_a_guest_draws_only_where_he_may_analyse(client, result):
    guest = make_user(make_trust())
    sharing.share(result.study, by=result.owner, to_user=guest, reason="opinion")
    client.force_login(guest)
    assert client.get(f"/studies/{result.study.public_id}/workspace/").status_code == 200
    assert put(client, result, 0, {"stress_mid": wall()}).status_code == 404
    sharing.share(result.study, by=result.owner, to_user=guest, reason="opinion", may_run=True)
    assert put(client, result, 0, {"stress_mid": wall()}).status_code == 200


def test_an_older_result_says_that_it_cannot_be_opened_here(client, result):
    client.force_login(result.owner)
    page = client.get(f"/studies/{result.study.public_id}/workspace/").content.decode()
    assert "made by an earlier version" in page
    assert client.get(f"/studies/{result.study.public_id}/workspace/?result=9").status_code == 404

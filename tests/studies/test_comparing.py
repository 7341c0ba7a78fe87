"""Two results side by side, two engines over a cohort: the numbers are those of the definitions."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from accounts.roles import Role
from studies import comparing, results
from studies.models import Result, SegmentFlow
from tests.people import make_released, make_result, make_study, make_trust, make_user
from tests.site.world import store

pytestmark = pytest.mark.django_db


def test_bland_and_altman():
    """The worked numbers of four pairs: differences 1, 2, 3, 2 have the mean 2 and SD √(2/3)."""
    found = comparing.agreement([1.0, 2.0, 3.0, 4.0], [2.0, 4.0, 6.0, 6.0])
    assert found.bias == pytest.approx(2.0)
    assert found.high == pytest.approx(2.0 + 1.96 * (2 / 3) ** 0.5)
    assert found.low == pytest.approx(2.0 - 1.96 * (2 / 3) ** 0.5)
    assert found.correlation == pytest.approx(np.corrcoef([1, 2, 3, 4], [2, 4, 6, 6])[0, 1])
    assert found.points[0] == (1.5, 1.0)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_too_few_pairs_say_nothing(number):
    found = comparing.agreement([1.0] * number, [2.0] * number)
    assert (found.pairs, found.bias, found.correlation) == (number, None, None)
    assert comparing.plot(found) is None


def with_map(study, flow: np.ndarray, offset: tuple[int, int]) -> Result:
    result = make_result(study)
    result.report["series"][0]["offset"] = list(offset)
    result.save()
    out = io.BytesIO()
    np.save(out, flow.astype(np.float32))
    store(study, "mbf.npy", "application/octet-stream", out.getvalue(), result=result)
    return result


def test_the_difference_of_maps_on_different_crops():
    """Each map has its own crop: pixels are compared at the same place of the source grid."""
    study = make_study(make_trust())
    first, second = np.full((2, 2), np.nan), np.full((3, 3), np.nan)
    first[1, 1] = 1.0  # at row 11, column 21 of the source
    second[0, 0] = 2.0  # the same place
    second[2, 2] = 3.0  # where the first has nothing
    one, other = with_map(study, first, (10, 20)), with_map(study, second, (11, 21))
    png = comparing.difference_map(one, other, "stress_mid")
    picture = np.asarray(Image.open(io.BytesIO(png)))[::4, ::4]
    assert picture.shape == (4, 4, 3)
    assert tuple(picture[1, 1]) == comparing._HIGH, "one ml/min/g more is the full red"
    others = picture.reshape(-1, 3)[[n for n in range(16) if n != 5]]
    assert {tuple(colour) for colour in others.tolist()} == {comparing._BACKGROUND}
    assert comparing.difference_map(one, other, "rest_mid") is None


def test_the_page_compares_two_results(client):
    trust = make_trust()
    study, user = make_study(trust), make_user(trust)
    client.force_login(user)
    address = f"/studies/{study.public_id}/compare/"
    make_result(study, mbf=1.0)
    assert client.get(address).status_code == 404, "there is one result only"
    make_result(study, mbf=1.25)
    page = client.get(address).content.decode()
    assert "Mean difference" in page
    assert ">0.25<" in page  # at rest
    assert ">0.50<" in page  # at stress
    turned = client.get(f"{address}?first=2&second=1").content.decode()
    assert ">-0.25<" in turned
    assert client.get(f"{address}?first=3&second=1").status_code == 404


def test_an_older_result_can_be_looked_at_and_says_so(client):
    trust = make_trust()
    study = make_study(trust)
    make_result(study, mbf=1.0)
    make_result(study, mbf=2.0)
    client.force_login(make_user(trust))
    newest = client.get(f"/studies/{study.public_id}/").content.decode()
    assert "Shown is the newest result." in newest
    assert "mean 4.00 ml/min/g" in newest
    older = client.get(f"/studies/{study.public_id}/?result=1").content.decode()
    assert "Shown is result 1, which is not the newest." in older
    assert "mean 2.00 ml/min/g" in older
    assert client.get(f"/studies/{study.public_id}/?result=9").status_code == 404


def analysed_by(study, engine: str, factor: float) -> None:
    report = dict(study.results.first().report)
    result = results.record(study.pk, {**report, "engine": {"name": engine, "version": "2"}})
    for flow in SegmentFlow.objects.filter(result=result):
        SegmentFlow.objects.filter(pk=flow.pk).update(mbf=factor * flow.mbf)


@pytest.mark.parametrize(("number", "told"), [(4, False), (5, True)])
def test_two_engines_over_a_cohort(client, number, told):
    trust = make_trust(research_allowed=True)
    client.force_login(make_user(trust, Role.RESEARCHER))
    for study in make_released(trust, number):
        analysed_by(study, "other", 1.1)
    page = client.get("/research/engines/?first=mcaq+0.1.0&second=other+2").content.decode()
    assert ("Mean difference" in page) is told
    if told:
        # Segments at 3.0 and 1.5 ml/min/g: a tenth more is 0.225 in the mean.
        assert "0.23 ml/min/g" in page or "0.22 ml/min/g" in page
        assert "5 studies." in page
    else:
        assert "Fewer than 5 studies" in page

"""Splenic switch-off on phantoms that have it and have it not, and what is said without it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from processing.mcaq import pipeline, spleen
from processing.mcaq.heart import Heart
from processing.mcaq.phantom import make_study


def view(state, uptake, *, level="mid", mirrored=False):
    """A belly of 2 mm pixels with a heart at (40, 40) and an organ of that uptake below left."""
    rows, cols = np.mgrid[:120, :120]
    organ = np.hypot(rows - 85, cols - (95 if not mirrored else 25)) < 14
    picture = np.where(organ, uptake, 0.05)
    heart = Heart(40, 60, 40, 40 if not mirrored else 80, 1.0)
    return spleen.View(state, level, picture, organ, heart, (2.0, 2.0), mirrored)


@pytest.mark.parametrize("mirrored", [False, True])
def test_the_ratio_is_that_of_the_uptakes(mirrored):
    seen = [view("stress", 0.4, mirrored=mirrored), view("rest", 1.2, mirrored=mirrored)]
    found = spleen.switch_off(seen)
    assert found.ratio == pytest.approx(1 / 3)
    assert (found.slices, found.reason) == (1, None)
    assert spleen.finding(found) is None


def test_a_spleen_that_fills_at_stress_is_a_finding():
    flag = spleen.finding(spleen.switch_off([view("stress", 1.1), view("rest", 1.2)]))
    assert flag is not None
    assert (flag.name, flag.severity) == ("no_splenic_switch_off", "warning")
    assert "at stress as at rest" in flag.sentence


def test_of_several_slices_the_middle_one_counts():
    seen = [
        view(state, amount, level=level)
        for level, ratio in (("basal", 0.3), ("mid", 0.4), ("apical", 2.0))
        for state, amount in (("stress", ratio), ("rest", 1.0))
    ]
    found = spleen.switch_off(seen)
    assert (found.ratio, found.slices) == (pytest.approx(0.4), 3)


def _elsewhere(one):
    """The same organ, seen where no spleen lies: on the right ventricle's side."""
    return replace(one, heart=Heart(40, 60, 40, 80, 1.0))


ABSENT = {
    "only rest": ([view("rest", 1.2)], "a stress and a rest"),
    "only stress": ([view("stress", 1.2)], "a stress and a rest"),
    "other slices": ([view("stress", 1.2, level="basal"), view("rest", 1.2)], "not seen"),
    "on the other side": ([_elsewhere(view("stress", 1)), _elsewhere(view("rest", 1))], "not seen"),
    "too small": (
        [replace(one, organ=one.organ & (np.arange(120) > 105)) for one in
         (view("stress", 1), view("rest", 1))], "not seen",
    ),
    "nothing": ([], "a stress and a rest"),
}  # fmt: skip


@pytest.mark.parametrize("kind", ABSENT)
def test_where_it_is_not_seen_nothing_is_claimed(kind):
    seen, reason = ABSENT[kind]
    found = spleen.switch_off(seen)
    assert found.ratio is None
    assert reason in found.reason
    assert spleen.finding(found) is None


@pytest.mark.parametrize("switched_off", [True, False])
def test_a_phantom_whose_spleen_is_known(switched_off):
    """Its spleen's flow is 1.3 ml/min/ml, and 0.35 at stress where it switches off."""
    study = make_study(702, levels=("mid",), frames=48, splenic_switch_off=switched_off)
    result = pipeline.analyse(study.series, {}, lambda *_: None)
    told = result.summary["splenic_switch_off"]
    names = {flag.name for flag in result.series[0].quality}
    assert told["slices"] == 1
    # Uptake is read while it lasts, so that it leans towards the ratio of volumes, which is 1.
    assert 0.35 / 1.3 < told["ratio"] < 0.5 if switched_off else 0.85 < told["ratio"] < 1.15
    assert ("no_splenic_switch_off" in names) is not switched_off
    assert "no_splenic_switch_off" not in {flag.name for flag in result.series[1].quality}


def test_a_kidney_beside_the_spleen_does_not_hide_its_switch_off():
    """The kidney goes on filling at stress; both have the same way at rest."""
    seen = []
    for state, amount in (("stress", 0.4), ("rest", 1.2)):
        one = view(state, amount)
        rows, cols = np.mgrid[:120, :120]
        kidney = np.hypot(rows - 105, cols - 62) < 14
        seen.append(
            replace(one, uptake=np.where(kidney, 1.3, one.uptake), organ=one.organ | kidney)
        )
    assert spleen.switch_off(seen).ratio == pytest.approx(1 / 3, rel=0.05)

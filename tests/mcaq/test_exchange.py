"""The exchange model's curves against other solutions of the same equations."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import lfilter

from processing.mcaq.kinetics import exchange

HAEMATOCRIT, DENSITY = 0.42, 1.05
FINE_S = 0.01
FINE = np.arange(0, 60, FINE_S)
TIMES = np.arange(0, 60, 0.5)
#: Volumes of a vessel that is not there.
NONE = 1e-6
#: Of a curve's height: what sampling the input function every quarter of a second may cost.
NEAR = 0.01


def arterial(times_s):
    """Whole blood, mmol/l: a first pass of 4 mmol/l and a slow rest."""
    late = np.maximum(times_s - 5, 0)
    return 4 * (late / 4) ** 3 * np.exp(3 * (1 - late / 4)) + 0.6 * (1 - np.exp(-late / 15))


def parameters(
    flow, ps=1.0, plasma=0.045, space=0.21, uneven=0.0, arteriole=NONE, venule=NONE, delay=0.0
):
    """Flow and PS in ml/min/g, volumes in ml per ml, delay in s, as the model takes them."""
    found = np.zeros(8)
    found[exchange.FLOW], found[exchange.PS] = np.log(flow), np.log(ps)
    found[exchange.PLASMA], found[exchange.SPACE] = np.log(plasma), np.log(space)
    found[exchange.ARTERIOLE], found[exchange.VENULE] = np.log(arteriole), np.log(venule)
    found[exchange.UNEVEN], found[exchange.DELAY] = uneven, delay
    return found[None]


@pytest.fixture(scope="module")
def model():
    return exchange.Model(TIMES, arterial(TIMES), HAEMATOCRIT, DENSITY)


def plasma_flow(flow):
    """1/s: ml of plasma that enters each ml of tissue in a second."""
    return flow * DENSITY / 60 * (1 - HAEMATOCRIT)


ENTERING = arterial(FINE) / (1 - HAEMATOCRIT)


def held(flow, leaving):
    """Q = F ∫ (Cin − Cout): what entered and has not left."""
    gain = plasma_flow(flow) * (ENTERING - leaving)
    total = np.concatenate([[0], np.cumsum((gain[1:] + gain[:-1]) / 2 * FINE_S)])
    return np.interp(TIMES, FINE, total)


def agrees(found, told):
    np.testing.assert_allclose(found, told, atol=NEAR * told.max())


# --- limits that need no solver -----------------------------------------------------------------
@pytest.mark.parametrize("flow", [0.5, 1.0, 3.5])
@pytest.mark.parametrize(("ps", "reaches"), [(1e-6, 0), (5e3, 1)])
def test_without_or_with_boundless_exchange_blood_comes_out_as_it_went_in(model, flow, ps, reaches):
    """PS = 0: it passes the plasma alone. PS = ∞: plasma and interstitium as one pipe."""
    transit = (0.05 + reaches * 0.2) / plasma_flow(flow)
    leaving = np.interp(FINE - transit, FINE, ENTERING, left=0)
    agrees(model.curves(parameters(flow, ps, 0.05, 0.2))[0], held(flow, leaving))


def test_a_vessel_alone_is_mixed_in_two_steps(model):
    found = model.curves(parameters(1.2, 1e-6, 1e-5, 0.2, venule=0.08))[0]
    agrees(found, held(1.2, mixed(ENTERING, 1.2, 0.08)))


@pytest.mark.parametrize("flow", [0.5, 1.5, 3.0])
def test_until_contrast_leaves_all_of_it_is_held(model, flow):
    """The rise of the first second is flow, whatever else the tissue is."""
    values = parameters(flow, 1.0, 0.3, 0.2)
    leaves = 5 + 0.3 / plasma_flow(flow)
    early = leaves > TIMES
    nothing_left = held(flow, np.zeros_like(FINE))
    np.testing.assert_allclose(
        model.curves(values)[0][early], nothing_left[early], atol=NEAR * nothing_left[early].max()
    )


@pytest.mark.parametrize("flow", [1.5, 3.5])
@pytest.mark.parametrize("ps", [1.0, 3.0])
def test_the_area_is_volume_times_the_areas_input(flow, ps):
    """Central volume theorem (Meier and Zierler 1954): nothing is lost or made on the way."""
    times = np.arange(0, 127, 0.5)
    late = np.maximum(times - 3, 0)
    bolus = 4 * late * np.exp(-late)
    model = exchange.Model(times, bolus, HAEMATOCRIT, DENSITY)
    found = model.curves(parameters(flow, ps, 0.05, 0.2, 0.3, 0.015, 0.02))[0]
    volume = 0.05 + 0.2 + 0.015 + 0.02
    told = volume * bolus.sum() / (1 - HAEMATOCRIT)
    assert found[-1] < 0.01 * found.max()
    assert found.sum() == pytest.approx(told, rel=0.01)


# --- the whole, by following plasma on its way --------------------------------------------------
def mixed(entering, flow, volume):
    """Out of two well-mixed halves of a vessel; exact for an input that is straight in each step.

    dC/dt = k (Cin − C), k = F / (V/2).
    """
    k = plasma_flow(flow) / (volume / 2) * FINE_S
    keep = np.exp(-k)
    now = 1 - (1 - keep) / k
    for _ in range(2):
        entering = lfilter([now, 1 - keep - now], [1, -keep], entering)
    return entering


def along_capillary(entering, flow, ps, plasma, space, cells=160):
    """Outflow of one capillary: plasma moves on by a cell, then exchanges, step by step.

    With steps of exactly one cell the moving has no numerical mixing, and the exchange of two
    neighbours has a closed form: what they hold together stays, their difference decays.
    """
    step = plasma / plasma_flow(flow) / cells
    rate = ps * DENSITY / 60
    decay = np.exp(-rate * (1 / plasma + 1 / space) * step)
    times = np.arange(0, FINE[-1] + step, step)
    arriving = np.interp(times, FINE, entering)
    inside, beside = np.zeros(cells), np.zeros(cells)
    leaving = np.zeros(len(times))
    for n in range(len(times)):
        together = (plasma * inside + space * beside) / (plasma + space)
        apart = (inside - beside) * decay
        inside = together + space / (plasma + space) * apart
        beside = together - plasma / (plasma + space) * apart
        leaving[n] = inside[-1]
        inside = np.concatenate([[arriving[n]], inside[:-1]])
    return np.interp(FINE, times, leaving)


def by_steps(flow, ps, plasma, space, uneven, arteriole, venule):
    """The tissue's content from all parts in a row, capillaries of three flows beside each other.

    Each class has its share of volume and PS; blood divides by flow (Gauss–Hermite of order 3).
    """
    entering = mixed(ENTERING, flow, arteriole)
    together = np.zeros_like(FINE)
    for place, share in ((-np.sqrt(3), 1 / 6), (0, 2 / 3), (np.sqrt(3), 1 / 6)):
        relative = 1 + place * uneven
        out = along_capillary(entering, flow, ps / relative, plasma / relative, space / relative)
        together += share * relative * out
    return held(flow, mixed(together, flow, venule))


@pytest.mark.parametrize(
    "values",
    [
        (0.6, 1.0, 0.04, 0.2, 0.0, 0.005, 0.005),
        (1.0, 0.3, 0.07, 0.3, 0.2, 0.01, 0.02),
        (2.0, 2.0, 0.05, 0.2, 0.5, 0.012, 0.012),
        (3.5, 1.2, 0.045, 0.21, 0.25, 0.012, 0.012),
    ],
)
def test_agrees_with_plasma_followed_on_its_way(model, values):
    agrees(model.curves(parameters(*values))[0], by_steps(*values))


# --- what must not matter, and what must --------------------------------------------------------
def test_curves_follow_the_input_function_in_height(model):
    twice = exchange.Model(TIMES, 2 * arterial(TIMES), HAEMATOCRIT, DENSITY)
    values = parameters(1.7, uneven=0.3, arteriole=0.01, venule=0.01)
    # In single precision.
    np.testing.assert_allclose(twice.curves(values), 2 * model.curves(values), atol=1e-4)


def test_only_plasma_carries_contrast():
    """Half the flow of blood without cells, at their concentration, brings the same."""
    blood = exchange.Model(TIMES, arterial(TIMES), 0.5, DENSITY)
    plasma = exchange.Model(TIMES, 2 * arterial(TIMES), 0.0, DENSITY)
    np.testing.assert_allclose(
        blood.curves(parameters(2.0)), plasma.curves(parameters(1.0)), atol=1e-4
    )


def test_flow_is_per_gram():
    one = exchange.Model(TIMES, arterial(TIMES), HAEMATOCRIT, 1.0)
    heavy = exchange.Model(TIMES, arterial(TIMES), HAEMATOCRIT, 1.1)
    np.testing.assert_allclose(
        one.curves(parameters(1.1, 1.1)), heavy.curves(parameters(1.0, 1.0)), atol=1e-4
    )


@pytest.mark.parametrize("delay", [0.5, 1.0, 2.5])
def test_a_delay_moves_the_curve(model, delay):
    still = model.curves(parameters(1.5))[0]
    moved = model.curves(parameters(1.5, delay=delay))[0]
    steps = round(delay / 0.5)
    np.testing.assert_allclose(moved[steps:], still[:-steps], atol=1e-6)
    np.testing.assert_allclose(moved[:steps], 0, atol=1e-6)


@pytest.mark.parametrize("start", [0.0, 100.0])
def test_only_differences_of_time_count(start):
    moved = exchange.Model(TIMES + start, arterial(TIMES), HAEMATOCRIT, DENSITY)
    told = exchange.Model(TIMES, arterial(TIMES), HAEMATOCRIT, DENSITY)
    np.testing.assert_allclose(moved.curves(parameters(2.0)), told.curves(parameters(2.0)))


def test_frames_need_not_come_evenly():
    """Missed beats: fewer frames, at their true times, see the same curve."""
    kept = np.sort(np.random.default_rng(3).choice(len(TIMES), 90, replace=False))
    kept[0] = 0
    uneven = exchange.Model(TIMES[kept], arterial(TIMES[kept]), HAEMATOCRIT, DENSITY)
    told = exchange.Model(TIMES, arterial(TIMES), HAEMATOCRIT, DENSITY).curves(parameters(2.0))[0]
    # Between frames the input function is drawn straight: its peak may lose some per cent.
    np.testing.assert_allclose(
        uneven.curves(parameters(2.0))[0], told[kept], atol=0.04 * told.max()
    )


def test_more_flow_rises_faster(model):
    flows = np.array([0.5, 1.0, 2.0, 4.0])
    curves = np.concatenate([model.curves(parameters(flow)) for flow in flows])
    rise = curves[:, TIMES < 9]
    assert (np.diff(rise[:, -1]) > 0).all()
    assert (curves > -1e-4).all()


def test_slopes_are_those_of_the_curves(model):
    """Each derivative against the curve's change when its parameter is moved a little."""
    usual = {"uneven": 0.2, "arteriole": 0.012, "venule": 0.015, "delay": 0.4}
    at = np.concatenate([parameters(0.8, **usual), parameters(4.0, ps=0.5, space=0.3, **usual)])
    here, by = model.slopes(at)
    np.testing.assert_allclose(here, model.curves(at), atol=1e-6)
    # Wide enough that single precision does not show, narrow enough for a straight line.
    for n, step in enumerate((0.02, 0.02, 0.02, 0.02, 0.02, 0.05, 0.05, 0.025)):
        up, down = at.copy(), at.copy()
        up[:, n] += step
        down[:, n] -= step
        told = (model.curves(up) - model.curves(down)) / (2 * step)
        np.testing.assert_allclose(by[:, n], told, atol=0.03 * np.abs(told).max())

"""Each model recovers flow from curves that its own closed form has made, and knows its limits."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from processing.mcaq.kinetics import fermi, names, tikhonov, two_compartment, upslope
from processing.mcaq.kinetics.curves import Curves, Passage
from processing.mcaq.kinetics.exchange import Spill, no_spill
from processing.mcaq.kinetics.models import MODELS
from tests.mcaq.curves import made

HAEMATOCRIT, DENSITY = 0.42, 1.05
FINE_S = 0.02
FINE = np.arange(0, 60, FINE_S)
FLOWS = np.array([0.5, 1.0, 2.0, 3.5])
#: How frames lie in time: even and quick, even and slow, and as a heart beats that misses some.
RHYTHMS = ("quick", "slow", "uneven")
#: Between frames blood is not known: what that may cost.
NEAR = {"quick": 0.05, "slow": 0.1, "uneven": 0.1}
#: A free residue function is smoothed, and its delay lies on a grid.
NEAR_FREE = 0.1
#: The exchange model by itself is tested with its own curves.
OTHERS = [name for name in MODELS if name != "exchange"]
RECOVERING = {"fermi": fermi, "tikhonov": tikhonov, "two_compartment": two_compartment}


def arterial(times_s):
    """Whole blood, mmol/l: a first pass of 4 mmol/l about 9 s and what stays of it."""
    late = np.maximum(times_s - 5, 0)
    return 4 * (late / 4) ** 3 * np.exp(3 * (1 - late / 4)) + 0.6 * (1 - np.exp(-late / 15))


def frames(rhythm):
    steps = {"quick": [0.5], "slow": [0.9], "uneven": [0.6, 0.85, 0.7, 0.7, 1.4, 0.65]}[rhythm]
    times = np.concatenate([[0], np.cumsum(np.tile(steps, 90))])
    return times[times < 45]


def residue(name, flow):
    """The model's closed form at ``FINE``: whole-blood flow's residue function, one at zero."""
    if name == "two_compartment":
        return exchange_of_two(flow)
    # Steepness 0.8/s, width 4 s: what a free curve of another kind may look like as well.
    return (1 + np.exp(-3.2)) / (1 + np.exp(0.8 * (FINE - 4)))


def exchange_of_two(flow, ps=1.0, plasma=0.06, space=0.2):
    """By eigenvalues of the two equations, apart from how the model writes its exponentials."""
    inflow, swap = flow * DENSITY / 60 * (1 - HAEMATOCRIT), ps * DENSITY / 60
    rates = np.array([
        [-(inflow + swap) / plasma, swap / plasma],
        [swap / space, -swap / space],
    ])  # fmt: skip
    values, vectors = np.linalg.eig(rates)
    begun = np.linalg.solve(vectors, [inflow / plasma, 0.0])
    held = np.array([plasma, space]) @ (vectors * begun) @ np.exp(values[:, None] * FINE)
    return held / inflow


def curves_of(name, rhythm="quick", delay_s=0.0, flows=FLOWS, spill=0.0):
    times = frames(rhythm)
    tissue = []
    for flow in flows:
        through = np.convolve(arterial(FINE), residue(name, flow))[: len(FINE)] * FINE_S
        tissue.append(np.interp(times - delay_s, FINE, flow * DENSITY / 60 * through))
    blood = arterial(times)
    count = len(flows)
    return Curves(
        times, blood, np.array(tissue) + spill * blood, np.ones(len(times), bool),
        np.full(count, 1e-3), HAEMATOCRIT, DENSITY,
        Spill(np.full(count, spill), np.full(count, 0.01 + spill)) if spill else no_spill(count),
    )  # fmt: skip


# --- the closed forms ----------------------------------------------------------------------------
@pytest.mark.parametrize("rhythm", RHYTHMS)
@pytest.mark.parametrize("delay_s", [0.0, 0.6, 1.7])
@pytest.mark.parametrize("name", RECOVERING)
def test_flow_is_recovered(name, delay_s, rhythm):
    found = RECOVERING[name].fit(curves_of(name, rhythm, delay_s))
    near = NEAR_FREE if name == "tikhonov" else NEAR[rhythm]
    np.testing.assert_allclose(found.value, FLOWS, rtol=near)


@pytest.mark.parametrize("delay_s", [0.0, 0.6, 1.7])
@pytest.mark.parametrize("name", RECOVERING)
def test_the_delay_is_recovered(name, delay_s):
    found = RECOVERING[name].fit(curves_of(name, "quick", delay_s))
    np.testing.assert_allclose(found.delay_s, delay_s, atol=0.25)


@pytest.mark.parametrize("rhythm", RHYTHMS)
@pytest.mark.parametrize("delay_s", [0.0, 1.3])
def test_the_upslope_of_scaled_blood_is_its_scale(delay_s, rhythm):
    """Tissue that is blood, less and late: its slope is the same share of blood's."""
    times, shares = frames(rhythm), np.array([0.02, 0.1, 0.4])
    tissue = shares[:, None] * arterial(times - delay_s)
    curves = Curves(
        times, arterial(times), tissue, np.ones(len(times), bool), np.full(3, 1e-3), 0.42, 1.05,
        no_spill(3),
    )  # fmt: skip
    found = upslope.fit(curves).value
    # Five frames under one line see a narrow rise less steep than three do.
    np.testing.assert_allclose(found / found[0], shares / shares[0], rtol=1e-6)
    np.testing.assert_allclose(found, shares, rtol=0.35)


def test_the_upslope_of_a_straight_rise_is_exact():
    times = frames("uneven")
    blood = np.clip(times - 6, 0, 8)
    tissue = 0.25 * np.clip(times - 8, 0, 8)[None]
    curves = Curves(
        times, blood, tissue, np.ones(len(times), bool), np.full(1, 1e-3), 0.42, 1.05, no_spill(1)
    )
    assert upslope.fit(curves).value == pytest.approx([0.25])


def test_one_compartment_is_a_case_of_two():
    """Without exchange only plasma is left, one exponential."""
    times, flow = frames("quick"), 1.5
    inflow = flow * DENSITY / 60 * (1 - HAEMATOCRIT)
    held = np.exp(-inflow / 0.06 * FINE)
    through = np.convolve(arterial(FINE), held)[: len(FINE)] * FINE_S
    tissue = np.interp(times, FINE, flow * DENSITY / 60 * through)[None]
    curves = replace(
        curves_of("fermi", flows=[1.0]), tissue=tissue, times_s=times, blood=arterial(times)
    )
    assert two_compartment.fit(curves).value == pytest.approx([flow], rel=0.05)


# --- what must not matter ------------------------------------------------------------------------
@pytest.mark.parametrize("name", OTHERS)
def test_a_common_scale_of_blood_and_tissue_is_of_no_matter(name):
    curves = curves_of("fermi", "slow", 0.4)
    scaled = replace(
        curves, blood=3 * curves.blood, tissue=3 * curves.tissue, noise=3 * curves.noise
    )
    one, other = MODELS[name](curves).value, MODELS[name](scaled).value
    np.testing.assert_allclose(other, one, rtol=0.01)


@pytest.mark.parametrize("name", ["tikhonov", "upslope", "fermi"])
def test_twice_the_tissue_is_twice_the_flow(name):
    """These are linear in the tissue's curve."""
    curves = curves_of("fermi")
    double = replace(curves, tissue=2 * curves.tissue, noise=2 * curves.noise)
    one, other = MODELS[name](curves).value, MODELS[name](double).value
    np.testing.assert_allclose(other, 2 * one, rtol=0.01)


@pytest.mark.parametrize("name", OTHERS)
def test_each_curve_is_fitted_by_itself_unless_they_share_a_delay(name):
    curves = curves_of("fermi", "slow")
    alone = np.concatenate(
        [MODELS[name](curves.some(np.arange(len(FLOWS)) == n)).value for n in range(len(FLOWS))]
    )
    np.testing.assert_allclose(MODELS[name](curves).value, alone, rtol=1e-6)


@pytest.mark.parametrize("name", OTHERS)
def test_frames_left_out_have_no_say(name):
    curves = curves_of("fermi")
    used = np.ones(len(curves.times_s), bool)
    used[[4, 30, 31, 50]] = False
    spoilt = curves.tissue.copy()
    spoilt[:, ~used] = np.nan
    clean, dirty = (replace(curves, used=used, tissue=one) for one in (curves.tissue, spoilt))
    np.testing.assert_array_equal(MODELS[name](clean).value, MODELS[name](dirty).value)


@pytest.mark.parametrize("share", [0.05, 0.2])
@pytest.mark.parametrize("name", RECOVERING)
def test_blood_that_is_expected_in_the_curve_is_no_flow(name, share):
    found = RECOVERING[name].fit(curves_of(name, "quick", 0.5, spill=share))
    np.testing.assert_allclose(found.value, FLOWS, rtol=0.1)


@pytest.mark.parametrize("name", ["fermi", "two_compartment"])
def test_blood_is_told_apart_where_its_share_is_half_known(name):
    """Twice as much shines in as is expected, and it is not known to better than that."""
    curves = curves_of(name, "quick", 0.5, spill=0.1)
    half = replace(curves, spill=Spill(np.full(len(FLOWS), 0.05), np.full(len(FLOWS), 0.06)))
    np.testing.assert_allclose(RECOVERING[name].fit(half).value, FLOWS, rtol=0.15)


# --- what cannot be told -------------------------------------------------------------------------
@pytest.mark.parametrize("name", MODELS)
def test_a_curve_without_numbers_is_not_known_and_leaves_the_others_alone(name):
    curves = curves_of("fermi")
    spoilt = curves.tissue.copy()
    spoilt[1, 20] = np.nan
    found = MODELS[name](replace(curves, tissue=spoilt)).value
    assert np.isnan(found[1])
    assert np.isfinite(np.delete(found, 1)).all()


def some_frames(curves, count):
    used = np.zeros(len(curves.times_s), bool)
    used[:count] = True
    return replace(curves, used=used)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(
    "spoil",
    [
        lambda curves: some_frames(curves, 7),
        lambda curves: some_frames(curves, 0),
        lambda curves: replace(curves, blood=0 * curves.blood),
        lambda curves: replace(curves, blood=np.nan * curves.blood),
        lambda curves: replace(curves, tissue=np.nan * curves.tissue),
    ],
    ids=["short", "no frames", "no contrast", "no blood", "no tissue"],
)
def test_what_cannot_be_told_is_not_known(name, spoil):
    assert np.isnan(MODELS[name](spoil(curves_of("fermi"))).value).all()


@pytest.mark.parametrize("name", MODELS)
def test_no_curves_give_no_values(name):
    curves = curves_of("fermi").some(np.zeros(len(FLOWS), bool))
    assert MODELS[name](curves).value.shape == (0,)


@pytest.mark.parametrize("name", OTHERS)
def test_tissue_that_takes_up_nothing_has_next_to_no_flow(name):
    curves = curves_of("fermi")
    grain = 0.002 * np.random.default_rng(2).standard_normal(curves.tissue.shape)
    found = MODELS[name](replace(curves, tissue=grain, noise=np.full(len(FLOWS), 0.002))).value
    assert (found >= 0).all()
    assert (found < 0.15).all()


# --- muscle that is none of them -----------------------------------------------------------------
@dataclass(frozen=True)
class Muscle:
    found: dict[str, np.ndarray]
    flows: np.ndarray


@pytest.fixture(scope="module", params=["stress", "rest"])
def muscle(request):
    """Exchange along unequal capillaries, under a segment's noise, 0.6 s late."""
    flows = np.array([0.5, 0.8, 1.2, 1.8, 2.6])
    simulated = made(request.param, flows, delay_s=0.6)
    found = {}
    for name in OTHERS:
        draws = [
            MODELS[name](
                Curves(
                    simulated.times_s,
                    simulated.aif,
                    simulated.noisy(0.01, seed),
                    np.ones(len(simulated.times_s), bool),
                    np.full(len(flows), 0.01),
                    HAEMATOCRIT,
                    DENSITY,
                    no_spill(len(flows)),
                    one_delay=True,
                )
            ).value
            for seed in range(2)
        ]
        found[name] = np.mean(draws, axis=0)
    return Muscle(found, flows)


@pytest.mark.parametrize("name", OTHERS)
def test_more_flow_is_found_where_there_is_more(muscle, name):
    assert (np.diff(muscle.found[name]) > 0).all()


@pytest.mark.parametrize(
    ("name", "within"),
    # A Fermi function stands for the first pass alone; a mixed compartment asks for more flow.
    [("fermi", 0.25), ("tikhonov", 0.2), ("two_compartment", 0.5)],
)
def test_flow_of_simulated_muscle(muscle, name, within):
    np.testing.assert_allclose(muscle.found[name], muscle.flows, rtol=within)


def test_upslope_grows_less_than_flow(muscle):
    ratio = muscle.found["upslope"] / muscle.flows
    assert (np.diff(ratio) < 0.05 * ratio[:-1]).all()
    assert ratio[-1] < ratio[0]


# --- the parts -----------------------------------------------------------------------------------
def test_blood_through_an_exponential_is_the_closed_form():
    """A ramp through e^(−kt): t/k − (1 − e^(−kt))/k²."""
    times = np.arange(0, 40, 0.5)
    passage = Passage(times, times)
    at = passage.fine_s
    for rate in (0.05, 0.5, 2.0):
        told = at / rate - (1 - np.exp(-rate * at)) / rate**2
        found = passage.through(np.exp(-rate * at))
        np.testing.assert_allclose(found[:-2], told[:-2], atol=0.005 * told.max())


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        (None, ()),
        ("all", tuple(names.UNITS)),
        (["all"], tuple(names.UNITS)),
        ("upslope, fermi", ("fermi", "upslope")),
        (["tikhonov", "tikhonov"], ("tikhonov",)),
        ([], ()),
    ],
)
def test_models_are_chosen_by_name(asked, given):
    assert names.named(asked) == given


@pytest.mark.parametrize("asked", ["patlak", "", "fermi,", 7, [3]])
def test_a_model_that_is_not_there_is_refused(asked):
    with pytest.raises(names.UnknownModel):
        names.named(asked)


def test_maps_are_made_with_models_of_flow_alone():
    assert names.of_flow(None) == "exchange"
    assert names.of_flow("fermi") == "fermi"
    for name in ("upslope", "patlak"):
        with pytest.raises(names.UnknownModel, match="exchange, fermi"):
            names.of_flow(name)


def test_every_model_has_a_name_and_a_unit():
    assert list(MODELS) == list(names.UNITS)

"""T2* of blood from two echoes: known decays, noise, Bloch signals, a phantom's input series."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from processing.mcaq import pipeline, t2_star
from processing.mcaq import signal as sr
from processing.mcaq.phantom import bloch, make_study
from tests.mcaq.scene import blood_of

ECHOES_S = (0.0008, 0.0019)
TIMES = 0.8 * np.arange(50)
AMOUNT = 4.5 * blood_of(TIMES, 8.0, 4.5)
BEFORE = slice(1, 8)


def two_echoes(decay, amount=AMOUNT):
    """The signal without decay, and what two echoes keep of it."""
    plain = 3 + 200 * amount / (1 + 0.15 * amount)
    return plain, *(plain * np.exp(-echo * decay) for echo in ECHOES_S)


@pytest.mark.parametrize("relaxivity", [10.0, 20.0, 40.0])
def test_a_known_decay_is_found_and_undone(relaxivity):
    decay = 12 + relaxivity * AMOUNT
    plain, first, later = two_echoes(decay)
    found = t2_star.r2_star(first, later, ECHOES_S, BEFORE)
    bright = first > 0.5 * first.max()
    np.testing.assert_allclose(found[bright], decay[bright], rtol=0.05)
    undone = t2_star.undone(first, found, ECHOES_S[0])
    # Dim frames take the decay before contrast as far as they are dim.
    np.testing.assert_allclose(undone, plain, atol=0.003 * plain.max())
    assert undone.max() == pytest.approx(plain.max(), rel=0.002)


def test_noise_of_dim_blood_is_not_made_greater():
    """Nearly black before contrast: the ratio of two echoes is then nothing but noise."""
    plain, first, later = two_echoes(12 + 20 * AMOUNT)
    rng = np.random.default_rng(5)
    noise = 3.0
    errors, plain_errors = [], []
    for _ in range(200):
        one, two = (np.abs(each + noise * rng.standard_normal(50)) for each in (first, later))
        found = t2_star.undone(one, t2_star.r2_star(one, two, ECHOES_S, BEFORE), ECHOES_S[0])
        assert np.isfinite(found).all()
        errors.append((found - plain)[BEFORE])
        plain_errors.append((one - first)[BEFORE])
    assert np.std(errors) < 1.1 * np.std(plain_errors)


def test_echoes_in_the_wrong_order_are_refused():
    with pytest.raises(ValueError, match="later echo"):
        t2_star.r2_star(AMOUNT, AMOUNT, (0.002, 0.001), BEFORE)


@pytest.mark.parametrize("r2_star", [10.0, 20.0, 40.0])
def test_signal_no_longer_depends_on_how_blood_decays(r2_star):
    """Magnetisation followed pulse by pulse, in blood of more or less R2* than is usual."""
    red = bloch.Tissue(1660.0, 220, 1.0, 12, r2_star)

    def at(echo_s):
        way = bloch.Readout(24.0, 8.0, 1.6, 1000 * echo_s, 8, 4.7, 5.8)
        return bloch.signal_of(AMOUNT, red, way)

    truth, first, later = at(0.0), at(ECHOES_S[0]), at(ECHOES_S[1])
    found = t2_star.undone(first, t2_star.r2_star(first, later, ECHOES_S, BEFORE), ECHOES_S[0])
    np.testing.assert_allclose(found, truth, atol=0.005 * truth.max())
    # One echo alone must take the usual decay for granted.
    assumed = first * np.exp(ECHOES_S[0] * sr.R2_STAR_BLOOD * AMOUNT)
    if r2_star != sr.R2_STAR_BLOOD:
        assert abs(assumed.max() / truth.max() - 1) > 0.02


def test_a_phantoms_input_series_with_two_echoes():
    study = make_study(
        3, states=("rest",), levels=("mid",), frames=40, rows=112, cols=96, dual_sequence=True,
        input_echoes=2, breathing="held", pd_frames=2, defect=None,
    )  # fmt: skip
    one, truth = study.series[0], study.truth[0]
    assert one.aif.later_echo.shape == one.aif.signal.shape
    assert one.aif.later_echo.mean() < one.aif.signal.mean()
    (found,) = pipeline.analyse([one], {}, lambda *_: None).series
    # T2* of the phantom's blood at its peak.
    assert found.parameters["aif_t2_star_ms"] == pytest.approx(
        1000 / (12 + 20 * truth.aif_mmol_l.max()), rel=0.1
    )
    assert np.nanmax(found.aif_mmol_l) == pytest.approx(truth.aif_mmol_l.max(), rel=0.08)
    (single,) = pipeline.analyse(
        [replace(one, aif=replace(one.aif, later_echo=None))], {}, lambda *_: None
    ).series
    assert single.parameters["aif_t2_star_ms"] is None

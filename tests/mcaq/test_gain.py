"""The gain of synthetic signals, made by the same physics with a known gain and residue."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from processing.mcaq import input_function
from processing.mcaq import signal as sr
from processing.mcaq.gain import LEVELLED, MUSCLE_TO_BLOOD, Gain, estimate
from processing.mcaq.input_function import BloodCurve
from processing.mcaq.phantom import bloch, blood, films, signals
from processing.mcaq.series import GivenInputFunction
from tests.mcaq.scene import blood_of
from tests.mcaq.test_signal import FLASH, SEQUENCES

GAIN = 1250.0


@pytest.fixture(params=SEQUENCES)
def how(request):
    return sr.physics(SEQUENCES[request.param])


#: With a short saturation time blood is nearly black before contrast and tells little.
@pytest.fixture(params=[name for name in SEQUENCES if name != "short saturation"])
def of_tissue(request):
    return sr.physics(SEQUENCES[request.param])


def blood_signal(how, mmol_l):
    amount = np.atleast_1d(np.asarray(mmol_l, dtype=float))
    return GAIN * how.recovery(how.r1_blood(amount), amount)


def witnesses(how, peak, residue=0.0):
    """Blood and muscle before contrast, the peak and the valley behind it, a fifth of it."""
    muscle = how.recovery(how.r1_muscle(np.array([LEVELLED * residue])))
    return {
        "blood_before": float(blood_signal(how, residue)[0]),
        "blood_peak": float(blood_signal(how, residue + peak)[0]),
        "blood_valley": float(blood_signal(how, residue + peak / 5)[0]),
        "muscle_before": GAIN * MUSCLE_TO_BLOOD * float(muscle[0]),
    }


@pytest.mark.parametrize("peak", [3.5, 4.4, 5.2])
def test_witnesses_that_agree_are_believed(of_tissue, peak):
    """At peaks that are published of healthy people (Kellman 2017; Xue 2019)."""
    found = estimate(of_tissue, **witnesses(of_tissue, peak))
    assert found.blood == pytest.approx(GAIN, rel=0.05)
    assert found.muscle == pytest.approx(MUSCLE_TO_BLOOD * GAIN, rel=0.05)
    assert found.residue < 0.05
    assert found.source == "baseline"


@pytest.mark.parametrize("peak", [2.0, 6.0])
def test_an_unusual_peak_is_found_within_its_uncertainty(of_tissue, peak):
    found = estimate(of_tissue, **witnesses(of_tissue, peak))
    # Two standard deviations of what is said to be unsure.
    assert abs(np.log(found.blood / GAIN)) < 2 * found.spread
    assert found.spread < 0.3


@pytest.mark.parametrize("peak", [3.5, 4.4, 5.2])
def test_a_short_saturation_time_tells_the_gain_to_a_fifth(peak):
    how = sr.physics(SEQUENCES["short saturation"])
    assert estimate(how, **witnesses(how, peak)).blood == pytest.approx(GAIN, rel=0.2)


def test_the_scale_of_the_signal_means_nothing():
    how = sr.physics(FLASH)
    given = witnesses(how, 4.0)
    one = estimate(how, **given)
    many = estimate(how, **{name: 1000 * value for name, value in given.items()})
    assert many.blood == pytest.approx(1000 * one.blood, rel=1e-6)
    assert many.residue == pytest.approx(one.residue, abs=1e-6)
    assert many.spread == pytest.approx(one.spread, rel=1e-6)


@pytest.mark.parametrize("wrong", [0.6, 1.6])
def test_proton_density_wins(how, wrong):
    given = witnesses(how, 4.0)
    given["blood_before"] *= wrong
    given["muscle_before"] *= wrong
    found = estimate(how, **given, proton_density=GAIN)
    # Proton-density frames measure it to some 4 %, their noise and what the angle is short of.
    assert found.blood == pytest.approx(GAIN, rel=0.04)
    assert found.source == "proton density"
    assert found.spread < estimate(how, **given).spread


def test_a_proton_density_angle_that_was_guessed_has_less_to_say():
    how = sr.physics(FLASH)
    given = witnesses(how, 4.0)
    found = estimate(how, **given, proton_density=2 * GAIN, proton_density_is_sure=False)
    # The two others agree and outvote it.
    assert abs(found.blood - GAIN) < abs(found.blood - 2 * GAIN)
    sure = estimate(how, **given, proton_density=GAIN)
    unsure = estimate(how, **given, proton_density=GAIN, proton_density_is_sure=False)
    assert sure.spread < unsure.spread


@pytest.mark.parametrize("residue", [0.3, 0.6])
def test_contrast_left_by_an_earlier_injection_is_found(of_tissue, residue):
    found = estimate(of_tissue, **witnesses(of_tissue, 4.0, residue))
    # To half of it: without it, blood would be several times too bright before contrast.
    assert found.residue == pytest.approx(residue, rel=0.5)
    assert found.blood == pytest.approx(GAIN, rel=0.25)


def test_with_proton_density_the_residue_is_no_guess(how):
    found = estimate(how, **witnesses(how, 4.0, 0.5), proton_density=GAIN)
    assert found.residue == pytest.approx(0.5, abs=0.1)
    assert found.blood == pytest.approx(GAIN, rel=0.04)


def test_without_muscle_or_valley_there_is_still_an_answer(of_tissue):
    given = witnesses(of_tissue, 4.0)
    found = estimate(of_tissue, **{**given, "muscle_before": None, "blood_valley": None})
    assert found.blood == pytest.approx(GAIN, rel=0.15)
    assert found.spread > 0


@pytest.mark.parametrize("before", [0.0, 1e-9])
def test_blood_that_is_black_before_contrast_gives_a_number(before):
    found = estimate(sr.physics(FLASH), blood_before=before, blood_peak=300.0, muscle_before=before)
    assert found.blood > 0
    assert np.isfinite([found.blood, found.muscle, found.residue, found.spread]).all()


# --- the blood's curve --------------------------------------------------------------------------
TIMES = 0.8 * np.arange(50)
TRUE = 4.2 * blood_of(TIMES, 8.0, 4.5)


def curve_of(signal):
    return BloodCurve(signal, sr.baseline_frames(signal, TIMES), np.ones((3, 3), dtype=bool))


def gain_of(source="proton density", residue=0.0):
    return Gain(GAIN, MUSCLE_TO_BLOOD * GAIN, residue, 0.05, source)


def test_concentration_of_blood_comes_back(how):
    found = input_function.from_blood(
        curve_of(blood_signal(how, TRUE)), TIMES, gain_of(), how, "this series"
    )
    np.testing.assert_allclose(found.mmol_l, TRUE, atol=0.01)
    assert found.peak == pytest.approx(TRUE.max(), rel=0.01)
    assert found.source == "this series"


def test_what_was_there_before_is_taken_off():
    how = sr.physics(FLASH)
    found = input_function.from_blood(
        curve_of(blood_signal(how, TRUE + 0.4)), TIMES, gain_of(residue=0.4), how, "this series"
    )
    np.testing.assert_allclose(found.mmol_l, TRUE, atol=0.01)
    assert "contrast_before" in {flag.name for flag in found.flags}


def test_a_saturated_peak_is_noticed():
    # Full recovery long before the image: strong blood can no longer be told apart.
    slow = sr.physics(replace(FLASH, saturation_time_ms=250.0))
    strong = input_function.from_blood(
        curve_of(blood_signal(slow, 2.5 * TRUE)), TIMES, gain_of(), slow, "this series"
    )
    assert "aif_saturated" in {flag.name for flag in strong.flags}
    quick = sr.physics(SEQUENCES["short saturation"])
    mild = input_function.from_blood(
        curve_of(blood_signal(quick, TRUE)), TIMES, gain_of(), quick, "this series"
    )
    assert mild.flags == ()
    assert mild.saturation < strong.saturation


@pytest.mark.parametrize("saturation_ms", [80.0, 100.0, 120.0, 150.0])
@pytest.mark.parametrize("dose", [0.5, 0.75, 1.0, 1.25, 1.5])
@pytest.mark.parametrize("state", ["stress", "rest"])
def test_a_single_sequence_is_right_or_says_that_it_is_saturated(state, dose, saturation_ms):
    """Blood followed pulse by pulse, for doses relative to those of the published peaks."""
    way = blood.circulate(films.bolus(702, state, 2.0, dose), 45.0)
    times = np.arange(0, 45, 0.8)
    truth = np.interp(times, way.times_s, way.left)
    readout = bloch.Readout(saturation_ms, 12.0, 2.2, 1.1, 24, 4.7, 5.8)
    signal = 3600 * bloch.signal_of(truth, signals.blood_tissue(1.5), readout)
    muscle = 3600 * bloch.signal_of(np.zeros(1), signals.muscle_tissue(1.5), readout)
    how = sr.physics(replace(FLASH, saturation_time_ms=saturation_ms))
    curve = BloodCurve(signal, sr.baseline_frames(signal, times), np.ones((3, 3), dtype=bool))
    gain = estimate(
        how, blood_before=curve.baseline, blood_peak=curve.peak,
        blood_valley=curve.valley(times), muscle_before=float(muscle[0]),
    )  # fmt: skip
    found = input_function.from_blood(curve, times, gain, how, "this series")
    if "aif_saturated" not in {flag.name for flag in found.flags}:
        assert abs(found.peak / truth.max() - 1) < 0.25
    else:
        assert dose * saturation_ms > 90


def test_a_level_that_rests_on_what_is_usual_is_said():
    how = sr.physics(FLASH)
    found = input_function.from_blood(
        curve_of(blood_signal(how, TRUE)), TIMES, gain_of("usual peak"), how, "this series"
    )
    assert "usual_peak_assumed" in {flag.name for flag in found.flags}


def test_the_valley_is_that_behind_the_first_pass():
    signal = 50 + 400 * blood_of(TIMES, 8.0, 4.5)
    first = int(signal.argmax())
    # Smoothing over a frame moves it a little.
    assert curve_of(signal).valley(TIMES) == pytest.approx(
        signal[first : first + 20].min(), rel=0.1
    )


def test_a_film_that_ends_too_soon_has_no_valley():
    # 4 s behind the peak, where blood still falls.
    times = TIMES[:21]
    signal = 50 + 400 * blood_of(times, 8.0, 4.5)
    assert times[signal.argmax()] < 13
    found = BloodCurve(signal, slice(1, 9), np.ones((3, 3), dtype=bool))
    assert found.valley(times) is None


def test_a_given_input_function_is_itself():
    given = GivenInputFunction(np.array([0.0, 5, 9]), np.array([0.0, 4, 1]))
    found = input_function.given(given)
    np.testing.assert_allclose(found.at(np.array([0.0, 2.5, 5, 7, 9])), [0, 2, 4, 2.5, 1])
    assert found.peak == 4
    assert [flag.name for flag in found.flags] == ["aif_given"]


def test_blood_is_read_where_it_is_purest():
    """Papillary muscle and the border's pixels hold less contrast: they must not lower the peak."""
    signal = blood_signal(sr.physics(FLASH), TRUE)
    rows, cols = np.mgrid[:21, :21] - 10.0
    radius = np.hypot(rows, cols)
    cavity = radius < 9
    share = np.clip((9 - radius) / 2, 0.3, 1)
    share[8:13, 3:8] = 0.3
    share[3:8, 13:17] = 0.3
    film = (signal[:, None, None] * share).astype(np.float32)
    film += np.random.default_rng(2).normal(0, 2, film.shape).astype(np.float32)
    found = input_function.blood_curve(film, TIMES, cavity)
    mean = film[:, cavity].mean(axis=1)
    assert mean.max() < 0.85 * signal.max()
    np.testing.assert_allclose(found.peak, signal.max(), rtol=0.02)
    np.testing.assert_allclose(found.signal, signal, atol=0.03 * signal.max())
    assert (share[found.pixels] > 0.9).all()

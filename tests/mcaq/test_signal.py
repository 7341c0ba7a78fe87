"""Signal and concentration: limits with closed forms, pulses one by one, there and back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from processing.mcaq import signal as sr
from processing.mcaq.phantom import bloch
from processing.mcaq.series import Acquisition

FLASH = Acquisition(
    sequence="flash",
    field_t=1.5,
    saturation_time_ms=100.0,
    flip_angle_deg=12.0,
    pd_flip_angle_deg=5.0,
    repetition_time_ms=2.2,
    echo_time_ms=1.1,
    pulses_to_centre=24,
    relaxivity_l_per_mmol_s=4.7,
    t1_myocardium_ms=1070.0,
    t1_blood_ms=1660.0,
    haematocrit=0.42,
    tissue_density_g_per_ml=1.05,
)
BALANCED = replace(
    FLASH, sequence="bssfp", flip_angle_deg=50.0, repetition_time_ms=2.7, echo_time_ms=1.35
)
SEQUENCES = {
    "FLASH": FLASH,
    "FLASH, pulses unknown": replace(FLASH, pulses_to_centre=None),
    "FLASH at 3 T": replace(FLASH, field_t=3.0, flip_angle_deg=15.0, saturation_time_ms=120.0),
    "short saturation": replace(
        FLASH, saturation_time_ms=24.0, flip_angle_deg=8.0, repetition_time_ms=1.6,
        pulses_to_centre=8, echo_time_ms=0.8,
    ),
    "bSSFP": BALANCED,
    "bSSFP, pulses unknown": replace(BALANCED, pulses_to_centre=None),
}  # fmt: skip
R1 = np.geomspace(0.4, 60, 40)


@pytest.fixture(params=SEQUENCES)
def how(request):
    return sr.physics(SEQUENCES[request.param])


def pulse_by_pulse(r1, flip_deg, acquisition=FLASH):
    """Longitudinal magnetisation at the k-space centre (Wissmann 2014), followed pulse by pulse."""
    repetition = acquisition.repetition_time_ms / 1000
    pulses = acquisition.pulses_to_centre
    wait = acquisition.saturation_time_ms / 1000 - pulses * repetition
    along = 1 - np.exp(-wait * r1)
    for _ in range(pulses - 1):
        along = 1 - (1 - along * np.cos(np.radians(flip_deg))) * np.exp(-repetition * r1)
    return along


# --- the signal of a relaxation rate ------------------------------------------------------------
def test_without_pulses_it_is_saturation_recovery():
    for name in ("FLASH, pulses unknown", "bSSFP, pulses unknown"):
        how = sr.physics(SEQUENCES[name])
        np.testing.assert_allclose(how.recovery(R1), 1 - np.exp(-0.1 * R1), rtol=1e-12)


def test_small_flip_angles_leave_saturation_recovery():
    how = sr.physics(replace(FLASH, flip_angle_deg=0.005))
    # To within one repetition time, by which definitions of the centre differ.
    assert (how.recovery(R1) <= 1 - np.exp(-0.1 * R1) + 1e-6).all()
    assert (how.recovery(R1) >= 1 - np.exp(-(0.1 - 0.0022) * R1) - 1e-6).all()


def test_pulses_take_what_they_take_one_by_one():
    found = sr.physics(FLASH).recovery(R1)
    # The mean angle across a slice that is not cut square is less than nominal, not by a fifth.
    assert (found >= pulse_by_pulse(R1, 12.0) - 1e-9).all()
    assert (found <= pulse_by_pulse(R1, 0.8 * 12.0) + 1e-9).all()


def test_one_pulse_changes_nothing():
    one = sr.physics(replace(FLASH, pulses_to_centre=1))
    np.testing.assert_allclose(one.recovery(R1), 1 - np.exp(-0.1 * R1), rtol=1e-12)


def test_full_recovery_is_the_most_there_is(how):
    # Balanced pulses turn what recovers between them to twice the angle: no matter for rates that
    # blood can have.
    most = 60 if how.balanced and how.pulses_to_centre > 1 else 1000
    found = how.recovery(np.geomspace(0.01, most, 200))
    assert (np.diff(found) > -1e-12).all()
    assert (found > 0).all()
    assert found[-1] <= 1


def test_contrast_speeds_relaxation_by_its_relaxivity():
    how = sr.physics(FLASH)
    amount = np.array([0.0, 0.5, 4.0])
    np.testing.assert_allclose(how.r1_blood(amount), 1 / 1.66 + 4.7 * amount)
    np.testing.assert_allclose(how.r1_muscle(amount), 1 / 1.07 + 4.7 * amount)


def test_t2_star_dims_strong_blood():
    how = sr.physics(FLASH)
    amount = np.array([0.0, 4.5])
    dimmed = how.recovery(how.r1_blood(amount), amount) / how.recovery(how.r1_blood(amount))
    # T2* of about 10 ms at the peak (Kellman 2017) at an echo time of 1.1 ms.
    np.testing.assert_allclose(dimmed, [1.0, np.exp(-1.1 / 10)], atol=0.03)


@pytest.mark.parametrize("field", [1.5, 3.0])
def test_follows_the_magnetisation_of_a_real_slice(field):
    """The phantom's isochromats, slice profile and RF spoiling, none of which the engine has."""
    acquisition = replace(FLASH, field_t=field, t1_blood_ms=1660.0 if field == 1.5 else 1950.0)
    how = sr.physics(acquisition)
    amount = np.linspace(0, 5, 11)
    readout = bloch.Readout(100.0, 12.0, 2.2, 1.1, 24, 4.7, 5.8)
    red = bloch.Tissue(acquisition.t1_blood_ms, 220, 1.0, 12, 20)
    told = bloch.signal_of(amount, red, readout)
    mine = how.recovery(how.r1_blood(amount), amount)
    # A tenth of signal: what is left to the slice's profile and to imperfect spoiling.
    np.testing.assert_allclose(mine / mine[0], told / told[0], rtol=0.1)


def test_proton_density_frames_are_a_share_of_the_same_gain():
    few = sr.physics(replace(FLASH, pulses_to_centre=None))
    # Without pulses before the centre only the angles differ.
    share = np.sin(np.radians(5)) / np.sin(np.radians(12))
    assert few.proton_density_share() == pytest.approx(share, rel=1e-6)
    many = sr.physics(FLASH).proton_density_share()
    # 23 pulses of 5° take at most what they would take without any recovery.
    assert share * np.cos(np.radians(5)) ** 23 < many < share


# --- balanced sequences -------------------------------------------------------------------------
#: T1, T2 before contrast, s, and the most contrast, mmol/l.
TISSUES = {"blood": (1.66, 0.22, 5.0), "muscle": (1.07, 0.045, 1.5)}


def balanced_bloch(r1, r2, acquisition, run_up=3):
    """Transverse magnetisation at the echo of the k-space centre: Bloch, pulse by pulse.

    A linear run-up, pulses that alternate, no off-resonance, places across a slice's profile.
    """
    repetition = acquisition.repetition_time_ms / 1000
    pulses = acquisition.pulses_to_centre
    wait = acquisition.saturation_time_ms / 1000 - (pulses + run_up) * repetition
    found = np.zeros(len(r1))
    for place in (1.0, 0.99, 0.94, 0.78, 0.42):
        flip = np.radians(place * acquisition.flip_angle_deg)
        across, along = np.zeros(len(r1)), 1 - np.exp(-wait * r1)
        for pulse in range(run_up + pulses):
            turn = flip * min(1.0, (pulse + 0.5) / run_up) * (-1) ** pulse
            across, along = (
                np.cos(turn) * across - np.sin(turn) * along,
                np.sin(turn) * across + np.cos(turn) * along,
            )
            echo = np.abs(across) * np.exp(-repetition / 2 * r2)
            across = across * np.exp(-repetition * r2)
            along = 1 - (1 - along) * np.exp(-repetition * r1)
        found += echo / 5
    return found


@pytest.mark.parametrize("tissue", TISSUES)
@pytest.mark.parametrize("saturation_ms", [90.0, 150.0])
@pytest.mark.parametrize("flip_deg", [30.0, 50.0, 70.0])
def test_balanced_pulses_follow_the_magnetisation(tissue, saturation_ms, flip_deg):
    acquisition = replace(
        BALANCED, saturation_time_ms=saturation_ms, flip_angle_deg=flip_deg, pulses_to_centre=24
    )
    how = sr.physics(acquisition)
    t1, t2, most = TISSUES[tissue]
    amount = np.linspace(0, most, 8)
    r1 = 1 / t1 + 4.7 * amount
    told = balanced_bloch(r1, 1 / t2 + 4.7 * 1.04 * amount, acquisition)
    mine = how.recovery(r1, amount) if tissue == "blood" else how.recovery(r1)
    # The two hundredths are the slice's profile and the run-up.
    np.testing.assert_allclose(mine / mine[0], told / told[0], rtol=0.02)
    # Blood and muscle share one gain to a few hundredths: half the angle, a little less.
    gain = told[0] / mine[0]
    assert gain == pytest.approx(np.sin(np.radians(0.83 * flip_deg / 2)), rel=0.05)


def test_without_the_number_of_pulses_balanced_signal_is_nearly_known():
    """What pulses take they give back in part: recovery alone tells blood to a twentieth."""
    amount = np.linspace(0, 5, 8)
    r1 = 1 / 1.66 + 4.7 * amount
    told = balanced_bloch(r1, 1 / 0.22 + 4.7 * 1.04 * amount, BALANCED)
    mine = sr.physics(SEQUENCES["bSSFP, pulses unknown"]).recovery(r1, amount)
    np.testing.assert_allclose(mine / mine[0], told / told[0], rtol=0.05)


def test_proton_density_frames_of_a_balanced_sequence():
    """Spoiled ones of 5 degrees beside a read-out that turns by half its angle at a time."""
    few = sr.physics(SEQUENCES["bSSFP, pulses unknown"])
    share = np.sin(np.radians(5)) / np.sin(np.radians(25))
    assert few.proton_density_share() == pytest.approx(share, rel=1e-6)
    alike = sr.physics(replace(BALANCED, pd_flip_angle_deg=50.0))
    # The same read-out of full magnetisation loses what 24 pulses take from muscle.
    told = balanced_bloch(
        np.array([1 / 1.07]), np.array([1 / 0.045]), replace(BALANCED, saturation_time_ms=1e6)
    )
    full = np.sin(np.radians(0.83 * 25)) * np.exp(-1.35 / 45)
    assert alike.proton_density_share() == pytest.approx(told[0] / full, rel=0.06)


# --- there and back -----------------------------------------------------------------------------
def test_blood_there_and_back(how):
    amount = np.linspace(0, 5, 400)
    signal = 870.0 * how.recovery(how.r1_blood(amount), amount)
    assert (np.diff(signal) > 0).all()
    found = sr.blood_concentration(signal, 870.0, how)
    np.testing.assert_allclose(found, amount, atol=1e-3)


def test_muscle_there_and_back(how):
    amount = np.linspace(0, 3, 200)
    gains = np.array([40.0, 900.0, 52_000.0])
    signal = how.recovery(how.r1_muscle(amount))[:, None] * gains
    assert (np.diff(signal, axis=0) > 0).all()
    found = sr.muscle_concentration(signal, gains, how)
    np.testing.assert_allclose(found, np.repeat(amount[:, None], 3, axis=1), atol=1e-3)


def test_noise_about_nothing_stays_about_nothing(how):
    noise = 0.02 * np.random.default_rng(1).standard_normal(20_000)
    signal = how.recovery(how.r1_muscle(np.zeros(1))) * (1 + noise)
    found = sr.muscle_concentration(signal, np.ones(()), how)
    # The mean of 20,000 values scatters by a 140th of what one does.
    assert abs(found.mean()) < 0.03 * found.std()
    assert (found < 0).any()


def test_more_signal_is_never_less_contrast(how):
    found = sr.blood_concentration(np.linspace(0, 3000, 3000), 870.0, how)
    assert (np.diff(found) >= 0).all()
    assert np.isfinite(found).all()


# --- what is not known --------------------------------------------------------------------------
def test_nothing_is_assumed_where_all_is_known():
    assert sr.physics(FLASH).assumed == ()


AGENTS = {  # Shen 2015, whole blood at 37 °C, l/mmol/s, and what it may err.
    "gadoterate": ((3.9, 3.4), 0.4), "gadoteridol": ((4.4, 3.5), 0.6),
    "gadobenate": ((6.2, 5.4), 0.5), "gadopentetate": ((4.3, 3.8), 0.4),
    "gadobutrol": ((4.6, 4.5), 0.3),
}  # fmt: skip


@pytest.mark.parametrize("agent", AGENTS)
def test_the_agent_tells_its_relaxivity(agent):
    values, error = AGENTS[agent]
    for field, value in zip((1.5, 3.0), values, strict=True):
        known = replace(FLASH, field_t=field, agent=agent, relaxivity_l_per_mmol_s=None)
        how = sr.physics(known)
        assert how.relaxivity == pytest.approx(value, abs=error)
        (flag,) = how.assumed
        assert agent in flag.sentence
        assert flag.severity == "info"


def test_a_given_relaxivity_goes_before_the_agent():
    how = sr.physics(replace(FLASH, agent="gadobenate"))
    assert how.relaxivity == 4.7
    assert how.assumed == ()


def test_an_agent_nobody_knows_is_taken_for_the_usual_one_and_that_is_said():
    how = sr.physics(replace(FLASH, agent="something", relaxivity_l_per_mmol_s=None))
    assert how.relaxivity == sr.RELAXIVITIES[sr.USUAL_AGENT][1.5]
    (flag,) = how.assumed
    assert "not known" in flag.sentence
    assert sr.USUAL_AGENT in flag.sentence


@pytest.mark.parametrize("field", [0.55, 7.0])
def test_a_field_without_tables_is_said(field):
    how = sr.physics(replace(FLASH, field_t=field, t1_blood_ms=None))
    assert ("field_unusual", "warning") in {(flag.name, flag.severity) for flag in how.assumed}
    # Nothing of the tables is used where all is given.
    assert sr.physics(replace(FLASH, field_t=field)).assumed == ()


@pytest.mark.parametrize(("flip", "words"), [(12.0, "number of pulses"), (None, "flip angle")])
def test_pulses_or_flip_angle_that_are_not_known_are_said(flip, words):
    how = sr.physics(replace(FLASH, pulses_to_centre=None, flip_angle_deg=flip))
    (flag,) = how.assumed
    assert (flag.name, flag.severity) == ("pulses_unknown", "info")
    assert words in flag.sentence
    np.testing.assert_allclose(how.recovery(R1), 1 - np.exp(-0.1 * R1), rtol=1e-12)


#: Missing value: how loudly that is said. What the patient or the agent is taken to be is usual
#: knowledge; what the scanner did is not.
MISSING = {
    "field_t": "warning",
    "saturation_time_ms": "warning",
    "relaxivity_l_per_mmol_s": "info",
    "t1_myocardium_ms": "info",
    "t1_blood_ms": "info",
    "haematocrit": "info",
}


@pytest.mark.parametrize("name", MISSING)
def test_what_is_assumed_is_said(name):
    (flag,) = sr.physics(replace(FLASH, **{name: None})).assumed
    assert flag.severity == MISSING[name]
    assert name.removesuffix("_ms").removesuffix("_t") in flag.name
    assert flag.sentence.endswith(".")
    # The sentence names the number that is used instead.
    assert any(character.isdigit() for character in flag.sentence)


@pytest.mark.parametrize("name", ["field_t", "saturation_time_ms"])
def test_zero_in_a_header_is_not_known_either(name):
    assert sr.physics(replace(FLASH, **{name: 0.0})).assumed != ()


def test_nothing_unknown_is_taken_for_zero():
    how = sr.physics(Acquisition())
    for name in ("saturation_time_s", "relaxivity", "t1_blood_s", "t1_muscle_s", "density"):
        assert getattr(how, name) > 0, name
    assert 0 < how.haematocrit < 1
    assert (how.recovery(R1) > 0).all()
    assert how.proton_density_share() > 0
    # Everything that was assumed is told.
    assert len({flag.name for flag in how.assumed}) >= 6


def test_the_field_chooses_relaxation_times():
    low, high = (sr.physics(Acquisition(field_t=field)) for field in (1.5, 3.0))
    # T1 is longer and relaxivity no greater at the higher field.
    assert high.t1_blood_s > low.t1_blood_s
    assert high.t1_muscle_s > low.t1_muscle_s
    assert high.relaxivity <= low.relaxivity


@pytest.mark.parametrize(
    "change",
    [{"repetition_time_ms": 6.0}, {"repetition_time_ms": None}, {"flip_angle_deg": None}],
)
def test_pulses_that_cannot_be_are_left_out_and_said(change):
    how = sr.physics(replace(FLASH, **change))
    assert "pulses_ignored" in {flag.name for flag in how.assumed}
    np.testing.assert_allclose(how.recovery(R1), 1 - np.exp(-0.1 * R1), rtol=1e-12)


# --- frames before contrast ---------------------------------------------------------------------
def test_frames_before_contrast():
    times = 0.8 * np.arange(40)
    curve = 100 + 400 * np.clip((times - 12) / 4, 0, 1) * np.exp(-np.clip(times - 16, 0, None) / 6)
    found = sr.baseline_frames(curve, times)
    frames = np.arange(40)[found]
    assert len(frames) >= 8
    # A tenth of the rise may have come by then.
    assert times[frames].max() <= 12 + 0.1 * 4 + 0.8
    assert frames[0] in (1, 2)


def test_contrast_in_the_first_frame_leaves_one_frame_before():
    found = sr.baseline_frames(np.linspace(500, 100, 20), np.arange(20.0))
    assert len(np.arange(20)[found]) >= 1

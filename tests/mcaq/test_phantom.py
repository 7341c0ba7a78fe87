"""The phantom keeps its word: what it tells as truth is true of the films it makes."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from processing.mcaq import segments
from processing.mcaq.phantom import Defect, blood, make_study, tissue
from processing.mcaq.series import LV_BLOOD, MYOCARDIUM, RV_BLOOD

#: The smallest that is quick: one slice of one state.
TINY = {"states": ("stress",), "levels": ("mid",), "rows": 64, "cols": 64, "frames": 4}


def tiny(seed=5, **changes):
    study = make_study(seed, **{**TINY, **changes})
    return study.series[0], study.truth[0]


# --- the same again -----------------------------------------------------------------------------
def test_the_same_arguments_give_the_same_study():
    options = {"pd_frames": 1, "dual_sequence": True, "breathing": "gasp"}
    (one, told), (again, told_again) = tiny(**options), tiny(**options)
    np.testing.assert_array_equal(one.signal, again.signal)
    np.testing.assert_array_equal(one.aif.signal, again.aif.signal)
    np.testing.assert_array_equal(one.times_s, again.times_s)
    np.testing.assert_array_equal(told.displacement, told_again.displacement)
    np.testing.assert_array_equal(told.mbf, told_again.mbf)
    assert one.uid == again.uid
    assert told.segment_mbf == told_again.segment_mbf


def test_another_seed_is_another_person():
    (one, told), (other, told_other) = tiny(5), tiny(6)
    assert not np.array_equal(one.signal, other.signal)
    assert not np.array_equal(told.segmentation, told_other.segmentation)
    assert one.uid != other.uid


def test_series_come_state_by_state_and_base_to_apex():
    study = make_study(
        5, levels=("basal", "mid", "mid2", "apical"), rows=48, cols=48, pixel_mm=2.6, frames=2
    )
    told = [(one.state, one.level) for one in study.series]
    levels = ("basal", "mid", "mid2", "apical")
    assert told == [(state, level) for state in ("stress", "rest") for level in levels]
    assert [(one.state, one.level, one.uid) for one in study.truth] == [
        (one.state, one.level, one.uid) for one in study.series
    ]
    assert len({one.uid for one in study.series}) == 8
    # Slices of one beat are taken one after the other.
    starts = [one.clock_s[0] for one in study.truth]
    assert starts[:4] == sorted(starts[:4])
    # The cavity grows narrower towards the apex.
    cavities = [np.sum(one.segmentation == LV_BLOOD) for one in study.truth[:4]]
    assert cavities == sorted(cavities, reverse=True)


@pytest.mark.parametrize("size", [{"frames": 1}, {"rows": 46}, {"cols": 63}])
def test_what_it_cannot_make_it_refuses(size):
    with pytest.raises(ValueError, match="48 × 48"):
        make_study(1, **{**TINY, **size})


# --- motion -------------------------------------------------------------------------------------
@pytest.fixture(scope="module", params=["free", "gasp", "hold_then_drift"])
def moving(request):
    """A film without noise, the same without motion, and the truth."""
    options = {"frames": 20, "noise": 0.0, "breathing_mm": 12.0}
    one, told = tiny(**options, breathing=request.param)
    still, _ = tiny(**options, breathing="none")
    return one, still, told


def test_the_displacement_undoes_the_motion(moving):
    one, still, told = moving
    heart = told.segmentation > 0
    places = np.mgrid[: heart.shape[0], : heart.shape[1]].astype(float)
    back = np.array([
        ndimage.map_coordinates(frame, places + field, order=3, mode="nearest")
        for frame, field in zip(one.signal, told.displacement, strict=True)
    ])  # fmt: skip

    def away(film):
        return np.sqrt(((film - still.signal)[:, heart] ** 2).mean())

    # What is left is the reading between pixels: hundredths of what the motion does.
    assert away(back) < 0.1 * away(one.signal)
    # And the opposite sign makes it worse.
    wrong = np.array([
        ndimage.map_coordinates(frame, places - field, order=3, mode="nearest")
        for frame, field in zip(one.signal, told.displacement, strict=True)
    ])  # fmt: skip
    assert away(wrong) > away(one.signal)


def test_only_motion_differs(moving):
    one, still, told = moving
    np.testing.assert_array_equal(one.times_s, still.times_s)
    assert np.abs(told.displacement).max() > 1


def test_without_breathing_nothing_moves():
    _, told = tiny(breathing="none")
    assert not told.displacement.any()


def test_the_chest_wall_stays():
    # A field of view that holds the whole chest.
    one, told = tiny(frames=20, rows=80, cols=80, pixel_mm=4.0)
    travel = np.ptp(told.displacement, axis=0).max(axis=0)
    heart = told.segmentation > 0
    assert np.median(travel[heart]) > 1
    # The bright fat of its front, at the height of the heart, by less than a tenth of a pixel.
    row = round(ndimage.center_of_mass(heart)[0])
    wall = one.signal[-1, row, :13] > 100
    assert wall.any()
    assert travel[row, :13][wall].max() < 0.1


# --- masks and segments -------------------------------------------------------------------------
@pytest.fixture(scope="module")
def levels():
    return make_study(
        7, states=("stress",), levels=("basal", "mid", "apical"), rows=80, cols=80, frames=2
    ).truth


def test_masks_agree_with_each_other(levels):
    for told in levels:
        muscle = told.segmentation == MYOCARDIUM
        np.testing.assert_array_equal(told.aha > 0, muscle)
        np.testing.assert_array_equal(np.isfinite(told.mbf), muscle)
        # Papillary muscle is drawn into the cavity.
        assert (told.segmentation[told.papillary] == LV_BLOOD).all()
        assert (told.wall[muscle] > told.blood[muscle] - 1e-6).all()
        assert told.blood[told.segmentation == RV_BLOOD].max() < 0.5
        assert not (told.defect & ~muscle).any()


def test_segment_flow_is_the_mean_over_the_segment(levels):
    for told in levels:
        assert tuple(told.segment_mbf) == segments.numbers_of(told.level)
        for number, flow in told.segment_mbf.items():
            assert flow == pytest.approx(told.mbf[told.aha == number].mean(), rel=1e-5)


def test_segments_lie_where_they_belong(levels):
    """The right ventricle to the left, the anterior wall above."""
    for told in levels:
        row, col = ndimage.center_of_mass(told.segmentation == LV_BLOOD)
        right = ndimage.center_of_mass(told.segmentation == RV_BLOOD)
        assert right[1] < col
        anterior, septal, inferior, lateral = {
            "basal": (1, (2, 3), 4, (5, 6)),
            "mid": (7, (8, 9), 10, (11, 12)),
            "apical": (13, (14,), 15, (16,)),
        }[told.level]
        assert np.argwhere(told.aha == anterior)[:, 0].mean() < row
        assert np.argwhere(told.aha == inferior)[:, 0].mean() > row
        assert np.argwhere(np.isin(told.aha, septal))[:, 1].mean() < col
        assert np.argwhere(np.isin(told.aha, lateral))[:, 1].mean() > col


# --- contrast -----------------------------------------------------------------------------------
FLOWS = np.array([0.5, 1.2, 2.5, 3.8])


@pytest.fixture(scope="module")
def circulation():
    return blood.circulate(blood.BolusShape(4.0, 3.0, 4.6, 13.5, 3.5), 45.0)


@pytest.fixture(scope="module")
def muscle(circulation):
    return tissue.simulate(FLOWS, circulation.times_s, circulation.left, 0.42)


def test_tissue_holds_what_entered_and_has_not_left(muscle):
    per_s = FLOWS * tissue.DENSITY_G_PER_ML / 60
    dt = muscle.times_s[1] - muscle.times_s[0]
    balance = np.cumsum(per_s * (muscle.inflow - muscle.outflow) * dt, axis=0)
    # To rounding over thousands of steps.
    np.testing.assert_allclose(muscle.content[1:], balance[:-1], atol=1e-9)
    assert (muscle.content >= 0).all()
    assert (muscle.outflow >= 0).all()


def test_at_first_everything_stays(muscle, circulation):
    per_s = FLOWS * tissue.DENSITY_G_PER_ML / 60
    entered = np.cumsum(muscle.inflow, axis=0) * (muscle.times_s[1] - muscle.times_s[0]) * per_s
    for n, flow in enumerate(FLOWS):
        # Until the first of it can have passed arterioles, the fastest capillaries and venules.
        early = muscle.times_s < 4.0 + 1.0 / flow
        held = muscle.content[early, n]
        np.testing.assert_allclose(held, entered[early, n], atol=0.02 * muscle.content[:, n].max())


def test_more_flow_brings_contrast_sooner(muscle):
    peaks = muscle.times_s[muscle.content.argmax(axis=0)]
    assert (np.diff(peaks) < 0).all()
    assert (np.diff(muscle.content.max(axis=0)) > 0).all()


def test_contrast_goes_round_in_order(circulation):
    """Right ventricle, lungs, left ventricle, aorta; lower and wider on the way."""
    names = ("right", "lungs", "left", "aorta")
    curves = [getattr(circulation, name) for name in names]
    peaks = [circulation.times_s[curve.argmax()] for curve in curves]
    assert peaks == sorted(peaks)
    heights = [curve.max() for curve in curves]
    assert heights == sorted(heights, reverse=True)
    assert circulation.left.max() == pytest.approx(3.5)
    assert all((curve >= 0).all() for curve in curves)
    assert circulation.left[circulation.times_s < 4.0].max() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("duration", [1.0, 6.0, 90.0])
def test_a_short_film_sees_the_beginning_of_the_same_bolus(circulation, duration):
    found = blood.circulate(blood.BolusShape(4.0, 3.0, 4.6, 13.5, 3.5), duration)
    assert found.times_s[-1] >= duration
    count = min(len(found.times_s), len(circulation.times_s))
    np.testing.assert_allclose(found.left[:count], circulation.left[:count], atol=1e-3)


def test_told_curves_are_those_of_the_frames():
    _, told = tiny(frames=40, dual_sequence=True)
    # The dose of dual-sequence studies: the published peak at stress, 3.5 ± 1.2 (Kellman 2017).
    assert told.aif_mmol_l.max() == pytest.approx(3.5, abs=1.2)
    assert told.times_s[told.rv_mmol_l.argmax()] < told.times_s[told.aif_mmol_l.argmax()]
    assert told.tissue_mmol_l.shape == (40, len(told.flows))
    known = told.mbf[np.isfinite(told.mbf)]
    assert told.flows.min() <= known.min()
    assert known.max() <= told.flows.max()
    # Healthy and poor flow differ less in their peak than in their upslope, but they differ.
    assert (np.diff(told.tissue_mmol_l.max(axis=0)) > 0).all()


def test_times_are_those_of_beats():
    _, told = tiny(frames=40)
    steps = np.diff(told.times_s)
    assert told.times_s[0] == 0
    # On the scanner's clock of 2.5 ms.
    np.testing.assert_allclose(told.beat_ms[:-1] / 1000, steps, atol=0.003)
    # An early beat and a trigger that was missed.
    assert steps.min() < 0.8 * np.median(steps)
    assert steps.max() > 1.7 * np.median(steps)


# --- what can be asked for ----------------------------------------------------------------------
@pytest.mark.parametrize("vessel", ["LAD", "RCA", "LCx"])
def test_a_defect_is_where_it_was_put(vessel):
    defect = Defect(vessel, 0.7)
    options = {"states": ("stress", "rest"), "levels": ("basal", "mid"), "frames": 2}
    poor = make_study(5, **{**TINY, **options}, defect=defect).truth
    well = make_study(5, **{**TINY, **options}, defect=None).truth
    theirs = segments.TERRITORIES[vessel]
    loss = {
        number: 1 - told.segment_mbf[number] / healthy.segment_mbf[number]
        for told, healthy in zip(poor[:2], well[:2], strict=True)
        for number in told.segment_mbf
    }
    # The segment that loses most is that vessel's, and its loss can be seen.
    assert max(loss, key=loss.get) in theirs
    assert max(loss.values()) > 0.33
    assert np.mean([loss[n] for n in loss if n in theirs]) > 2 * np.mean(
        [loss[n] for n in loss if n not in theirs]
    )
    assert any(told.defect.any() for told in poor[:2])
    for told, healthy in zip(poor[2:], well[2:], strict=True):
        # At rest flow is as before.
        assert told.segment_mbf == healthy.segment_mbf
        assert not told.defect.any()
    assert not any(told.defect.any() for told in well)


def test_a_defect_takes_most_from_the_inner_layer():
    _, told = tiny(defect=Defect("LAD", 0.7))
    row, col = ndimage.center_of_mass(told.segmentation == LV_BLOOD)
    places = np.argwhere(told.defect)
    radius = np.hypot(places[:, 0] - row, places[:, 1] - col)
    flow = told.mbf[told.defect]
    assert flow[radius < np.median(radius)].mean() < flow[radius > np.median(radius)].mean()


def test_normal_flow_is_that_of_people():
    study = make_study(5, **{**TINY, "states": ("stress", "rest")}, defect=None)
    stress, rest = (np.nanmean(told.mbf) for told in study.truth)
    # 2.82 ± 0.47 and 0.68 ± 0.16 ml/min/g (Xue 2019); rest up to 1.0 elsewhere (Brown 2018).
    assert 2.82 - 2 * 0.47 < stress < 2.82 + 2 * 0.47
    assert 0.68 - 2 * 0.16 < rest < 0.68 + 2 * 0.16


def test_what_an_earlier_injection_left():
    options = {"frames": 6, "breathing": "none", "noise": 0.0, "pd_frames": 1}
    one, told = tiny(**options, residual_mmol_l=0.4)
    clean, told_clean = tiny(**options)
    np.testing.assert_allclose(told.aif_mmol_l, told_clean.aif_mmol_l + 0.4)
    np.testing.assert_allclose(told.rv_mmol_l, told_clean.rv_mmol_l + 0.4)
    cavity = (told.segmentation == LV_BLOOD) & ~told.papillary
    muscle = told.segmentation == MYOCARDIUM
    # Blood, darker than muscle without contrast, is then the brighter one.
    assert clean.signal[1][cavity].mean() < clean.signal[1][muscle].mean()
    assert one.signal[1][cavity].mean() > one.signal[1][muscle].mean()
    # Without saturation T1 has next to no say.
    np.testing.assert_allclose(
        one.signal[0][cavity].mean(), clean.signal[0][cavity].mean(), rtol=0.1
    )


def test_proton_density_frames_come_first():
    one, told = tiny(pd_frames=3, frames=5, noise=0.0, breathing="none")
    assert one.roles == ("pd",) * 3 + ("dynamic",) * 5
    assert one.signal.shape[0] == len(one.times_s) == len(told.times_s) == 8
    assert one.acquisition.pd_flip_angle_deg == 5.0
    cavity = (told.segmentation == LV_BLOOD) & ~told.papillary
    muscle = told.segmentation == MYOCARDIUM
    shown = one.signal[:3]
    # The same each time, and the relaxation that the others live on has no say in it: blood
    # against muscle as their water is, 1 to 0.85, and T2* at most.
    np.testing.assert_allclose(shown[0], shown[2], atol=1e-3)
    ratio = shown[0][cavity].mean() / shown[0][muscle].mean()
    assert 1.0 < ratio < 1.4
    assert shown[0][muscle].mean() > 2 * one.signal[3][muscle].mean()
    assert tiny()[0].acquisition.pd_flip_angle_deg is None


def test_the_bolus_waits_for_the_proton_density_frames():
    _, told = tiny(pd_frames=10, frames=24)
    _, plain = tiny(frames=24)
    waited = told.times_s[told.rv_mmol_l.argmax()] - told.times_s[10]
    # To within the length of a beat, which the earlier frames change.
    assert waited == pytest.approx(plain.times_s[plain.rv_mmol_l.argmax()], abs=1.0)
    assert told.aif_mmol_l[:12].max() < 1e-6


def test_a_dual_sequence_brings_its_own_input_series():
    one, told = tiny(dual_sequence=True, frames=24, rows=96, cols=96, noise=0.0, breathing="none")
    quick = one.aif
    assert tiny()[0].aif is None
    assert quick.signal.shape == (24, 32, 32)
    # The same field of view, beats and state, a short saturation time.
    assert quick.pixel_spacing_mm == pytest.approx((6.0, 6.0))
    assert quick.roles == one.roles
    assert (quick.state, quick.level) == (one.state, one.level)
    np.testing.assert_allclose(quick.times_s, one.times_s, atol=0.003)
    assert quick.acquisition.saturation_time_ms < 0.3 * one.acquisition.saturation_time_ms
    # Its signal rises in proportion where that of the slice is bent by saturation.
    cavity = ndimage.binary_erosion((told.segmentation == LV_BLOOD) & ~told.papillary, iterations=3)
    row, col = (round((place + 0.5) / 3 - 0.5) for place in ndimage.center_of_mass(cavity))
    rise = quick.signal[:, row, col] - quick.signal[2, row, col]
    slow = one.signal[:, cavity].mean(axis=1)
    slow = slow - slow[2]
    straight = told.aif_mmol_l / told.aif_mmol_l.max()
    assert (
        np.abs(rise / rise.max() - straight).max()
        < 0.5 * np.abs(slow / slow.max() - straight).max()
    )


@pytest.mark.parametrize("noise", [3.0, 12.0])
def test_noise_is_that_of_magnitudes(noise):
    # A field of view so wide that there is air in it, and sensitivity 1 at the heart.
    options = {"rows": 80, "cols": 80, "pixel_mm": 4.0, "frames": 40, "breathing": "none"}
    one, told = tiny(**options, noise=noise)
    clean, _ = tiny(**options, noise=0.0)
    heart = told.segmentation > 0
    scatter = (one.signal - clean.signal)[:, heart].std()
    # What is not acquired of k-space holds no noise: some is missing from a whole one's.
    assert 0.6 * noise < scatter < 1.05 * noise
    air = clean.signal.max(axis=0) < 0.1 * noise
    assert air.sum() > 50
    # Without signal a magnitude is Rayleigh distributed: its mean is 1.91 standard deviations.
    values = one.signal[:, air]
    ratio = np.median(values.mean(axis=0) / values.std(axis=0))
    assert ratio == pytest.approx(1.913, rel=0.1)


@pytest.mark.parametrize(("field", "slower"), [(1.5, 1.0), (3.0, 1.1)])
def test_the_field_changes_what_is_told_of_the_scan(field, slower):
    one, _ = tiny(field_t=field)
    assert one.acquisition.field_t == field
    assert one.acquisition.t1_blood_ms >= 1600 * slower

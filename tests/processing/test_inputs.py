"""From headers to the engine's input: scaling, physics, roles, the input series' time."""

from __future__ import annotations

import numpy as np
import pytest

from processing.inputs import brighter_at_the_start, to_series
from processing.protocol import BadProtocol, check
from studies.dicom.frames import frames_of
from studies.dicom.read import decode_pixels
from studies.dicom.sort import sort_frames
from tests.dicom.make import enhanced, film, image


def _series(*films, protocol=None, given=None):
    files = {str(n): ds for n, ds in enumerate(ds for one in films for ds in one)}
    study = sort_frames(f for name, ds in files.items() for f in frames_of(ds, name))
    return to_series(study, lambda name: decode_pixels(files[name]), check(protocol), given)


def test_slope_and_intercept_give_the_scanners_units():
    (one,) = _series(film(12, RescaleSlope="2.5", RescaleIntercept="-10"))
    expected = image().pixel_array.astype(float) * 2.5 - 10
    np.testing.assert_allclose(one.signal[3], expected, rtol=1e-6)
    assert one.signal.dtype == np.float32


def test_philips_scale_makes_stress_and_rest_comparable():
    (one,) = _series([enhanced(along_mm=(0.0,), scale_slope=4.0)])
    stored = decode_pixels(enhanced(along_mm=(0.0,)))
    # Frames were written from the last beat to the first.
    np.testing.assert_allclose(one.signal[0], stored[-1] / 4.0, rtol=1e-6)


def test_a_scale_slope_means_nothing_in_other_makers_files():
    films = film(12)
    for ds in films:
        block = ds.private_block(0x2005, "Philips MR Imaging DD 001", create=True)
        block.add_new(0x0E, "FL", 4.0)
    (one,) = _series(films)
    np.testing.assert_array_equal(one.signal[0], image().pixel_array)


def test_gauss_become_tesla():
    (one,) = _series(film(12, MagneticFieldStrength=15000))
    assert one.acquisition.field_t == 1.5


SEQUENCES = {
    "Siemens FLASH": ({"SequenceName": "*tfl2d1_48"}, "flash", 24),
    "Siemens TrueFISP": ({"SequenceName": "*tfiperf2d1"}, "bssfp", None),
    "GE spoiled": (
        {"SequenceName": None, "ScanningSequence": "GR", "SequenceVariant": "SP"}, "flash", None,
    ),
    "GE FIESTA": (
        {"SequenceName": None, "ScanningSequence": "GR", "SequenceVariant": "SS"}, "bssfp", None,
    ),
    "not said": ({"SequenceName": None}, None, None),
}  # fmt: skip


@pytest.mark.parametrize("kind", SEQUENCES)
def test_the_sequence_is_told_by_name_or_variant(kind):
    changes, sequence, pulses = SEQUENCES[kind]
    (one,) = _series(film(12, **changes))
    assert (one.acquisition.sequence, one.acquisition.pulses_to_centre) == (sequence, pulses)


def test_the_time_of_a_whole_shot_is_not_taken_for_that_of_a_pulse():
    (one,) = _series(film(12, RepetitionTime=177.5, SequenceName="*tfl2d1_48"))
    assert one.acquisition.repetition_time_ms is None
    assert one.acquisition.pulses_to_centre is None


def test_a_delay_after_the_trigger_is_not_the_time_after_saturation():
    (one,) = _series(film(12, InversionTime=None, TriggerTime=157.5))
    assert one.acquisition.saturation_time_ms is None


def test_proton_density_frames_by_flip_angle_do_not_change_the_flip_angle():
    (one,) = _series(film(12, FlipAngle=lambda n: 5 if n < 3 else 14))
    assert one.roles == ("pd",) * 3 + ("dynamic",) * 9
    assert (one.acquisition.flip_angle_deg, one.acquisition.pd_flip_angle_deg) == (14, 5)
    assert len(one.signal) == 12


def test_the_protocol_says_how_many_proton_density_frames_there_are():
    (one,) = _series(film(12), protocol={"pd_frames": 2})
    assert one.roles == ("pd",) * 2 + ("dynamic",) * 10
    (none,) = _series(film(12, FlipAngle=lambda n: 5 if n < 3 else 14), protocol={"pd_frames": 0})
    assert set(none.roles) == {"dynamic"}


def test_brightness_tells_frames_without_saturation():
    film_ = np.full((40, 8, 8), 50, dtype=np.float32)
    film_[:2] = 160
    assert brighter_at_the_start(film_) == 2
    film_[2:] *= np.linspace(1, 3, 38)[:, None, None]  # contrast arrives
    assert brighter_at_the_start(film_) == 2
    assert brighter_at_the_start(film_[2:]) == 0
    assert brighter_at_the_start(np.full((40, 8, 8), 50, dtype=np.float32)) == 0
    assert brighter_at_the_start(np.zeros((40, 8, 8), dtype=np.float32)) == 0


def test_the_input_series_is_put_on_the_clock_of_the_one_it_serves():
    muscle = film(20, series="1")
    aif = film(
        20, series="2", start=36899.75, SeriesDescription="Stress AIF", EchoTime=0.8,
        InversionTime=20, SeriesNumber=3,
    )  # fmt: skip
    second = film(
        20, series="3", start=36899.75, SeriesDescription="Stress AIF", EchoTime=2.4,
        InversionTime=20, SeriesNumber=3,
    )  # fmt: skip
    (one,) = _series(muscle, aif, second)
    assert one.aif is not None
    np.testing.assert_allclose(one.aif.times_s, 0.8 * np.arange(20) - 0.25, atol=1e-5)
    # Of two echoes the first: T2* has taken least of it; the later one tells how much.
    assert one.aif.acquisition.echo_time_ms == 0.8
    assert one.aif.acquisition.saturation_time_ms == 20
    assert one.acquisition.saturation_time_ms == 100
    assert one.aif.acquisition.later_echo_time_ms == 2.4
    assert one.aif.later_echo is not None
    assert one.aif.later_echo.shape == one.aif.signal.shape


def test_an_echo_of_other_frames_is_not_taken_for_a_later_one():
    muscle = film(20, series="1")
    more = {"SeriesDescription": "Stress AIF", "InversionTime": 20, "SeriesNumber": 3}
    first = film(20, series="2", EchoTime=0.8, **more)
    fewer = film(18, series="3", EchoTime=2.4, **more)
    (one,) = _series(muscle, first, fewer)
    assert one.aif is not None
    assert (one.aif.acquisition.echo_time_ms, one.aif.later_echo) == (0.8, None)


@pytest.mark.parametrize(
    ("written", "agent"),
    [
        ("Gadovist 7.5 ml", "gadobutrol"),
        ("MULTIHANCE", "gadobenate"),
        ("Dotarem", "gadoterate"),
        ("Magnevist 0.5 mmol/ml", "gadopentetate"),
        ("ProHance", "gadoteridol"),
        ("gadolinium", None),
        ("something", None),
    ],
)
def test_the_agent_is_told_by_its_substance_or_brand(written, agent):
    (one,) = _series(film(12, ContrastBolusAgent=written))
    assert one.acquisition.agent == agent
    (told,) = _series(film(12, ContrastBolusAgent=written), protocol={"agent": "gadoteridol"})
    assert told.acquisition.agent == "gadoteridol"


def test_given_contours_and_curves_reach_their_series():
    given = {
        "stress_mid": {
            "endocardium": [[10, 10], [10, 20], [20, 15]],
            "epicardium": [[5, 5], [5, 25], [25, 15]],
            "rv_insertion_anterior": [6, 7],
            "aif": {"times_s": [0, 1, 2], "concentration_mmol_l": [0, 3, 1]},
        }
    }
    (one,) = _series(film(12), given=given)
    assert one.given_contours is not None
    assert one.given_contours.endocardium.shape == (3, 2)
    assert one.given_contours.rv_insertion_anterior == (6, 7)
    assert one.given_contours.rv_insertion_inferior is None
    assert one.given_aif is not None
    np.testing.assert_array_equal(one.given_aif.concentration_mmol_l, [0, 3, 1])
    with pytest.raises(BadProtocol, match="rest_basal"):
        _series(film(12), given={"rest_basal": {}})


def test_slices_of_one_series_have_names_of_their_own():
    series = _series([enhanced()])
    assert [one.uid for one in series] == ["rest_basal", "rest_mid"]

"""Frame times: which attribute is the clock, vendor by vendor."""

from __future__ import annotations

import random

import numpy as np
import pytest

from studies.dicom.frames import frames_of
from studies.dicom.order import order_frames
from tests.dicom.make import clock, enhanced, film


def _ordered(datasets):
    frames = [frame for n, ds in enumerate(datasets) for frame in frames_of(ds, str(n))]
    random.Random(3).shuffle(frames)
    return order_frames(frames)


def test_siemens_time_is_the_acquisition_time_and_the_trigger_time_a_delay():
    found = _ordered(film(20, beat=0.8, TriggerTime=157.5))
    assert found.source == "AcquisitionTime"
    np.testing.assert_allclose(found.times_s, 0.8 * np.arange(20), atol=1e-5)


def test_missed_beats_keep_their_true_times():
    true = np.cumsum([0, 1.7, 1.75, 3.4, 1.8, 3.7, 1.7, 1.7, 2.1, 1.7, 1.9, 1.7])
    found = _ordered(film(12, AcquisitionTime=lambda n: clock(true[n])))
    assert found.source == "AcquisitionTime"
    np.testing.assert_allclose(found.times_s, true, atol=1e-5)


def test_ge_time_is_the_trigger_time_where_the_clock_takes_three_values():
    found = _ordered(
        film(
            30,
            Manufacturer="GE MEDICAL SYSTEMS",
            AcquisitionTime=lambda n: f"0943{50 + n // 10}",
            ContentTime=lambda n: f"0943{50 + n // 10}",
            TriggerTime=lambda n: 769 + 697.5 * n,
            InstanceNumber=lambda n: n + 2,
        )
    )
    assert found.source == "TriggerTime"
    np.testing.assert_allclose(found.times_s, 0.6975 * np.arange(30), atol=1e-5)


def test_enhanced_frames_name_their_own_time():
    found = _ordered([enhanced(along_mm=(0.0,), count=15, beat=0.9)])
    assert found.source == "FrameAcquisitionDateTime"
    np.testing.assert_allclose(found.times_s, 0.9 * np.arange(15), atol=1e-5)
    assert [frame.temporal_index for frame in found.frames] == list(range(1, 16))


@pytest.mark.parametrize("creator", [True, False])
def test_philips_begin_of_the_dynamic_is_a_clock(creator):
    datasets = film(15, Manufacturer="Philips", AcquisitionTime="101500", TriggerTime=None)
    for number, ds in enumerate(datasets):
        if creator:
            block = ds.private_block(0x2005, "Philips MR Imaging DD 001", create=True)
            block.add_new(0xA0, "FL", 1.1 * number)
        else:  # read without its dictionary the value is four bytes
            ds.add_new((0x2005, 0x10A0), "UN", np.float32(1.1 * number).tobytes())
    found = _ordered(datasets)
    assert found.source == "DynamicScanBeginTime"
    np.testing.assert_allclose(found.times_s, 1.1 * np.arange(15), atol=1e-5)


def test_a_film_over_midnight_goes_on():
    found = _ordered(film(20, start=86400 - 7.9))
    np.testing.assert_allclose(found.times_s, 0.8 * np.arange(20), atol=1e-5)
    assert found.frames[0].instance_number == 1


def test_numbers_serve_where_there_is_no_clock_and_the_source_says_so():
    found = _ordered(film(12, AcquisitionTime=None, TriggerTime=None, NominalInterval=850))
    assert found.source == "InstanceNumber"
    np.testing.assert_allclose(found.times_s, 0.85 * np.arange(12), atol=1e-6)
    counted = _ordered(
        film(
            12,
            AcquisitionTime=None,
            TriggerTime=None,
            InstanceNumber=None,
            TemporalPositionIdentifier=lambda n: 3 * n + 1,
        )
    )
    assert counted.source == "TemporalPositionIdentifier"
    np.testing.assert_allclose(counted.times_s, np.arange(12), atol=1e-6)


def test_content_time_comes_after_every_acquisition_clock():
    found = _ordered(
        film(12, AcquisitionTime=None, TriggerTime=155, ContentTime=lambda n: clock(0.7 * n))
    )
    assert found.source == "ContentTime"
    assert "reconstruction" in found.reason


def test_times_ascend_and_one_shared_time_does_no_harm():
    """Two frames of one time, as a clock of coarse steps gives, stay in order of number."""
    found = _ordered(film(20, AcquisitionTime=lambda n: clock(0.8 * (n - (n == 7)))))
    assert found.source == "AcquisitionTime"
    assert all(b >= a for a, b in zip(found.times_s, found.times_s[1:], strict=False))
    assert [frame.instance_number for frame in found.frames] == list(range(1, 21))


def test_a_clock_of_whole_seconds_gives_way_to_a_finer_one():
    """At 57 beats a minute whole seconds still tell frames apart, and are wrong by up to one."""
    beat = 1.053
    films = film(
        20,
        Manufacturer="GE MEDICAL SYSTEMS",
        AcquisitionTime=lambda n: clock(beat * n)[:6],
        TriggerTime=lambda n: 700 + 1000 * beat * n,
    )
    found = _ordered(films)
    assert found.source == "TriggerTime"
    np.testing.assert_allclose(found.times_s, beat * np.arange(20), atol=1e-5)
    for number, ds in enumerate(films):
        ds.TriggerTime = 155
        ds.ContentTime = clock(40 + 0.9 * number)
    assert _ordered(films).source == "AcquisitionTime"


def test_date_and_time_of_the_acquisition_serve_too():
    found = _ordered(
        film(
            12,
            AcquisitionTime=None,
            AcquisitionDateTime=lambda n: f"20240514{clock(0.8 * n)}+0100",
        )
    )
    assert found.source == "AcquisitionDateTime"
    np.testing.assert_allclose(found.times_s, 0.8 * np.arange(12), atol=1e-6)

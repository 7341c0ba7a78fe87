"""Frame times that a person or a protocol gave, in place of those of the files."""

from __future__ import annotations

import numpy as np
import pytest

from processing.inputs import to_series
from processing.protocol import BadProtocol, check
from processing.times import check_times
from studies.dicom.frames import frames_of
from studies.dicom.read import decode_pixels
from studies.dicom.sort import sort_frames
from tests.dicom.make import clock, film

FRAMES = 12


def series(protocol=None, times=None, **attributes):
    """The engine's input of one film whose frames came every 0.8 s."""
    files = {str(n): ds for n, ds in enumerate(film(FRAMES, beat=0.8, **attributes))}
    study = sort_frames(f for name, ds in files.items() for f in frames_of(ds, name))
    pixels = lambda name: decode_pixels(files[name])  # noqa: E731
    found = to_series(study, pixels, check(protocol), None, check_times(times))
    return study, found


def test_the_files_are_believed_where_nothing_is_given():
    _study, (one,) = series()
    np.testing.assert_allclose(one.times_s, 0.8 * np.arange(FRAMES), atol=1e-5)


def test_a_protocols_interval_replaces_the_files_times():
    _study, (one,) = series({"frame_interval_s": 1.1})
    np.testing.assert_allclose(one.times_s, 1.1 * np.arange(FRAMES), atol=1e-6)


def test_a_persons_word_for_a_slice_comes_before_the_protocols():
    study, _ = series()
    folder = study.series[0].folder
    _study, (one,) = series({"frame_interval_s": 1.1}, {folder: {"frame_interval_s": 0.9}})
    np.testing.assert_allclose(one.times_s, 0.9 * np.arange(FRAMES), atol=1e-6)


def test_the_input_series_keeps_the_pace_of_the_slice_it_serves():
    fine = film(FRAMES, beat=0.8, SeriesDescription="stress", SeriesInstanceUID="1.2.3.1")
    coarse = film(
        FRAMES, beat=0.8, SeriesDescription="stress AIF", SeriesInstanceUID="1.2.3.2",
        AcquisitionTime=lambda n: clock(0.8 * n + 0.3),
    )  # fmt: skip
    for number, ds in enumerate(coarse):
        ds.SOPInstanceUID = f"1.2.3.2.{number + 1}"
    files = {str(n): ds for n, ds in enumerate([*fine, *coarse])}
    study = sort_frames(f for name, ds in files.items() for f in frames_of(ds, name))
    ((_aif, served),) = study.aif
    assert served == (0,)
    pixels = lambda name: decode_pixels(files[name])  # noqa: E731
    folder = study.series[0].folder
    given = check_times({folder: {"frame_interval_s": 0.9}})
    (one,) = to_series(study, pixels, check(None), None, given)
    np.testing.assert_allclose(one.aif.times_s, 0.9 * np.arange(FRAMES), atol=1e-6)
    only_input = check({"aif": {"frame_interval_s": 1.2}})
    (one,) = to_series(study, pixels, only_input)
    np.testing.assert_allclose(one.times_s, 0.8 * np.arange(FRAMES), atol=1e-5)
    np.testing.assert_allclose(one.aif.times_s, 1.2 * np.arange(FRAMES), atol=1e-6)


def test_times_of_a_slice_that_is_not_there_are_refused():
    with pytest.raises(BadProtocol, match="no series rest_apical that times were given for"):
        series(times={"rest_apical": {"frame_interval_s": 0.9}})


@pytest.mark.parametrize("interval", [None, 0.1, 7, float("nan"), "0.9"])
def test_an_interval_that_is_none_is_refused(interval):
    with pytest.raises(BadProtocol, match=r"frame interval of stress_mid .* from 0\.2 to 6 s"):
        check_times({"stress_mid": {"frame_interval_s": interval}})


def test_the_finding_says_who_gave_the_times_and_what_the_files_say():
    study, _ = series()
    heart = {"frame_interval_s": 1.8, "heart_rate_per_min": 66.0, "beats_per_frame": 2}
    told = check_times({"x": heart})["x"].sentence(study.series[0].clock)
    assert "given by a person: one frame every 1.80 s (66 beats/min, a frame at every 2" in told
    assert "By AcquisitionTime of the files it would be 0.80 s." in told

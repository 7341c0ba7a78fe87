"""Turned and mirrored pictures sort as any others: state and level come from place, not looks."""

from __future__ import annotations

import numpy as np
import pytest

from processing.mcaq.phantom import Orientation, make_study
from processing.phantom_dicom import VENDORS, main, write_study
from studies.dicom.frames import frames_of
from studies.dicom.read import decode_pixels, read_file
from studies.dicom.sort import sort_frames

ORIENTATIONS = {
    "turned and mirrored": Orientation(-70.0, mirrored=True),
    "nearly upside down": Orientation(165.0),
}


@pytest.fixture(scope="module", params=ORIENTATIONS)
def study(request):
    return make_study(
        5,
        levels=("basal", "mid", "apical"),
        frames=13,
        rows=48,
        cols=48,
        pixel_mm=2.6,
        orientation=ORIENTATIONS[request.param],
        off_centre_mm=(10.0, -15.0),
    )


@pytest.mark.parametrize("vendor", VENDORS)
def test_state_and_level_are_right(study, vendor, tmp_path):
    datasets = {str(path): read_file(path) for path in write_study(study, tmp_path, vendor=vendor)}
    found = sort_frames(
        frame for name, dataset in datasets.items() for frame in frames_of(dataset, name)
    )
    assert found.unused == ()
    assert [(one.state, one.level) for one in found.series] == [
        (truth.state, truth.level) for truth in study.truth
    ]
    assert {one.mirrored for one in found.series} == {study.series[0].mirrored}
    for one, series in zip(found.series, study.series, strict=True):
        assert len(one.frames) == len(series.times_s)
        np.testing.assert_allclose(one.times_s, series.times_s, atol=1e-3)
        # The pictures are those of this slice, in this order.
        for n in (0, len(one.frames) - 1):
            frame = one.frames[n]
            stored = decode_pixels(datasets[frame.file_id]).reshape(-1, 48, 48)
            picture = stored[frame.frame_number - 1]
            alike = np.corrcoef(np.ravel(picture), series.signal[n].ravel())[0, 1]
            assert alike > 0.999


@pytest.mark.parametrize("option", ["--deep-breaths", "--mistriggered", "--corrupted"])
def test_the_command_line_refuses_fewer_than_none(option, tmp_path, capsys):
    assert main([str(tmp_path / "new"), option, "-1"]) == 2
    assert "must be positive" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()

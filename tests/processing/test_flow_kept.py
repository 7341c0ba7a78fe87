"""Flow before and after de-identification is the same to the bit: the drill in its short form."""

from __future__ import annotations

import numpy as np
import pytest

from processing.phantom_dicom import VENDORS
from scripts.drill import intake_flow


@pytest.mark.parametrize("vendor", VENDORS)
def test_flow_of_phantoms_is_the_same_to_the_bit(vendor, tmp_path):
    compared, differences = intake_flow.compare(intake_flow.phantom(tmp_path, vendor), tmp_path)
    assert differences == []
    assert compared > 100


@pytest.mark.data
@pytest.mark.parametrize("folder", [intake_flow.REAL["GE, real"]])
def test_flow_of_real_series_is_the_same_to_the_bit(folder, data_root, tmp_path):
    compared, differences = intake_flow.compare(data_root / folder, tmp_path)
    assert differences == []
    assert compared > 100


def test_one_bit_is_a_difference(tmp_path):
    """The comparison sees what it is there for."""
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "report.json").write_text('{"series": [{"mbf": 1.5, "seconds": 3}]}')
        np.save(tmp_path / name / "mbf.npy", np.array([1.5, np.nan]))
    assert intake_flow.differences(tmp_path / "one", tmp_path / "other") == (1, [])
    np.save(tmp_path / "other" / "mbf.npy", np.array([np.nextafter(1.5, 2), np.nan]))
    (tmp_path / "other" / "report.json").write_text('{"series": [{"mbf": 1.6, "seconds": 4}]}')
    assert intake_flow.differences(tmp_path / "one", tmp_path / "other") == (
        1, ["report.series.0.mbf", "mbf.npy"],
    )  # fmt: skip

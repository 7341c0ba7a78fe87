"""Objects of films that lack something, or hold what few do."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO

import numpy as np
import pydicom
import pytest

from studies.dicom.frames import frames_of
from studies.dicom.write import corrected, encode, flow_map, masks, measurements
from studies.dicom.write.codes import AHA
from studies.dicom.write.film import SOFTWARE_VERSION, Flow
from studies.dicom.write.head import NoPlace, decimal
from tests.conftest import CHECKOUT
from tests.dicom.test_relink import made, sent


@pytest.fixture
def film():
    files = sent()
    return made(files[0], [frame for n, ds in enumerate(files) for frame in frames_of(ds, str(n))])


def frames(film) -> list[pydicom.Dataset]:
    return [pydicom.dcmread(BytesIO(data)) for data in corrected.corrected(film).files()]


def test_negative_values_are_kept(film):
    values = film.corrected - 50
    slope = float(frames(replace(film, corrected=values))[0].RescaleSlope)
    found = np.stack([ds.pixel_array * slope for ds in frames(replace(film, corrected=values))])
    assert found.min() < -49
    assert np.abs(found - values).max() <= slope / 2


def test_a_slice_that_lies_nowhere_has_no_objects(film):
    for lost in ("position_mm", "orientation", "pixel_spacing_mm"):
        lying = tuple(replace(frame, **{lost: None}) for frame in film.frames)
        with pytest.raises(NoPlace):
            corrected.corrected(replace(film, frames=lying))


def test_times_over_midnight_change_the_day(film):
    late = tuple(
        replace(frame, acquisition_time_s=(86399 + 0.8 * n) % 86400)
        for n, frame in enumerate(film.frames)
    )
    found = frames(replace(film, frames=late))
    assert (found[0].AcquisitionDate, found[0].AcquisitionTime) == ("20240514", "235959.000000")
    assert (found[2].AcquisitionDate, found[2].AcquisitionTime) == ("20240515", "000000.600000")


def test_a_film_without_trigger_is_not_called_gated(film):
    free = tuple(replace(frame, trigger_time_ms=None) for frame in film.frames)
    (first, *_) = frames(replace(film, frames=free))
    assert "TriggerTime" not in first
    assert "CG" not in (first.ScanOptions or "")
    (gated, *_) = frames(film)
    assert (gated.TriggerTime, gated.ScanOptions) == (155, "CG")


def test_relative_numbers_are_not_called_flow(film):
    relative = replace(film, unit="relative")
    ds = flow_map.parametric_map(relative, corrected.corrected(relative))
    mapping = ds.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence[0]
    assert mapping.MeasurementUnitsCodeSequence[0].CodeValue == "1"
    assert mapping.QuantityDefinitionSequence[0].ConceptCodeSequence[0].CodeMeaning == (
        "Relative Regional Blood Flow"
    )
    assert "ml/min/g" not in ds.SeriesDescription


def test_contours_that_a_person_drew_are_not_called_automatic(film):
    for drawn, kind in ((False, "AUTOMATIC"), (True, "SEMIAUTOMATIC")):
        one = replace(film, drawn=drawn)
        ds = masks.segmentation(one, corrected.corrected(one))
        assert {segment.SegmentAlgorithmType for segment in ds.SegmentSequence} == {kind}


def test_without_masks_there_is_no_segmentation_but_a_report(film):
    empty = np.zeros_like(film.segmentation)
    bare = replace(film, segmentation=empty, aha=empty)
    made_ = corrected.corrected(bare)
    assert masks.segmentation(bare, made_) is None
    ds = measurements.report([measurements.Slice(bare, made_, None)], {})
    assert b"2.5" in encode.file_bytes(ds)


def test_flow_that_is_not_known_is_left_out_of_the_report(film):
    unknown = replace(film, segments={7: Flow(None)}, mbf_global=None)
    made_ = corrected.corrected(unknown)
    ds = measurements.report([measurements.Slice(unknown, made_, None)], {3: 1.5})
    found = [item.MeasuredValueSequence[0].FloatingPointValue
             for item in _all(ds) if item.get("ValueType") == "NUM"]  # fmt: skip
    assert found == [1.5]


def _all(ds: pydicom.Dataset):
    for item in ds.get("ContentSequence", []):
        yield item
        yield from _all(item)


def test_any_change_of_the_result_changes_the_uids(film):
    changed = [
        film, replace(film, mbf=film.mbf * 2), replace(film, offset=(4, 8)),
        replace(film, segments={7: Flow(2.5, 2.0, 3.1, False)}),
        replace(film, making=replace(film.making, parameters={"protocol": {"field_t": 3}})),
        replace(film, name_patient=True),
    ]  # fmt: skip
    assert len({one.uid("map", 1) for one in changed}) == len(changed)
    assert film.uid("map", 1) == replace(film).uid("map", 1)


def test_decimal_strings_are_short_and_near():
    for value in (1 / 3, -123456.789012345678, 2.0**-26, 1e-12, 0.0, 65535.0):
        assert len(decimal(value)) <= 16
        assert float(decimal(value)) == pytest.approx(value, rel=1e-9)


def test_elements_put_together_here_are_as_pydicom_writes_them():
    ds = pydicom.Dataset()
    ds.SOPInstanceUID, ds.InstanceNumber, ds.TriggerTime = "1.2.3", 7, "12.5"
    item = pydicom.Dataset()
    item.ReferencedSOPInstanceUID = "1.2.34"
    ds.SourceImageSequence = [item]
    ours = encode.text(SOPInstanceUID="1.2.3", InstanceNumber="7", TriggerTime="12.5")
    ours |= encode.sequence("SourceImageSequence", [encode.text(ReferencedSOPInstanceUID="1.2.34")])
    assert ours == encode.elements(ds)


def test_the_segments_codes_are_those_of_the_standard():
    from pydicom.sr.codedict import codes

    known = {getattr(codes.cid3717, name).value for name in codes.cid3717.dir()}
    assert {code.value for code in AHA.values()} < known
    assert len({code.value for code in AHA.values()}) == 16


def test_the_version_is_that_of_the_change_log():
    log = (CHECKOUT / "CHANGELOG.md").read_text()
    assert log.split("## [")[1].split("]")[0] == SOFTWARE_VERSION

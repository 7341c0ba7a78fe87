"""Objects under their original identity: no pseudonym is left, and all still fit together."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pydicom
import pytest

from studies.dicom.deidentify import deidentify
from studies.dicom.frames import frames_of
from studies.dicom.write import corrected, encode, flow_map, masks, measurements
from studies.dicom.write.film import Film, Flow, Making
from studies.dicom.write.relink import Original, relinked
from tests.dicom.make import film

KEY = b"a key for tests"
NAMED = {
    "PatientName": "Müller^Ann",
    "PatientID": "INV 0001-7",
    "PatientBirthDate": "19600203",
    "StudyDate": "20240514",
    "AccessionNumber": "ACC7",
}


def sent(count: int = 12) -> list[pydicom.FileDataset]:
    return film(
        count, FrameOfReferenceUID="1.2.3.9", StudyTime="101200", DeviceSerialNumber="90001"
    )


def made(head: pydicom.Dataset, frames, **changes: object) -> Film:
    """A film of 8 × 9 pixels with a ring of muscle."""
    labels = np.zeros((8, 9), np.uint8)
    labels[2:6, 2:6], labels[3:5, 3:5], labels[3:5, 0:2] = 1, 2, 3
    values = np.linspace(0, 300, 12 * 72, dtype=np.float32).reshape(12, 8, 9)
    whole = {
        "number": 0, "folder": "stress_mid", "state": "stress", "level": "mid", "head": head,
        "frames": tuple(frames), "times_s": tuple(0.8 * n for n in range(12)), "offset": (4, 7),
        "corrected": values, "mbf": np.where(labels == 1, 2.5, np.nan).astype(np.float32),
        "segmentation": labels, "aha": ((labels == 1) * 7).astype(np.uint8),
        "unit": "ml/min/g", "segments": {7: Flow(2.5, 2.0, 3.0, False)}, "mbf_global": 2.5,
        "making": Making("mcaq", "0.1.0", "exchange", {"protocol": {}}),
        "picture": np.zeros((20, 30, 3), np.uint8),
    }  # fmt: skip
    return Film(**{**whole, **changes})


def objects_of(one: Film) -> list[bytes]:
    frames = corrected.corrected(one)
    segmentation = masks.segmentation(one, frames)
    alone = [
        flow_map.parametric_map(one, frames), flow_map.grey_map(one, frames),
        flow_map.colour_map(one, frames), segmentation,
        measurements.report([measurements.Slice(one, frames, segmentation)], {7: 2.0}),
    ]  # fmt: skip
    return [*frames.files(), *(encode.file_bytes(ds) for ds in alone)]


@pytest.fixture(scope="module")
def both() -> tuple[list[bytes], list[bytes], list[pydicom.Dataset]]:
    """The pseudonymous objects, the same under their original identity, and the sent files."""
    files = sent()
    clean = [deidentify(ds, key=KEY) for ds in files]
    frames = [frame for n, ds in enumerate(clean) for frame in frames_of(ds, str(n))]
    objects = objects_of(made(clean[0], frames))
    uids = {str(a.SOPInstanceUID): str(b.SOPInstanceUID)
            for a, b in zip(clean, files, strict=True)}  # fmt: skip
    uids[str(clean[0].SeriesInstanceUID)] = str(files[0].SeriesInstanceUID)
    uids[str(clean[0].FrameOfReferenceUID)] = str(files[0].FrameOfReferenceUID)
    original = Original(str(files[0].StudyInstanceUID), uids, NAMED)
    return objects, [relinked(data, original) for data in objects], files


def read(data: bytes) -> pydicom.Dataset:
    return pydicom.dcmread(BytesIO(data))


def uids_of(ds: pydicom.Dataset) -> set[str]:
    return {str(element.value) for element in ds.iterall()
            if element.VR == "UI" and str(element.value).startswith("2.25.")}  # fmt: skip


def test_they_say_whose_they_are_and_belong_to_the_original_study(both):
    for data in both[1]:
        ds = read(data)
        for keyword, value in NAMED.items():
            assert str(ds[keyword].value) == value
        assert ds.StudyInstanceUID == "1.2.3.2"
        assert ds.get("FrameOfReferenceUID", "1.2.3.9") == "1.2.3.9"
        assert "PatientIdentityRemoved" not in ds
        assert "DeidentificationMethod" not in ds
        assert "StudyDescription" not in ds, "ours would stand beside the archive's own"


def test_where_the_original_is_not_known_no_pseudonym_stands_for_it(both):
    before = read(both[0][0])
    after = relinked(both[0][0], Original("1.2.3.2", {}, {}))
    assert (read(after).PatientName, read(after).PatientID) == ("", "")
    (scanner,) = before.ContributingEquipmentSequence
    assert scanner.DeviceSerialNumber.encode() not in after
    assert before.PatientID.encode() not in after


def test_no_pseudonymous_uid_is_left(both):
    before, after, _ = both
    known = set().union(*(uids_of(read(data)) for data in before))
    for data in after:
        ds = read(data)
        assert not uids_of(ds) & known
        assert ds.file_meta.MediaStorageSOPInstanceUID == ds.SOPInstanceUID
        assert ds.SOPClassUID.startswith("1.2.840.10008.")


def test_frames_refer_to_the_original_images(both):
    _, after, files = both
    for data, source in zip(after, files, strict=False):
        (reference,) = read(data).SourceImageSequence
        assert reference.ReferencedSOPInstanceUID == source.SOPInstanceUID


def test_they_still_refer_to_each_other(both):
    after = [read(data) for data in both[1]]
    frames, (numbers, grey, _, mask, report) = after[:12], after[12:]
    uids = [ds.SOPInstanceUID for ds in frames]
    assert len({ds.SeriesInstanceUID for ds in frames}) == 1
    for ds in (numbers, mask):
        (series,) = ds.ReferencedSeriesSequence
        assert series.SeriesInstanceUID == frames[0].SeriesInstanceUID
        assert [one.ReferencedSOPInstanceUID for one in series.ReferencedInstanceSequence] == uids
    assert [one.ReferencedSOPInstanceUID for one in grey.SourceImageSequence] == uids
    evidence = {
        one.ReferencedSOPInstanceUID
        for study in report.CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
        for one in series.ReferencedSOPSequence
    }
    assert evidence == {uids[-1], mask.SOPInstanceUID}


def test_dates_are_the_true_ones_and_pixels_are_the_same(both):
    for before, after in zip(*both[:2], strict=True):
        a, b = read(before), read(after)
        assert a.StudyDate != "20240514"
        assert (b.StudyDate, b.ContentDate) == ("20240514", "20240514")
        assert a.ContentTime == b.ContentTime
        for keyword in ("PixelData", "FloatPixelData"):
            assert a.get(keyword) == b.get(keyword)


def test_twice_is_the_same_and_another_study_gives_other_uids(both):
    objects = both[0]
    one, two = (Original(uid, {}, NAMED) for uid in ("1.2.3.2", "1.2.3.22"))
    assert relinked(objects[0], one) == relinked(objects[0], one)
    assert not uids_of(read(relinked(objects[0], one))) & uids_of(read(relinked(objects[0], two)))


def test_what_is_no_identity_is_refused(both):
    with pytest.raises(ValueError, match="ImageComments"):
        relinked(both[0][0], Original("1.2.3.2", {}, {"ImageComments": "x"}))

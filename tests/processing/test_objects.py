"""DICOM objects of an analysis: judged by dciodvfy, read by dcmtk, and true to the arrays."""

from __future__ import annotations

import json
import shutil
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image

from processing import objects
from processing.analysis import analyse_folder
from processing.phantom_dicom import VENDORS
from scripts.drill.intake_objects import KINDS, errors_of, judged, phantom, without_identity
from studies.dicom.frames import frames_of
from studies.dicom.sort import sort_frames
from studies.intended_use import INTENDED_USE

_AHA = {
    "264850008": 1, "396482007": 2, "396646008": 3, "264846001": 4, "396652009": 5,
    "396654005": 6, "264848000": 7, "396647004": 8, "396649001": 9, "264847005": 10,
    "396655006": 11, "396656007": 12, "264844003": 13, "264845002": 14, "264849008": 15,
    "264853005": 16,
}  # fmt: skip
_SHARED = (
    "StudyInstanceUID", "StudyDate", "PatientID", "PatientName", "PatientIdentityRemoved",
    "PatientSex", "StudyDescription",
)  # fmt: skip
_STATES = {"432655005": "stress", "128975004": "rest"}


def needs(program: str, package: str) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"needs Debian package {package}")


@pytest.fixture(scope="module", params=VENDORS)
def study(request, tmp_path_factory) -> tuple[Path, Path, dict]:
    """Source files as the site stores them, the output made of them, and its report."""
    place = tmp_path_factory.mktemp(request.param)
    phantom(place / "raw", request.param)
    without_identity(place / "raw", place / "in")
    report = analyse_folder(place / "in", place / "out")
    return place / "in", place / "out", report


@pytest.fixture
def output(study) -> Path:
    return study[1]


@pytest.fixture
def report(study) -> dict:
    return study[2]


def entries(report: dict, kind: str) -> list[dict]:
    return [entry for entry in report["dicom"] if entry["kind"] == kind]


def read(output: Path, entry: dict) -> list[pydicom.Dataset]:
    return [pydicom.dcmread(output / name) for name in entry["files"]]


def array(output: Path, folder: str, name: str) -> np.ndarray:
    return np.load(output / folder / f"{name}.npy")


def test_dciodvfy_finds_no_error_in_any_object(output):
    needs("dciodvfy", "dicom3tools")
    found, errors = judged(output)
    assert set(found) == set(KINDS)
    assert all(found.values())
    assert sum(errors.values()) == 0, errors


def test_dciodvfy_does_find_errors(output, report, tmp_path):
    needs("dciodvfy", "dicom3tools")
    for kind in KINDS:
        ds = read(output, entries(report, kind)[0])[0]
        del ds.StudyInstanceUID
        ds.save_as(tmp_path / "broken.dcm")
        assert errors_of(tmp_path / "broken.dcm"), kind


def test_the_report_names_every_object_and_each_is_there(output, report):
    named = [name for entry in report["dicom"] for name in entry["files"]]
    there = [path.relative_to(output).as_posix() for path in (output / "dicom").rglob("*.dcm")]
    assert sorted(named) == sorted(there)
    uids = set()
    for entry in report["dicom"]:
        place = "corrected/0001" if entry["kind"] == "corrected" else entry["kind"]
        parts = ["dicom", entry["folder"], f"{place}.dcm"]
        assert entry["files"][0] == "/".join(part for part in parts if part)
        for ds in read(output, entry):
            assert (ds.SOPClassUID, ds.SeriesInstanceUID) == (
                entry["sop_class_uid"],
                entry["series_uid"],
            )
            uids.add(ds.SOPInstanceUID)
    assert len(uids) == len(named)
    for entry in entries(report, "corrected"):
        (series,) = [one for one in report["series"] if one["folder"] == entry["folder"]]
        assert len(entry["files"]) == len(series["frames"])


def test_they_belong_to_the_patient_and_study_of_the_files(study):
    source, output, report = study
    first = pydicom.dcmread(next(source.glob("*.dcm")), stop_before_pixels=True)
    for entry in report["dicom"]:
        for ds in read(output, entry):
            for keyword in _SHARED:
                assert ds[keyword].value == first[keyword].value, (entry["kind"], keyword)
            assert ds.Manufacturer == "CoreCMR"
            told = list(ds.SoftwareVersions)
            assert f"{report['engine']['name']} {report['engine']['version']}" in told
            assert ds.SeriesDescription.endswith("research")
            if entry["kind"] not in {"measurements", "mbf_colour"}:
                assert ds.FrameOfReferenceUID == first.FrameOfReferenceUID
            if entry["kind"] != "measurements":
                assert INTENDED_USE in {ds.get("ImageComments"), ds.get("ContentDescription")}
                assert ds.BodyPartExamined == "HEART"
            if entry["kind"] not in {"measurements", "segmentation"}:
                assert ds.BurnedInAnnotation == "NO"


def test_the_flow_map_is_the_array_to_the_bit(output, report):
    for entry in entries(report, "mbf"):
        (ds,) = read(output, entry)
        mbf = array(output, entry["folder"], "mbf")
        assert ds.pixel_array.dtype == np.float32
        assert np.array_equal(ds.pixel_array.reshape(mbf.shape), mbf, equal_nan=True)
        (group,) = ds.SharedFunctionalGroupsSequence
        mapping = group.RealWorldValueMappingSequence[0]
        assert mapping.MeasurementUnitsCodeSequence[0].CodeValue == "ml/min/g"
        assert (mapping.RealWorldValueSlope, mapping.RealWorldValueIntercept) == (1, 0)
        quantity = mapping.QuantityDefinitionSequence[0].ConceptCodeSequence[0]
        assert quantity.CodeMeaning == "Absolute Regional Blood Flow"


def test_the_grey_copy_is_a_hundred_times_the_flow(output, report):
    for entry in entries(report, "mbf_x100"):
        (ds,) = read(output, entry)
        mbf = array(output, entry["folder"], "mbf")
        inside = np.isfinite(mbf)
        mapping = ds.RealWorldValueMappingSequence[0]
        flow = ds.pixel_array * mapping.RealWorldValueSlope + mapping.RealWorldValueIntercept
        assert mapping.MeasurementUnitsCodeSequence[0].CodeValue == "ml/min/g"
        assert np.abs(flow - mbf)[inside].max() <= 0.005 + 1e-6
        assert (ds.pixel_array[~inside] == 0).all()
        # One window for every slice and study: 0 to 6 ml/min/g.
        assert (ds.WindowCenter, ds.WindowWidth) == (300, 600)


def test_the_colour_copy_is_the_picture_of_the_map(output, report):
    for entry in entries(report, "mbf_colour"):
        (ds,) = read(output, entry)
        picture = Image.open(output / entry["folder"] / "mbf.png").convert("RGB")
        assert np.array_equal(ds.pixel_array, np.asarray(picture))


def test_corrected_frames_differ_from_the_array_by_half_a_step_at_most(output, report):
    for entry in entries(report, "corrected"):
        frames = read(output, entry)
        slope = float(frames[0].RescaleSlope)
        values = np.stack([ds.pixel_array * float(ds.RescaleSlope) for ds in frames])
        corrected = array(output, entry["folder"], "corrected")
        assert np.abs(values - corrected).max() <= slope / 2 * (1 + 1e-6)
        # All 16 bits are of use: the step is a 16,000th of the brightest value, or finer.
        assert slope <= np.abs(corrected).max() / 16_000
        assert {float(ds.RescaleIntercept) for ds in frames} == {0.0}


def test_corrected_frames_name_their_sources(output, report):
    for entry in entries(report, "corrected"):
        (series,) = [one for one in report["series"] if one["folder"] == entry["folder"]]
        for ds, frame in zip(read(output, entry), series["frames"], strict=True):
            (source,) = ds.SourceImageSequence
            assert source.ReferencedSOPInstanceUID == frame["sop_instance_uid"]
            assert int(source.get("ReferencedFrameNumber", 1)) == frame["frame_number"]
            assert ds.ImageType[:2] == ["DERIVED", "SECONDARY"]
            assert ds.DerivationCodeSequence[0].CodeValue == "125027"


def test_read_again_they_are_the_same_films_at_the_same_times(output, report):
    """State, level and times as a reader finds them who knows our objects alone."""
    frames = []
    for entry in entries(report, "corrected"):
        for name, ds in zip(entry["files"], read(output, entry), strict=True):
            frames += frames_of(ds, name)
    found = {film.folder: film for film in sort_frames(frames).series}
    assert set(found) == {series["folder"] for series in report["series"]}
    for series in report["series"]:
        film = found[series["folder"]]
        assert film.times_s == pytest.approx(series["frame_times_s"], abs=2e-6)


def test_a_pixel_lies_where_its_source_pixel_lies(study):
    source, output, report = study
    sources = {}
    for path in source.glob("*.dcm"):
        for frame in frames_of(pydicom.dcmread(path, stop_before_pixels=True), path.name):
            sources[frame.sop_instance_uid, frame.frame_number] = frame
    for series in report["series"]:
        first = series["frames"][0]
        frame = sources[first["sop_instance_uid"], first["frame_number"]]
        row, col = series["offset"]
        wanted = _place(frame.position_mm, frame.orientation, frame.pixel_spacing_mm,
                        row + 5, col + 9)  # fmt: skip
        for kind in ("corrected", "mbf", "mbf_x100", "segmentation"):
            (entry,) = [e for e in entries(report, kind) if e["folder"] == series["folder"]]
            (place,) = frames_of(pydicom.dcmread(output / entry["files"][0]), "")[:1]
            got = _place(place.position_mm, place.orientation, place.pixel_spacing_mm, 5, 9)
            assert got == pytest.approx(wanted, abs=1e-4), kind


def _place(position, orientation, spacing, row: int, col: int) -> np.ndarray:
    """DICOM PS3.3 C.7.6.2.1.1: where a pixel's centre lies in the patient, in mm."""
    x, y = np.array(orientation[:3]), np.array(orientation[3:])
    return np.array(position) + x * spacing[1] * col + y * spacing[0] * row


def test_the_segmentation_is_the_masks(output, report):
    for entry in entries(report, "segmentation"):
        (ds,) = read(output, entry)
        labels = array(output, entry["folder"], "segmentation")
        aha = array(output, entry["folder"], "aha")
        wanted = {"Myocardium": labels == 1, "LV blood pool": labels == 2,
                  "RV blood pool": labels == 3}  # fmt: skip
        wanted |= {f"AHA {n}": aha == n for n in np.unique(aha) if n}
        wanted = {name: mask for name, mask in wanted.items() if mask.any()}
        names = {one.SegmentNumber: one.SegmentLabel for one in ds.SegmentSequence}
        found = {}
        for frame, group in zip(ds.pixel_array, ds.PerFrameFunctionalGroupsSequence, strict=True):
            number = group.SegmentIdentificationSequence[0].ReferencedSegmentNumber
            found[names[number]] = frame.astype(bool)
        assert set(found) == set(wanted)
        for name, mask in wanted.items():
            assert np.array_equal(found[name], mask), name


def test_the_segmentation_refers_to_each_corrected_frame(output, report):
    for entry in entries(report, "segmentation"):
        (ds,) = read(output, entry)
        (film,) = [e for e in entries(report, "corrected") if e["folder"] == entry["folder"]]
        uids = [frame.SOPInstanceUID for frame in read(output, film)]
        (series,) = ds.ReferencedSeriesSequence
        assert series.SeriesInstanceUID == film["series_uid"]
        assert [o.ReferencedSOPInstanceUID for o in series.ReferencedInstanceSequence] == uids
        for group in ds.PerFrameFunctionalGroupsSequence:
            sources = group.DerivationImageSequence[0].SourceImageSequence
            assert [one.ReferencedSOPInstanceUID for one in sources] == uids


def measured(ds: pydicom.Dataset) -> list[dict]:
    """The measurement groups of a report, as plain values."""
    (box,) = [i for i in ds.ContentSequence if _name(i) == "Imaging Measurements"]
    groups = []
    for group in box.ContentSequence:
        told = {}
        for item in group.ContentSequence:
            if item.ValueType == "CODE":
                told[_name(item)] = item.ConceptCodeSequence[0].CodeValue
            elif item.ValueType == "NUM":
                told["quantity"] = _name(item)
                told["value"], told["unit"] = _number(item)
                for part in item.get("ContentSequence", []):
                    if part.ValueType == "NUM":
                        told[_name(part)[0]], unit = _number(part)
                        assert unit == told["unit"]
            elif item.ValueType == "IMAGE":
                told[_name(item)] = item.ReferencedSOPSequence[0]
        groups.append(told)
    return groups


def _name(item: pydicom.Dataset) -> str:
    return item.ConceptNameCodeSequence[0].CodeMeaning


def _number(item: pydicom.Dataset) -> tuple[float, str]:
    (value,) = item.MeasuredValueSequence
    assert float(value.NumericValue) == pytest.approx(value.FloatingPointValue, rel=1e-13)
    return value.FloatingPointValue, value.MeasurementUnitsCodeSequence[0].CodeValue


def test_the_structured_report_says_what_the_report_says(output, report):
    (entry,) = entries(report, "measurements")
    (ds,) = read(output, entry)
    groups = measured(ds)
    flows = {}
    for one in groups:
        number = _AHA.get(one["Finding Site"])
        if one["quantity"] == "Absolute Regional Blood Flow" and number is not None:
            assert one["unit"] == "ml/min/g"
            flows[_STATES[one["Patient State"]], number] = one
    wanted = {
        (series["state"], int(number)): flow
        for series in report["series"]
        for number, flow in series["mbf"]["segments"].items()
        if flow["mbf"] is not None
    }
    assert set(flows) == set(wanted)
    for key, flow in wanted.items():
        assert flows[key]["value"] == flow["mbf"]
        assert flows[key]["value"] - flows[key]["-"] == pytest.approx(flow["low"], abs=1e-12)
        assert flows[key]["value"] + flows[key]["+"] == pytest.approx(flow["high"], abs=1e-12)
    reserve = {
        _AHA[one["Finding Site"]]: one["value"]
        for one in groups
        if one["quantity"].startswith("Myocardial perfusion reserve")
    }
    assert reserve == {int(number): value for number, value in report["reserve"].items()}
    means = [one["value"] for one in groups if one["Finding Site"] == "49848007"]
    assert means == [series["mbf"]["global"] for series in report["series"]]


def test_a_measured_segment_is_shown_in_the_segmentation(output, report):
    (entry,) = entries(report, "measurements")
    (ds,) = read(output, entry)
    objects_ = {one.SOPInstanceUID: one
                for e in entries(report, "segmentation") for one in read(output, e)}  # fmt: skip
    shown = 0
    for one in measured(ds):
        region = one.get("Referenced Segmentation Frame")
        if region is None:
            continue
        mask = objects_[region.ReferencedSOPInstanceUID]
        group = mask.PerFrameFunctionalGroupsSequence[int(region.ReferencedFrameNumber) - 1]
        number = group.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        segment = mask.SegmentSequence[number - 1]
        assert segment.SegmentedPropertyTypeCodeSequence[0].CodeValue == one["Finding Site"]
        shown += 1
    assert shown == sum(len(series["mbf"]["segments"]) for series in report["series"])


def test_dcmtk_reads_them(output, report):
    needs("dcmdump", "dcmtk")
    for kind in KINDS:
        path = output / entries(report, kind)[0]["files"][0]
        ds = pydicom.dcmread(path, stop_before_pixels=True)
        told = json.loads(_run("dcm2json", path))
        assert told["00080018"]["Value"] == [ds.SOPInstanceUID]
        assert str(ds.SeriesDescription) in _run("dcmdump", path)


def test_dcmtk_shows_the_grey_map_in_its_window(output, report, tmp_path):
    needs("dcmj2pnm", "dcmtk")
    (entry, *_) = entries(report, "mbf_x100")
    picture = tmp_path / "map.png"
    _run("dcmj2pnm", "--write-png", "--use-window", "1", output / entry["files"][0], picture)
    mbf = np.nan_to_num(array(output, entry["folder"], "mbf"))
    grey = np.asarray(Image.open(picture).convert("L")).astype(float)
    assert np.abs(grey - np.clip(mbf / 6, 0, 1) * 255).max() <= 1.5


def test_dcmtk_reads_the_structured_report(output, report):
    needs("dsrdump", "dcmtk")
    (entry,) = entries(report, "measurements")
    text = _run("dsrdump", "+Pc", "+Pl", output / entry["files"][0])
    assert "126390,DCM" in text
    assert INTENDED_USE in text
    flow = report["series"][0]["mbf"]["segments"]
    assert all(f"{one['mbf']:.10g}"[:8] in text for one in flow.values())


def _run(program: str, *arguments: object) -> str:
    done = subprocess.run(
        [program, *map(str, arguments)], capture_output=True, text=True, check=True
    )
    return done.stdout


def test_an_identity_that_was_not_removed_is_written_on_request_only(tmp_path):
    phantom(tmp_path / "raw", "siemens")
    sent = pydicom.dcmread(next(p for p in (tmp_path / "raw").rglob("*") if p.is_file()))
    for name_patient in (False, True):
        output = tmp_path / f"out{name_patient}"
        report = analyse_folder(tmp_path / "raw", output, name_patient=name_patient)
        whole = b"".join(path.read_bytes() for path in (output / "dicom").rglob("*.dcm"))
        known = [str(sent.PatientName), sent.PatientID, sent.PatientBirthDate]
        assert [told.encode() in whole for told in known] == [name_patient] * 3
        for told in (sent.InstitutionName, sent.StationName, str(sent.OperatorsName),
                     sent.PatientAddress):  # fmt: skip
            assert told.encode() not in whole
        assert not any("reason" in entry for entry in report["dicom"])


def test_the_same_input_gives_the_same_bytes(study, tmp_path):
    source, output, report = study
    again = analyse_folder(source, tmp_path / "again")
    assert again["dicom"] == report["dicom"]
    for path in (output / "dicom").rglob("*.dcm"):
        other = tmp_path / "again" / path.relative_to(output)
        assert other.read_bytes() == path.read_bytes(), path.name


def test_objects_of_a_slice_are_stored_as_one_file(output, report, tmp_path):
    place = tmp_path / "out"
    shutil.copytree(output, place)
    objects.pack(place)
    assert [path.name for path in (place / "dicom").rglob("*.dcm")] == ["measurements.dcm"]
    for series in report["series"]:
        folder = series["folder"]
        named = [
            name.removeprefix(f"dicom/{folder}/")
            for entry in report["dicom"] if entry["folder"] == folder for name in entry["files"]
        ]  # fmt: skip
        with zipfile.ZipFile(place / folder / "dicom.zip") as pack:
            assert pack.testzip() is None
            assert sorted(pack.namelist()) == sorted(named)
            for name in named:
                assert pack.read(name) == (output / "dicom" / folder / name).read_bytes()


@pytest.mark.parametrize(
    "folder",
    [
        "invivo/dicom-original/ge-first-pass",
        "invivo/dicom-original/siemens-single-slice/Rest",
    ],
)
def test_real_series(data_root, tmp_path, folder):
    needs("dciodvfy", "dicom3tools")
    without_identity(data_root / folder, tmp_path / "in")
    report = analyse_folder(tmp_path / "in", tmp_path / "out")
    found, errors = judged(tmp_path / "out")
    assert set(found) == set(KINDS)
    assert sum(errors.values()) == 0, errors
    test_read_again_they_are_the_same_films_at_the_same_times(tmp_path / "out", report)

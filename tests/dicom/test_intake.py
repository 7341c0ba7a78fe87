"""The child that judges an upload: its manifest, one bad file among good ones, hostile files."""

from __future__ import annotations

import hashlib
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import pydicom
import pytest

from tests.conftest import CHECKOUT
from tests.dicom.make import CT, enhanced, film, image, save

KEY = "5a" * 32


def _limited() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (2 * 1024**3, 2 * 1024**3))
    resource.setrlimit(resource.RLIMIT_CPU, (60, 60))


def _intake(paths: list[Path], out: Path, wall_s: float = 60) -> tuple[dict, list[dict], str]:
    out.mkdir()
    request = {
        "files": [{"id": str(n), "path": str(path)} for n, path in enumerate(paths)],
        "out": str(out),
        "key_hex": KEY,
    }
    child = subprocess.run(
        [sys.executable, "-m", "studies.dicom.intake"],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        cwd=CHECKOUT,
        timeout=wall_s,
        preexec_fn=_limited,
        check=False,
    )
    assert child.returncode == 0, child.stderr[-2000:]
    lines = [json.loads(line) for line in child.stdout.splitlines()]
    return json.loads((out / "manifest.json").read_text()), lines, child.stderr


def test_a_study_with_bad_files_beside_it(tmp_path):
    good = save(
        [*film(12, series="1"), *film(12, series="2", along_mm=10.0, start=36900.1)],
        tmp_path / "good",
    )
    bad = save([image(SOPClassUID=CT), image(PixelData=None)], tmp_path / "bad")
    (tmp_path / "empty.dcm").write_bytes(b"")
    (tmp_path / "notes.dcm").write_text("no image")
    extra = save(film(2, series="9"), tmp_path / "extra")
    bad += [tmp_path / "empty.dcm", tmp_path / "notes.dcm"]
    manifest, lines, stderr = _intake([*good, *bad, *extra], tmp_path / "out")

    assert stderr == ""
    assert lines[-1] == {"done": 30, "total": 30}
    files = {entry["id"]: entry for entry in manifest["files"]}
    assert [files[str(n)]["accepted"] for n in range(30)] == [True] * 24 + [False] * 4 + [True] * 2
    assert "CT Image" in files["24"]["reason"]
    assert "empty" in files["26"]["reason"]
    for n in range(24):
        data = (tmp_path / "out" / f"{n}.dcm").read_bytes()
        assert hashlib.sha256(data).hexdigest() == files[str(n)]["sha256"]
        assert len(data) == files[str(n)]["size"]
        assert b"INVENTED" not in data
        assert b"INV0001" not in data
        rebuilt = pydicom.dcmread(tmp_path / "out" / f"{n}.dcm")
        assert files[str(n)]["sop_instance_uid"] == rebuilt.SOPInstanceUID
    assert not (tmp_path / "out" / "24.dcm").exists()

    (study,) = manifest["studies"]
    assert study["study_uid"].startswith("2.25.")
    assert study["patient"] == {"sex": "", "age_years": None}
    assert study["scanner"] == {
        "manufacturer": "SIEMENS", "model": "", "pseudonym": "", "field_t": 1.5,
    }  # fmt: skip
    assert study["study_date"] < "2024-05-14"
    basal, mid = study["series"]
    assert (basal["state"], basal["level"], basal["role"]) == ("stress", "basal", "perfusion")
    assert basal["description"] == "stress perfusion"
    assert basal["frames"] == 12
    assert (basal["rows"], basal["cols"]) == (36, 34)
    assert basal["time_source"] == "AcquisitionTime"
    assert basal["duration_s"] == pytest.approx(8.8)
    assert basal["median_interval_s"] == pytest.approx(0.8)
    assert basal["file_ids"] == [str(n) for n in range(12)]
    assert mid["file_ids"] == [str(n) for n in range(12, 24)]
    assert basal["reasons"]
    assert [entry["id"] for entry in study["unused"]] == ["28", "29"]
    everything = json.dumps(manifest)
    for told in ("INVENTED", "INV0001", str(tmp_path), "1.2.3.", "20240514"):
        assert told not in everything


def test_the_same_upload_gives_the_same_files(tmp_path):
    paths = save(film(12), tmp_path / "in")
    first, _, _ = _intake(paths, tmp_path / "one")
    second, _, _ = _intake(paths, tmp_path / "two")
    assert first == second


def test_two_patients_in_one_examination_are_refused(tmp_path):
    mixed = [*film(12), *film(12, series="2", along_mm=10, PatientID="INV0002")]
    manifest, _, _ = _intake(save(mixed, tmp_path / "in"), tmp_path / "out")
    assert manifest["studies"] == []
    assert {entry["accepted"] for entry in manifest["files"]} == {False}
    assert "two patients" in manifest["files"][0]["reason"]


def test_one_multi_frame_file_serves_several_series(tmp_path):
    manifest, _, _ = _intake(save([enhanced()], tmp_path / "in"), tmp_path / "out")
    (study,) = manifest["studies"]
    assert [one["file_ids"] for one in study["series"]] == [["0"], ["0"]]
    assert [one["level"] for one in study["series"]] == ["basal", "mid"]


def test_no_files_at_all(tmp_path):
    manifest, _, _ = _intake([], tmp_path / "out")
    assert manifest == {"files": [], "studies": []}


def _judged_well(manifest: dict, count: int) -> None:
    assert len(manifest["files"]) == count
    for entry in manifest["files"]:
        if not entry["accepted"]:
            assert entry["reason"].endswith(".")
            assert "Traceback" not in entry["reason"]


@pytest.mark.data
def test_every_malformed_file_gets_its_sentence(data_root, tmp_path):
    paths = sorted(path for path in (data_root / "malformed").rglob("*") if path.is_file())
    assert len(paths) > 250
    started = time.monotonic()
    manifest, _, stderr = _intake(paths, tmp_path / "out", wall_s=30)
    assert time.monotonic() - started < 30
    assert stderr == ""
    _judged_well(manifest, len(paths))
    assert not any(entry["accepted"] for entry in manifest["files"])


@pytest.mark.data
def test_malformed_files_that_claim_to_be_mr_are_survived(data_root, tmp_path):
    """Most of those files are CT and go at the gate; as MR they reach every later step."""
    folder = tmp_path / "mr"
    folder.mkdir()
    sources = sorted(path for path in (data_root / "malformed").rglob("*") if path.is_file())
    for n, source in enumerate(sources):
        data = source.read_bytes()
        data = data.replace(b"1.2.840.10008.5.1.4.1.1.2\0", b"1.2.840.10008.5.1.4.1.1.4\0")
        (folder / f"{n:04d}").write_bytes(data)
    good = save(film(12), tmp_path / "good")
    paths = [*sorted(folder.iterdir()), *good]
    manifest, _, stderr = _intake(paths, tmp_path / "out", wall_s=30)
    assert stderr == ""
    _judged_well(manifest, len(paths))
    series = [one for study in manifest["studies"] for one in study["series"]]
    assert [one["frames"] for one in series] == [12]


@pytest.mark.data
def test_what_is_no_perfusion_study_is_told_so(data_root, tmp_path):
    paths = sorted(path for path in (data_root / "other").rglob("*") if path.is_file())
    manifest, _, _ = _intake(paths, tmp_path / "out")
    assert all(study["series"] == [] for study in manifest["studies"])
    told = {entry["id"] for entry in manifest["files"] if not entry["accepted"]}
    told |= {entry["id"] for study in manifest["studies"] for entry in study["unused"]}
    assert told == {str(n) for n in range(len(paths))}


@pytest.mark.data
@pytest.mark.parametrize(
    ("folder", "expected"),
    [
        (
            "invivo/dicom/case01",
            {
                ("stress", "basal", "AcquisitionTime"),
                ("stress", "mid", "AcquisitionTime"),
                ("rest", "basal", "AcquisitionTime"),
                ("rest", "mid", "AcquisitionTime"),
            },
        ),
        ("invivo/dicom-original/ge-first-pass", {("unknown", "mid", "TriggerTime")}),
        (
            "invivo/dicom-original/siemens-single-slice/Stress",
            {("unknown", "mid", "AcquisitionTime")},
        ),
    ],
)
def test_real_studies_are_understood(data_root, tmp_path, folder, expected):
    paths = sorted(path for path in (data_root / folder).rglob("*") if path.is_file())
    manifest, _, _ = _intake(paths, tmp_path / "out")
    (study,) = manifest["studies"]
    found = {(one["state"], one["level"], one["time_source"]) for one in study["series"]}
    assert found == expected
    assert study["scanner"]["field_t"] == 1.5
    assert study["unused"] == []


@pytest.mark.data
def test_two_real_patients_are_two_studies(data_root, tmp_path):
    root = data_root / "invivo/dicom-original/siemens-single-slice"
    paths = sorted(path for path in root.rglob("*") if path.is_file())
    manifest, _, _ = _intake(paths, tmp_path / "out")
    assert len({study["patient_pseudonym"] for study in manifest["studies"]}) == 2

"""``analyse``: a folder of DICOM in, the contract's folder out, and every way it can refuse."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys
from io import StringIO
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pydicom
import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from PIL import Image
from scipy.ndimage import map_coordinates

from processing.analysis import NothingToAnalyse, analyse_folder
from processing.mcaq.phantom import make_study
from processing.phantom_dicom import write_study
from processing.phantom_variants import Variant
from tests.conftest import CHECKOUT
from tests.dicom.make import CT, film, image, save

PD, FRAMES = 2, 36
FOLDERS = ["stress_basal", "stress_mid", "rest_basal", "rest_mid"]


@pytest.fixture(scope="module")
def phantom(tmp_path_factory) -> Path:
    """A small study of two slices with input series, and some bad files beside it."""
    folder = tmp_path_factory.mktemp("phantom")
    study = make_study(
        3, levels=("basal", "mid"), frames=FRAMES, rows=96, cols=96, pd_frames=PD,
        dual_sequence=True,
    )  # fmt: skip
    write_study(study, folder)
    (folder / "empty.dcm").write_bytes(b"")
    (folder / "letter.dcm").write_text("Dear colleague")
    save([image(SOPClassUID=CT)], folder / "other")
    first = next(path for path in sorted(folder.rglob("*")) if path.is_file() and not path.suffix)
    shutil.copy(first, folder / "the same again")
    (folder / "cut").write_bytes(first.read_bytes()[:-200])
    return folder


@pytest.fixture(scope="module")
def rest(phantom, tmp_path_factory) -> Path:
    """The films at rest alone, without their input series."""
    folder = tmp_path_factory.mktemp("rest")
    for number, path in enumerate(sorted(phantom.rglob("*"))):
        if path.is_file() and not path.suffix and path.parent.parent.parent == phantom:
            ds = pydicom.dcmread(path, stop_before_pixels=True)
            if ds.SeriesDescription == "Rest perfusion dynamic":
                shutil.copy(path, folder / f"{number:04d}")
    return folder


@pytest.fixture(scope="module")
def analysed(phantom, tmp_path_factory) -> Path:
    """The command's output, run as a person runs it: no settings, no database, from anywhere."""
    place = tmp_path_factory.mktemp("analysed")
    child = subprocess.run(
        [sys.executable, CHECKOUT / "manage.py", "analyse", phantom, "out"],
        cwd=place,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert child.returncode == 0, child.stderr[-2000:]
    assert child.stderr == ""
    assert "stress_basal" in child.stdout
    assert [path.name for path in place.iterdir()] == ["out"]
    return place / "out"


@pytest.fixture(scope="module")
def content(analysed) -> dict:
    def fail(word: str) -> None:
        raise AssertionError(f"{word} in the report")

    return json.loads((analysed / "report.json").read_text(), parse_constant=fail)


def test_the_report_names_what_made_it(content):
    assert content["format"] == 1
    assert content["engine"]["name"] == "mcaq"
    assert set(content["seconds"]) >= {"read", "motion", "segmentation", "flow", "write", "total"}
    assert content["seconds"]["total"] >= content["seconds"]["motion"] > 0
    assert 50e6 < content["peak_memory_bytes"] < 4e9


def test_the_same_input_gives_the_same_arrays_and_report(analysed, content, phantom, tmp_path):
    again = analyse_folder(phantom, tmp_path / "again")
    for report in (content, again):
        assert all(len(one["input_sha256"]) == 64 for one in report["series"])
    assert len({one["input_sha256"] for one in content["series"]}) == len(content["series"])

    def lasting(part):
        if isinstance(part, dict):
            gone = {"seconds", "peak_memory_bytes"}
            return {key: lasting(value) for key, value in part.items() if key not in gone}
        return [lasting(one) for one in part] if isinstance(part, list) else part

    written = json.loads((tmp_path / "again" / "report.json").read_text())
    assert lasting(written) == lasting(content)
    for path in sorted(analysed.rglob("*.npy")):
        other = tmp_path / "again" / path.relative_to(analysed)
        assert other.read_bytes() == path.read_bytes(), path.name


def test_the_digest_is_that_of_the_files(content, phantom):
    one = content["series"][0]
    files = {
        str(pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID): path
        for path in phantom.rglob("*")
        if path.is_file() and path.read_bytes()[128:132] == b"DICM"
    }
    whole = hashlib.sha256()
    for uid in one["sop_instance_uids"]:
        whole.update(hashlib.sha256(files[uid].read_bytes()).digest())
    assert one["input_sha256"] == whole.hexdigest()


def test_the_seconds_of_a_series_are_its_own(content):
    stages = content["seconds"]
    each = [series["seconds"] for series in content["series"]]
    assert min(each) > 0
    assert sum(each) <= stages["motion"] + stages["segmentation"] + stages["flow"]


def test_every_series_is_there_in_its_folder(content, analysed):
    assert [series["folder"] for series in content["series"]] == FOLDERS
    there = sorted(path.name for path in analysed.iterdir())
    assert there == sorted([*FOLDERS, "dicom", "report.json"])
    named = [name for entry in content["dicom"] for name in entry["files"]]
    assert all((analysed / name).is_file() for name in named)
    for series in content["series"]:
        assert series["folder"] == f"{series['state']}_{series['level']}"
        assert series["time_source"] == "AcquisitionTime"


def test_all_frames_count_the_proton_density_ones_too(content, analysed):
    for series in content["series"]:
        count = PD + FRAMES
        assert len(series["frames"]) == len(series["frame_times_s"]) == count
        assert [frame["role"] for frame in series["frames"]] == ["pd"] * PD + ["dynamic"] * FRAMES
        assert not any(frame["used"] for frame in series["frames"][:PD])
        for frame in series["frames"]:
            assert frame["used"] or frame["reason"]
        corrected = np.load(analysed / series["folder"] / "corrected.npy")
        assert corrected.shape[0] == count
        lines = (analysed / series["folder"] / "aif.csv").read_text().splitlines()
        assert lines[0] == "time_s,concentration_mmol_l"
        assert len(lines) == 1 + count


def test_frames_are_those_of_the_files_in_order_of_time(content, phantom):
    told = {}
    for path in phantom.rglob("*"):
        if path.is_file() and not path.suffix and "other" not in path.parts and path.name != "cut":
            ds = pydicom.dcmread(path, stop_before_pixels=True)
            told[str(ds.SOPInstanceUID)] = ds
    for series in content["series"]:
        files = [told[uid] for uid in series["sop_instance_uids"]]
        assert {str(ds.SeriesInstanceUID) for ds in files} == {series["series_uid"]}
        assert [int(ds.InstanceNumber) for ds in files] == list(range(1, PD + FRAMES + 1))
        assert series["frame_times_s"][0] == 0
        assert np.all(np.diff(series["frame_times_s"]) > 0)


def test_arrays_share_one_grid_and_say_one_thing(content, analysed):
    segments_of = {"basal": set(range(1, 7)), "mid": set(range(7, 13))}
    for series in content["series"]:
        folder = analysed / series["folder"]
        mbf, segmentation, aha = (
            np.load(folder / f"{name}.npy") for name in ("mbf", "segmentation", "aha")
        )
        corrected, displacement = (
            np.load(folder / f"{name}.npy") for name in ("corrected", "displacement")
        )
        count = len(series["frames"])
        assert (mbf.dtype, segmentation.dtype, aha.dtype) == (np.float32, np.uint8, np.uint8)
        assert (corrected.dtype, displacement.dtype) == (np.float32, np.float32)
        assert mbf.shape == segmentation.shape == aha.shape
        assert corrected.shape == (count, *mbf.shape)
        assert displacement.shape == (count, 2, *mbf.shape)
        assert set(np.unique(segmentation)) <= {0, 1, 2, 3}
        np.testing.assert_array_equal(np.isfinite(mbf), segmentation == 1)
        np.testing.assert_array_equal(aha > 0, segmentation == 1)
        assert set(np.unique(aha[aha > 0])) <= segments_of[series["level"]]
        assert {int(n) for n in series["mbf"]["segments"]} == segments_of[series["level"]]
        for flow in series["mbf"]["segments"].values():
            assert set(flow) == {"mbf", "low", "high", "ischaemic"}
            assert flow["mbf"] is None or flow["low"] <= flow["mbf"] <= flow["high"]
        row, col = series["offset"]
        assert row + mbf.shape[0] <= 96
        assert col + mbf.shape[1] <= 96
        for flag in series["quality"]:
            assert flag["severity"] in {"info", "warning", "error"}
            assert flag["sentence"].endswith(".")


def test_corrected_is_the_original_moved_by_the_displacement(content, analysed, phantom):
    by_uid = {}
    for path in phantom.rglob("*"):
        if path.is_file() and not path.suffix and "other" not in path.parts and path.name != "cut":
            ds = pydicom.dcmread(path)
            by_uid[str(ds.SOPInstanceUID)] = ds
    series = content["series"][0]
    folder = analysed / series["folder"]
    corrected, moved = (np.load(folder / f"{name}.npy") for name in ("corrected", "displacement"))
    rows, cols = np.mgrid[: corrected.shape[1], : corrected.shape[2]]
    rows, cols = rows + series["offset"][0], cols + series["offset"][1]
    for t in (PD, PD + 12, PD + 25):
        original = by_uid[series["sop_instance_uids"][t]].pixel_array.astype(float)
        expected = map_coordinates(
            original, [rows + moved[t, 0], cols + moved[t, 1]], order=1, mode="nearest"
        )
        assert np.corrcoef(expected.ravel(), corrected[t].ravel())[0, 1] > 0.98
        assert abs(np.median(expected - corrected[t])) < 0.05 * np.std(expected)


def test_the_input_series_are_named_with_whom_they_serve(content):
    assert len(content["aif_series"]) == 2
    assert [entry["serves"] for entry in content["aif_series"]] in (
        [FOLDERS[:2], FOLDERS[2:]],
        [FOLDERS[2:], FOLDERS[:2]],
    )
    for entry in content["aif_series"]:
        assert len(entry["sop_instance_uids"]) == PD + FRAMES


def test_the_reserve_is_told_by_segment(content):
    assert {int(number) for number in content["reserve"]} <= set(range(1, 17))
    assert all(value > 0 for value in content["reserve"].values())
    assert content["reserve"]


def test_each_bad_file_is_named_with_its_reason(content):
    reasons = {entry["file"]: entry["reason"] for entry in content["unused"]}
    assert len(reasons) == 5
    assert "empty" in reasons.pop("empty.dcm")
    assert "not a DICOM" in reasons.pop("letter.dcm")
    assert "cut short" in reasons.pop("cut")
    assert "CT Image" in reasons.pop(next(name for name in reasons if name.startswith("other/")))
    (left,) = reasons.values()
    assert "same image" in left


def test_pictures_can_be_opened(analysed):
    for folder in FOLDERS:
        for name in ("mbf.png", "motion.png", "strip.png"):
            with Image.open(analysed / folder / name) as picture:
                assert min(picture.size) > 300
        frames, seconds = imageio_ffmpeg.count_frames_and_secs(str(analysed / folder / "cine.mp4"))
        assert frames == PD + FRAMES
        assert 1 < seconds < 10


def test_results_are_as_readable_as_any_new_folder(analysed, tmp_path):
    (tmp_path / "new").mkdir()
    expected = stat.S_IMODE((tmp_path / "new").stat().st_mode)
    assert stat.S_IMODE(analysed.stat().st_mode) == expected


def _refused(*arguments) -> str:
    with pytest.raises(CommandError) as refused:
        call_command("analyse", *arguments, stdout=StringIO(), stderr=StringIO())
    assert refused.value.returncode == 2
    return str(refused.value)


def test_wrong_folders_are_refused(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "file").write_text("x")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("precious")
    out = tmp_path / "out"
    assert "does not exist" in _refused(tmp_path / "none", out)
    assert "no folder" in _refused(tmp_path / "file", out)
    assert "no files" in _refused(tmp_path / "in", out)
    assert "not empty" in _refused(tmp_path / "in", tmp_path / "full")
    assert "no folder" in _refused(tmp_path / "in", tmp_path / "file")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "full", "in"]
    assert (tmp_path / "full" / "mine").read_text() == "precious"


def test_wrong_arguments_are_refused(tmp_path):
    save(film(12), tmp_path / "in")
    (tmp_path / "site.json").write_text('{"field": 3}')
    out = tmp_path / "out"
    assert "no engine 'none'" in _refused(tmp_path / "in", out, "--engine", "none")
    assert "unknown key field" in _refused(
        tmp_path / "in", out, "--protocol", str(tmp_path / "site.json")
    )
    assert not out.exists()


def test_argument_errors_end_with_status_two(tmp_path):
    child = subprocess.run(
        [sys.executable, CHECKOUT / "manage.py", "analyse", tmp_path, "--no-such"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert child.returncode == 2
    assert "Traceback" not in child.stderr
    assert "output_dir" in child.stderr


def test_a_folder_without_perfusion_says_what_is_in_it(tmp_path):
    save(film(3), tmp_path / "in")
    (tmp_path / "in" / "letter.dcm").write_text("Dear colleague")
    told = _refused(tmp_path / "in", tmp_path / "out")
    assert "No perfusion series" in told
    assert "letter.dcm: It is not a DICOM file" in told
    assert "3 images" in told
    assert not (tmp_path / "out").exists()


def test_films_without_contrast_are_refused_by_the_engine(tmp_path):
    """Constant pictures: sorted as a film, refused by the engine, nothing written."""
    save(film(20), tmp_path / "in")
    (tmp_path / "out").mkdir()
    told = _refused(tmp_path / "in", tmp_path / "out")
    assert "No series could be analysed" in told
    assert "stress_mid" in told
    assert list((tmp_path / "out").iterdir()) == []


def test_two_patients_are_not_analysed_together(tmp_path):
    save([*film(12), *film(12, series="2", along_mm=10, PatientID="INV2")], tmp_path / "in")
    with pytest.raises(NothingToAnalyse, match="2 patients") as refused:
        analyse_folder(tmp_path / "in", tmp_path / "out")
    assert "INV" not in str(refused.value)


def test_a_folder_that_may_not_be_written_to_is_refused_at_once(tmp_path):
    if os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    save(film(12), tmp_path / "in")
    (tmp_path / "locked").mkdir(mode=0o555)
    assert "may not be written" in _refused(tmp_path / "in", tmp_path / "locked" / "out")


def test_a_failure_while_writing_leaves_nothing(rest, tmp_path, monkeypatch):
    """As when the disk is full: the sentence says so, and no half result is left."""

    def full(*_args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("processing.report.render.write_poster", full)
    told = _refused(rest, tmp_path / "deep" / "out")
    assert "No space left" in told
    assert list(tmp_path.iterdir()) == []


def test_other_models_are_told_when_they_are_asked_for(rest, tmp_path, content):
    assert not any({"models", "spread"} & set(series) for series in content["series"])
    assert "model_reserve" not in content
    said = StringIO()
    call_command("analyse", rest, tmp_path / "out", "--models", "upslope,fermi", stdout=said)
    told = json.loads((tmp_path / "out" / "report.json").read_text())
    assert told["parameters"]["models"] == ["fermi", "upslope"]
    for series in told["series"]:
        assert {name: one["unit"] for name, one in series["models"].items()} == {
            "fermi": "ml/min/g", "upslope": "relative",
        }  # fmt: skip
        for one in series["models"].values():
            assert set(one["segments"]) == set(series["mbf"]["segments"])
            assert one["global"] > 0
        assert all(value >= 0 for value in series["spread"].values())
    # Rest alone: what needs stress says so.
    assert told["summary"]["rest"]["global"]["mbf"] > 0
    assert told["summary"]["reserve"]["global"]["mpr"] is None
    assert told["summary"]["reserve"]["global"]["reason"] == "There is no stress series."
    assert told["summary"]["ischaemic_burden"]["percent"] is None


@pytest.mark.parametrize("models", ["patlak", "fermi,", ""])
def test_a_model_that_is_not_there_is_refused_at_once(rest, tmp_path, models):
    with pytest.raises(CommandError, match="Choose from exchange, fermi") as caught:
        call_command("analyse", rest, tmp_path / "out", f"--models={models}")
    assert caught.value.returncode == 2
    assert not (tmp_path / "out").exists()


def test_progress_grows_through_its_stages(rest, tmp_path):
    seen = []
    analyse_folder(rest, tmp_path / "out", progress=lambda stage, done: seen.append((stage, done)))
    assert list(dict.fromkeys(stage for stage, _ in seen)) == [
        "read", "motion", "segmentation", "flow", "write",
    ]  # fmt: skip
    fractions = [done for _, done in seen]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0


def test_a_terminal_shows_a_bar(tmp_path, monkeypatch):
    """On a terminal the bar is drawn and taken away again; elsewhere there is none."""
    import pty

    save(film(20), tmp_path / "in")
    master, slave = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, CHECKOUT / "manage.py", "analyse", tmp_path / "in", tmp_path / "out"],
        env={"PATH": os.environ["PATH"]},
        stdout=subprocess.PIPE,
        stderr=slave,
    )
    os.close(slave)
    seen = b""
    while True:
        try:
            part = os.read(master, 4096)
        except OSError:
            break
        if not part:
            break
        seen += part
    os.close(master)
    assert child.wait(timeout=60) == 2
    assert child.stdout is not None
    child.stdout.close()
    assert b"% Reading" in seen
    assert b"No series could be analysed" in seen


@pytest.mark.data
@pytest.mark.parametrize(
    ("folder", "expected"),
    [
        ("invivo/dicom/case01", FOLDERS),
        ("invivo/dicom-original/ge-first-pass", ["unknown_mid"]),
        ("invivo/dicom-original/siemens-single-slice/Stress", ["unknown_mid"]),
    ],
)
def test_real_studies(data_root, tmp_path, folder, expected):
    found = analyse_folder(data_root / folder, tmp_path / "out")
    assert [series["folder"] for series in found["series"]] == expected
    for series in found["series"]:
        cine = tmp_path / "out" / series["folder"] / "cine.mp4"
        frames, _ = imageio_ffmpeg.count_frames_and_secs(str(cine))
        assert frames == len(series["frames"])
        assert series["mbf"]["global"] > 0
        flags = {flag["flag"] for flag in series["quality"]}
        assert ("state_unknown" in flags) == (series["state"] == "unknown")
    assert bool(found["reserve"]) == (len(expected) > 1)


@pytest.mark.data
def test_two_real_patients_are_caught(data_root, tmp_path):
    with pytest.raises(NothingToAnalyse, match="2 patients"):
        analyse_folder(data_root / "invivo/dicom-original/siemens-single-slice", tmp_path / "out")


@pytest.mark.data
def test_real_studies_that_are_no_perfusion_are_refused(data_root, tmp_path):
    with pytest.raises(NothingToAnalyse, match="No perfusion series"):
        analyse_folder(data_root / "other", tmp_path / "out")


@pytest.fixture(scope="module")
def with_maps(tmp_path_factory) -> Path:
    """A film of one slice in each state, with the flow maps that the scanner made of them."""
    folder = tmp_path_factory.mktemp("with maps")
    study = make_study(4, levels=("mid",), frames=FRAMES, rows=96, cols=96)
    write_study(study, folder, variant=Variant(scanner_maps=True))
    return folder


def test_the_scanners_own_map_is_shown_beside_ours_and_never_analysed(with_maps, tmp_path):
    report = analyse_folder(with_maps, tmp_path / "out")
    truth = make_study(4, levels=("mid",), frames=FRAMES, rows=96, cols=96).truth
    assert [entry["folder"] for entry in report["series"]] == ["stress_mid", "rest_mid"]
    assert report["unused"] == []
    assert {(one["of"], one["state"]) for one in report["scanner_maps"]} == {
        ("stress_mid", "stress"), ("rest_mid", "rest"),
    }  # fmt: skip
    for entry, known in zip(report["series"], truth, strict=True):
        found = entry["scanner_map"]
        ours = np.load(tmp_path / "out" / entry["folder"] / "mbf.npy")
        row, col = entry["offset"]
        # The phantom's map is its truth in steps of 0.01, on the same grid.
        theirs = known.mbf[row : row + ours.shape[0], col : col + ours.shape[1]]
        both = np.isfinite(ours) & np.isfinite(theirs)
        assert found["pixels"] == both.sum() > 50
        assert found["mean"] == pytest.approx(theirs[both].mean(), abs=0.006)
        expected = (ours[both] - theirs[both]).mean()
        assert found["mean_difference"] == pytest.approx(expected, abs=0.006)
        assert (tmp_path / "out" / entry["folder"] / "scanner_mbf.png").exists()


def test_what_a_person_corrected_is_used_and_told(with_maps, tmp_path):
    plain = analyse_folder(with_maps, tmp_path / "plain")
    first = plain["series"][0]["frames"][3]
    said = {"sop_instance_uid": first["sop_instance_uid"], "frame_number": 1}
    told = [{**said, "state": "rest", "level": "apical"}]
    report = analyse_folder(with_maps, tmp_path / "out", corrections=told)
    assert [entry["folder"] for entry in report["series"]] == ["rest_mid", "rest_apical"]
    entry = report["series"][1]
    assert entry["series_uid"] == plain["series"][0]["series_uid"]
    assert "Corrected by a person: state rest, level apical." in entry["understood"]
    assert "corrected_by_person" in {flag["flag"] for flag in entry["quality"]}
    assert report["parameters"]["corrections"] == told
    assert "corrections" not in plain["parameters"]
    # An export has them in a file beside the images: then nothing has to be said.
    exported = tmp_path / "exported"
    shutil.copytree(with_maps, exported / "source")
    (exported / "source" / "corrections.json").write_text(json.dumps({"corrections": told}))
    again = analyse_folder(exported, tmp_path / "again")
    assert again["parameters"]["corrections"] == told
    assert [one["mbf"] for one in again["series"]] == [one["mbf"] for one in report["series"]]


def test_a_series_that_a_person_does_not_want_is_not_analysed(with_maps, tmp_path):
    study = make_study(4, levels=("mid",), frames=FRAMES, rows=96, cols=96)
    uids = {
        ds.SeriesInstanceUID: ds.SOPInstanceUID
        for path in with_maps.rglob("*")
        if path.is_file()
        for ds in [pydicom.dcmread(path, stop_before_pixels=True)]
    }
    told = [{"sop_instance_uid": uids[study.series[0].uid], "role": "unused"}]
    report = analyse_folder(with_maps, tmp_path / "out", corrections=told)
    assert [entry["folder"] for entry in report["series"]] == ["rest_mid"]
    reasons = {one["reason"] for one in report["unused"]}
    assert reasons == {"A person has said that this series is not to be used."}
    assert len(report["unused"]) == FRAMES


@pytest.mark.parametrize(
    ("told", "sentence"),
    [
        ({"state": "rest"}, "must be a list"),
        ([{"state": "rest"}], "does not name an image"),
        ([{"sop_instance_uid": "1.2", "state": "high"}], "state must be one of stress, rest"),
        ([{"sop_instance_uid": "1.2", "frame_number": "x"}], "a frame number that is none"),
    ],
)
def test_corrections_that_are_none_are_refused(with_maps, tmp_path, told, sentence):
    with pytest.raises(NothingToAnalyse, match=sentence):
        analyse_folder(with_maps, tmp_path / "out", corrections=told)
    other = tmp_path / "in"
    other.mkdir()
    (other / "corrections.json").write_text("[" if isinstance(told, dict) else json.dumps(told))
    with pytest.raises(NothingToAnalyse, match=r"corrections"):
        analyse_folder(other, tmp_path / "out")


def test_another_kinetic_model_makes_the_maps(rest, tmp_path):
    usual = analyse_folder(rest, tmp_path / "usual")
    fermi = analyse_folder(rest, tmp_path / "fermi", model="fermi")
    assert (usual["parameters"]["model"], fermi["parameters"]["model"]) == ("exchange", "fermi")
    maps = [np.load(tmp_path / name / "rest_mid" / "mbf.npy") for name in ("usual", "fermi")]
    known = np.isfinite(maps[0]) & np.isfinite(maps[1])
    assert known.sum() > 300
    assert np.abs(maps[0] - maps[1])[known].mean() > 0.01
    assert np.corrcoef(maps[0][known], maps[1][known])[0, 1] > 0.7
    with pytest.raises(NothingToAnalyse, match="no model of flow 'upslope'"):
        analyse_folder(rest, tmp_path / "none", model="upslope")

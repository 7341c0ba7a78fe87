"""The scripts of the upload read what pydicom reads, pack what zipfile opens, keep promises."""

from __future__ import annotations

import io
import json
import re
import subprocess
import zipfile
from pathlib import Path
from typing import get_args

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from scripts import frontend
from studies import upload_words
from studies.dicom.rules import Action
from tests.conftest import CHECKOUT
from tests.dicom.make import image

SCRIPT = Path(__file__).with_name("upload.mjs")
MB = 1024**2


def ask(task: str, files: list) -> bytes:
    node = frontend.find_node()
    said = subprocess.run(
        [node.node, "--no-warnings", str(SCRIPT)], cwd=CHECKOUT, capture_output=True, check=True,
        input=json.dumps({"task": task, "files": files}).encode(),
    )  # fmt: skip
    return said.stdout


def nested() -> Sequence:
    inner, outer = Dataset(), Dataset()
    inner.CodeMeaning = "inner"
    outer.PurposeOfReferenceCodeSequence = Sequence([inner])
    outer.PurposeOfReferenceCodeSequence.is_undefined_length = True
    outer.is_undefined_length_sequence_item = True
    made = Sequence([outer, outer])
    made.is_undefined_length = True
    return made


@pytest.fixture
def files(tmp_path) -> list[Path]:
    """The same image in every encoding, with sequences to be stepped over."""
    made = []
    for name, syntax in (
        ("explicit", ExplicitVRLittleEndian),
        ("implicit", ImplicitVRLittleEndian),
        ("big", ExplicitVRBigEndian),
    ):
        ds = image(PatientName="MÜLLER^ANNA", SpecificCharacterSet="ISO_IR 192", SeriesNumber=7)
        ds.ReferencedImageSequence = nested()
        ds.private_block(0x0019, "INVENTED", create=True).add_new(1, "UN", b"\0" * 70_000)
        ds.file_meta.TransferSyntaxUID = syntax
        path = tmp_path / name
        anew = Dataset()  # one that was not in another encoding before
        for element in ds:
            anew.add(element)
        anew.file_meta, anew.preamble = ds.file_meta, ds.preamble
        anew["PixelData"].VR = "OW"
        anew.save_as(path, enforce_file_format=True)
        made.append(path)
    bare = tmp_path / "bare"
    whole = (tmp_path / "implicit").read_bytes()
    bare.write_bytes(whole[whole.index(b"\x08\0\x05\0") :])  # an old export, without any meta
    return [*made, bare]


def test_headers_are_read_as_pydicom_reads_them(files):
    for path, found in zip(files, json.loads(ask("header", [str(f) for f in files])), strict=True):
        ds = pydicom.dcmread(path, force=True, stop_before_pixels=True)
        plain = {
            int(element.tag): element
            for element in ds
            if element.VR != "SQ" and not element.tag.is_private
        }
        assert {int(tag) for tag in found} - {int(e.tag) for e in ds.file_meta} >= set(plain)
        for tag in (0x00100010, 0x0020000D, 0x0008103E, 0x00080020, 0x00181030):
            if tag in plain:
                assert found[str(tag)] == str(plain[tag].value)


def test_files_are_told_apart(files, tmp_path):
    for name, data in (
        ("empty", b""),
        ("letter", b"Dear colleague, thank you for sending this patient."),
        ("archive", b"PK\3\4" + b"\0" * 40),
        ("cut", files[0].read_bytes()[:700]),
    ):
        (tmp_path / name).write_bytes(data)
    others = ["empty", "letter", "archive", "cut"]
    found = json.loads(ask("look", [*map(str, files), *(str(tmp_path / n) for n in others)]))
    for one in found[: len(files)]:
        assert one["kind"] == "dicom"
        assert one["patient"] == {"id": "INV0001", "name": "MÜLLER, ANNA", "born": "19600203"}
        assert one["study"] == {"uid": "1.2.3.2", "date": "20240514", "description": ""}
        assert (one["series"]["number"], one["series"]["modality"]) == ("7", "MR")
    assert [one["kind"] for one in found[len(files) :]] == ["empty", "other", "zip", "unknown"]


@pytest.mark.data
def test_malformed_files_end_in_an_answer(data_root):
    files = sorted(str(path) for path in (data_root / "malformed").rglob("*") if path.is_file())
    found = json.loads(ask("look", files))
    kinds = {"dicom", "other", "unknown", "empty", "directory", "zip", "unreadable"}
    assert {one["kind"] for one in found} <= kinds
    assert len(found) == len(files) > 100


def test_a_packet_is_an_ordinary_archive_and_the_same_each_time(tmp_path):
    members = {"IM1": b"one", "séries 2 IM1": b"", "x" * 300: bytes(range(256)) * 4000}
    files = []
    for number, (name, data) in enumerate(members.items()):
        (tmp_path / str(number)).write_bytes(data)
        files.append({"path": str(tmp_path / str(number)), "name": name})
    packet = ask("pack", files)
    with zipfile.ZipFile(io.BytesIO(packet)) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == members
    assert ask("pack", files) == packet


def test_small_files_go_together_and_large_ones_and_archives_alone():
    sizes = {"a": 20 * MB, "b": 1, "c.zip": 5, **{f"s{n}": MB for n in range(40)}}
    files = [{"name": n, "size": s, "archive": n.endswith("zip")} for n, s in sizes.items()]
    made = json.loads(ask("parts", files))
    assert sorted(name for part in made for name in part["names"]) == sorted(sizes)
    for part in made:
        total = sum(sizes[name] for name in part["names"])
        assert part["packed"] == (len(part["names"]) > 1)
        assert total <= 32 * MB
        if {"a", "c.zip"} & set(part["names"]):
            assert len(part["names"]) == 1
    assert len(made) == 4


def test_the_preview_shows_elements_by_the_names_of_the_standard():
    rows = json.loads(ask("attributes", []))
    assert len(rows) > 40
    for tag, name in rows:
        assert pydicom.datadict.dictionary_description(tag).replace("'", "’") == name


def test_the_preview_tells_what_is_in_the_file_and_which_elements_are_left(files):
    told = json.loads(ask("preview", [str(files[0])]))
    values = {name: value for _tag, name, value in told["rows"]}
    assert values["Patient’s Name"] == "MÜLLER^ANNA"
    assert values["Study Date"] == "20240514"
    assert told["privateElements"] == 2
    assert "00180080" in told["others"]
    assert not {tag for tag, *_ in told["rows"]} & set(told["others"])


def test_the_site_has_words_for_all_that_the_scripts_say():
    folder = CHECKOUT / "frontend" / "js"
    text = "".join(
        path.read_text() for path in [folder / "upload.js", *(folder / "upload").glob("*.js")]
    )
    named = set(re.findall(r"(?:say\(|word: )'(\w+)'", text))
    kinds = ("empty", "other", "directory", "large", "unreadable")
    made = {f"{kind}{number}" for kind in kinds for number in ("One", "Many")}
    made |= {"archives", "archivesHint", "unknown", "unknownHint"}
    made |= {f"rule{action.capitalize()}" for action in (*get_args(Action), "removed")}
    words = set(upload_words.strings())
    assert named | made <= words
    assert {word for word in words - made if f"'{word}'" not in text} == set()

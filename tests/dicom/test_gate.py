"""The gate: bombs are refused before the parser, quickly and in little memory; odd files pass."""

from __future__ import annotations

import time
import tracemalloc
from pathlib import Path

import pytest

from studies.dicom import gate
from studies.dicom.read import Refused, decode_pixels, read_file
from tests.dicom import bombs
from tests.dicom.make import enhanced, image, save

BOMBS = {
    "deflated": "deflated",
    "deflated behind a long meta": "deflated",
    "nested, open": "nested more than 16 deep",
    "nested, with lengths": "nested more than 16 deep",
    "nested, of type UN": "nested more than 16 deep",
    "empty elements": "more parts",
    "empty items": "more parts",
    "slow numbers": "longer than any scanner writes",
    "slow numbers, implicit": "longer than any scanner writes",
    "character sets": "longer than any scanner writes",
    "a lying length": "cut short",
    "fragments without end": "cut short",
}


@pytest.fixture(scope="module")
def made() -> dict[str, bytes]:
    return bombs.all_of_them()


@pytest.mark.parametrize("kind", BOMBS)
def test_a_bomb_is_refused_at_the_gate(tmp_path, made, kind):
    path = tmp_path / "bomb"
    path.write_bytes(made[kind])
    began = time.process_time()
    with pytest.raises(Refused, match=BOMBS[kind]) as refused:
        gate.look(path)
    assert time.process_time() - began < 5
    assert str(refused.value).endswith(".")
    tracemalloc.start()
    try:
        with pytest.raises(Refused):
            gate.look(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1024**2


@pytest.mark.parametrize("kind", ["lying dimensions, RLE", "lying dimensions, JPEG 2000"])
def test_a_picture_that_is_smaller_than_it_says_is_refused(tmp_path, made, kind):
    path = tmp_path / "bomb"
    path.write_bytes(made[kind])
    with pytest.raises(Refused, match="damaged"):
        decode_pixels(read_file(path))


def _written(folder: Path, data: bytes) -> Path:
    path = folder / "x"
    path.write_bytes(data)
    return path


def test_what_scanners_write_passes(tmp_path):
    """A private sequence that is none, text behind the pixels, padding, an implicit item."""
    ok = bombs.whole()
    at = ok.index(b"\xe0\x7f\x10\x00OW")
    no_sequence = bombs.element(0x0029, 0x1010, b"SQ", b"SV10" * 9)
    item = b"\xfe\xff\x00\xe0\x0c\0\0\0" + b"\x08\0\0\x01\x04\0\0\0CODE"
    implicit = bombs.element(0x0040, 0x0260, b"UN", item)
    long_text = bombs.element(0x0029, 0x1020, b"LO", b"x" * 60_000)
    for extra in (no_sequence, implicit, long_text):
        assert read_file(_written(tmp_path, ok[:at] + extra + ok[at:])).Rows == 36
    for tail in (b"\0", bytes(300), b"some words behind the image", bytes(7)):
        assert read_file(_written(tmp_path, ok + tail)).Rows == 36


def test_an_enhanced_object_of_many_frames_passes(tmp_path):
    """More elements than any classic image, and pixels that go with them."""
    path = save([enhanced(count=400)], tmp_path)[0]
    assert gate.look(path).object_class == "1.2.840.10008.5.1.4.1.1.4.1"


def test_the_object_is_known_before_the_parser(tmp_path):
    (path,) = save([image()], tmp_path)
    passed = gate.look(path)
    assert passed.object_class == image().SOPClassUID
    assert passed.syntax == "1.2.840.10008.1.2.1"


@pytest.mark.data
def test_no_real_file_is_stopped_at_the_gate(data_root):
    folders = ("invivo/dicom", "invivo/dicom-original", "other/philips-enhanced-cine")
    paths = [path for folder in folders for path in (data_root / folder).rglob("*")]
    looked = [gate.look(p) for p in paths if p.is_file() and p.suffix != ".mat"]
    assert len(looked) > 500
    assert all(one.object_class for one in looked)

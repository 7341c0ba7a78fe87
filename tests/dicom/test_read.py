"""Reading one file: what is usable is read, the rest is refused with a reason and a next step."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from studies.dicom.read import Refused, decode_pixels, read_file
from tests.dicom.make import COLS, CT, ROWS, image, save


def _file(folder: Path, content: bytes, name: str = "x.dcm") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def _bytes(folder: Path, **changes: object) -> bytes:
    return save([image(**changes)], folder / "made")[0].read_bytes()


@pytest.mark.parametrize("name", ["x.dcm", "IM_0001", "ünïcode näme", "a b;c$(d)", "-rf", "7f3a"])
def test_any_name_is_read(tmp_path, name):
    path = _file(tmp_path, _bytes(tmp_path), name)
    assert read_file(path).SOPInstanceUID == "1.2.3.1"


def test_a_file_without_preamble_is_read(tmp_path):
    path = _file(tmp_path, _bytes(tmp_path)[132:])
    assert read_file(path).Rows == ROWS


def test_an_old_file_of_implicit_type_without_meta_is_read(tmp_path):
    path = tmp_path / "old"
    ds = pydicom.Dataset({e.tag: e for e in image()})
    ds.save_as(path, implicit_vr=True, little_endian=True)
    assert not path.read_bytes()[:132].endswith(b"DICM")
    np.testing.assert_array_equal(decode_pixels(read_file(path))[0], image().pixel_array)


REFUSALS = {
    "an empty file": (lambda ok: b"", "empty"),
    "text": (lambda ok: b"Dear colleague, here are the images." * 20, "not a DICOM file"),
    "one byte": (lambda ok: b"\x08", "not a DICOM file"),
    "a ZIP": (lambda ok: b"PK\x03\x04" + b"\0" * 200, "ZIP archive"),
    "a header alone": (lambda ok: ok[:200], "export"),
    "half a picture": (lambda ok: ok[: -ROWS * COLS], "cut short"),
    "zeros": (lambda ok: b"\0" * 4096, "not a DICOM file"),
    "DICM and noise": (lambda ok: b"\0" * 128 + b"DICM" + bytes(range(256)) * 8, "export"),
}


@pytest.mark.parametrize("kind", REFUSALS)
def test_what_is_no_whole_image_is_refused(tmp_path, kind):
    spoil, expected = REFUSALS[kind]
    with pytest.raises(Refused, match=f"(?i){expected}") as refused:
        read_file(_file(tmp_path, spoil(_bytes(tmp_path))))
    _is_a_clean_sentence(str(refused.value), tmp_path)


OBJECTS = {
    "CT": ({"SOPClassUID": CT}, "CT Image"),
    "unknown class": ({"SOPClassUID": "1.2.3.4.5"}, "object of another kind"),
    "no study": ({"StudyInstanceUID": None}, "which study"),
    "no series": ({"SeriesInstanceUID": None}, "which study and series"),
    "no picture": ({"PixelData": None}, "holds no image"),
    "no rows": ({"Rows": None}, "damaged"),
    "zero rows": ({"Rows": 0}, "damaged"),
    "colour": ({"SamplesPerPixel": 3}, "colour"),
    "palette": ({"PhotometricInterpretation": "PALETTE COLOR"}, "colour"),
    "writing": ({"BurnedInAnnotation": "YES"}, "burned into"),
    "a picture too large": ({"Rows": 65535, "Columns": 65535}, "damaged"),
    "more frames than bytes": ({"NumberOfFrames": 400}, "cut short"),
}


@pytest.mark.parametrize("kind", OBJECTS)
def test_an_object_that_cannot_serve_is_refused(tmp_path, kind):
    changes, expected = OBJECTS[kind]
    with pytest.raises(Refused, match=expected) as refused:
        read_file(_file(tmp_path, _bytes(tmp_path, **changes)))
    _is_a_clean_sentence(str(refused.value), tmp_path)


def test_a_media_directory_is_named(tmp_path):
    ds = image(SOPClassUID="1.2.840.10008.1.3.10")
    del ds.SOPClassUID
    with pytest.raises(Refused, match="Media Storage Directory"):
        read_file(save([ds], tmp_path)[0])


def _is_a_clean_sentence(text: str, folder: Path) -> None:
    assert text.endswith(".")
    assert "INV" not in text.upper().split("INVERSION")[0]
    assert str(folder) not in text
    assert "Traceback" not in text


def test_lossy_jpeg_is_refused(tmp_path):
    ok = _bytes(tmp_path)
    syntax = b"1.2.840.10008.1.2.1\0"
    lossy = str(JPEGBaseline8Bit).encode().ljust(len(syntax) + 2, b"\0")
    at = ok.index(syntax)
    spoilt = ok[: at - 2] + len(lossy).to_bytes(2, "little") + lossy + ok[at + len(syntax) :]
    with pytest.raises(Refused, match=r"compression|damaged"):
        read_file(_file(tmp_path, spoilt))


def test_a_deflated_file_is_refused_before_it_is_inflated(tmp_path):
    """64 MB of zeros deflate to 64 kB: whoever inflates first has lost."""
    import tracemalloc

    ds = image()
    ds.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    plain = save([image()], tmp_path / "made")[0].read_bytes()
    meta_end = plain.index(b"\x08\x00\x08\x00CS")
    meta = plain[:meta_end].replace(
        b"UI\x14\x001.2.840.10008.1.2.1\0", b"UI\x16\x001.2.840.10008.1.2.1.99"
    )
    squeezer = zlib.compressobj(9, zlib.DEFLATED, -15)
    body = squeezer.compress(plain[meta_end:] + b"\0" * 64 * 1024**2) + squeezer.flush()
    path = _file(tmp_path, meta + body)
    tracemalloc.start()
    try:
        with pytest.raises(Refused, match="deflated"):
            read_file(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2 * 1024**2


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_uncompressed_syntaxes_give_the_same_pixels(tmp_path, syntax):
    expected = image().pixel_array
    ds = image()
    ds.file_meta.TransferSyntaxUID = syntax
    if syntax == ExplicitVRBigEndian:
        ds.PixelData = expected.astype(">u2").tobytes()
    path = tmp_path / "x"
    pydicom.dcmwrite(path, ds, enforce_file_format=True)
    np.testing.assert_array_equal(decode_pixels(read_file(path))[0], expected)


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless, JPEG2000Lossless])
def test_compressed_syntaxes_give_the_same_pixels(tmp_path, syntax):
    ds = image()
    expected = ds.pixel_array
    ds.compress(syntax)
    path = save([ds], tmp_path)[0]
    assert read_file(path).file_meta.TransferSyntaxUID == syntax
    np.testing.assert_array_equal(decode_pixels(read_file(path))[0], expected)


def test_jpeg_lossless_gives_the_same_pixels(tmp_path):
    gdcm = pytest.importorskip("gdcm")
    source = save([image()], tmp_path)[0]
    reader = gdcm.ImageReader()
    reader.SetFileName(str(source))
    assert reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.JPEGLosslessProcess14_1))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer = gdcm.ImageWriter()
    target = tmp_path / "lossless"
    writer.SetFileName(str(target))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()
    read = read_file(target)
    assert read.file_meta.TransferSyntaxUID == JPEGLosslessSV1
    np.testing.assert_array_equal(decode_pixels(read)[0], image().pixel_array)


def test_broken_compressed_pixels_are_refused(tmp_path):
    ds = image()
    ds.compress(JPEG2000Lossless)
    path = save([ds], tmp_path)[0]
    start_of_codestream = b"\xff\x4f\xff\x51"
    spoilt = path.read_bytes().replace(start_of_codestream, bytes(4))
    with pytest.raises(Refused, match="damaged"):
        decode_pixels(read_file(_file(tmp_path, spoilt)))


def test_bits_that_are_not_in_use_are_masked(tmp_path):
    clean = image().pixel_array
    dirty = clean | np.uint16(0xA000)
    path = save([image(PixelData=dirty.tobytes())], tmp_path)[0]
    np.testing.assert_array_equal(decode_pixels(read_file(path))[0], clean)


def test_signed_values_keep_their_sign(tmp_path):
    values = np.arange(-612, 612, dtype="<i2").reshape(ROWS, COLS)
    made = image(PixelRepresentation=1, PixelData=values.tobytes())
    path = save([made], tmp_path)[0]
    np.testing.assert_array_equal(decode_pixels(read_file(path))[0], values)

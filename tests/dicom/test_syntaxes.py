"""Every transfer syntax taken in gives the stored values exactly; all others are refused."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom.uid import (
    JPEG2000,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
    UID_dictionary,
)

from studies.dicom.check import TRANSFER_SYNTAXES
from studies.dicom.deidentify import deidentify
from studies.dicom.read import Refused, decode_pixels, read_file
from studies.object_classes import MR_CLASSES
from tests.dicom.encode import dataset, picture, written
from tests.dicom.make import image, save

EXACT = [
    ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, RLELossless,
    JPEGLossless, JPEGLosslessSV1, JPEGLSLossless, JPEG2000Lossless, JPEG2000,
]  # fmt: skip
KINDS = [(1, False, 12), (1, False, 16), (1, True, 16), (3, False, 12), (3, True, 16)]


@pytest.mark.parametrize(("frames", "signed", "bits"), KINDS)
@pytest.mark.parametrize("syntax", EXACT, ids=lambda uid: uid.name)
def test_what_was_stored_is_read(tmp_path, syntax, frames, signed, bits):
    expected = picture(frames, signed=signed, bits=bits)
    path = written(dataset(expected, bits), syntax, tmp_path)
    read = read_file(path)
    assert read.file_meta.TransferSyntaxUID == syntax
    np.testing.assert_array_equal(decode_pixels(read), expected)
    clean = deidentify(read, key=bytes(32))
    clean = clean[0] if isinstance(clean, tuple) else clean
    stored = np.frombuffer(clean.PixelData, expected.dtype).reshape(expected.shape)
    np.testing.assert_array_equal(stored, expected)


def test_the_list_of_what_is_taken_in_is_what_is_tested():
    assert set(EXACT) == TRANSFER_SYNTAXES


def _with_syntax(folder, syntax: str):
    """An ordinary file whose meta names another syntax."""
    ok = save([image()], folder)[0].read_bytes()
    named = b"UI\x14\x001.2.840.10008.1.2.1\0"
    other = syntax.encode() + b"\0" * (len(syntax) % 2)
    at = ok.index(named)
    path = folder / "other"
    path.write_bytes(
        ok[: at + 2] + len(other).to_bytes(2, "little") + other + ok[at + len(named) :]
    )
    return path


OTHERS = sorted(
    uid
    for uid, (_, kind, *_) in UID_dictionary.items()
    if kind == "Transfer Syntax" and uid not in TRANSFER_SYNTAXES
)


@pytest.mark.parametrize("syntax", OTHERS)
def test_any_other_is_refused_with_the_reason(tmp_path, syntax):
    with pytest.raises(Refused) as refused:
        read_file(_with_syntax(tmp_path, syntax))
    deflated = syntax == DeflatedExplicitVRLittleEndian
    assert ("stored deflated" if deflated else "compression is not supported") in str(refused.value)


STORED = sorted(
    uid
    for uid, (name, kind, *_) in UID_dictionary.items()
    if kind == "SOP Class" and "Storage" in name and uid not in MR_CLASSES
)


def test_only_mr_images_are_taken_in(tmp_path):
    """One file of each class that the standard knows; the sentence names the class."""
    assert len(STORED) > 100
    for number, sop_class in enumerate(STORED):
        path = save([image(SOPClassUID=sop_class)], tmp_path / str(number))[0]
        with pytest.raises(Refused, match=r"^It is an? .*, not an MR image\."):
            read_file(path)

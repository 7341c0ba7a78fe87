"""Read one file safely: what is no usable MR image is refused with a sentence.

A sentence never contains anything read from the file but codes of the DICOM standard; the
caller adds the file's name as the user knows it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import FileDataset
from pydicom.uid import UID

from studies.dicom import gate
from studies.dicom.check import TRANSFER_SYNTAXES, object_name
from studies.dicom.quiet import quiet
from studies.dicom.reasons import DAMAGED as DAMAGED
from studies.dicom.reasons import NOT_DICOM
from studies.dicom.reasons import Refused as Refused
from studies.object_classes import MR_CLASSES

MOST_PIXELS = 64 * 1024**2
_COMPRESSION = (
    "Its compression is not supported. Export it uncompressed, or as RLE, JPEG lossless, JPEG-LS "
    "or JPEG 2000."
)


@quiet
def read_file(path: Path, classes: frozenset[str] = MR_CLASSES) -> FileDataset:
    """Read and check one file; gives its dataset with the pixels still encoded.

    classes: the object classes (SOP Class UIDs) that are taken in.
    Raises Refused for an empty file, one that is not DICOM, an object of another class, a
    compression that is not supported, and an image that is cut short.
    """
    passed = gate.look(path)
    if passed.object_class:
        _check_class(UID(passed.object_class), classes)
    syntax = UID(passed.syntax) if passed.syntax else None
    if syntax is not None and syntax not in TRANSFER_SYNTAXES:
        raise Refused(_COMPRESSION)
    try:
        dataset = pydicom.dcmread(path, force=True)
        _check(dataset, syntax, classes)
    except Refused:
        raise
    except (MemoryError, RecursionError):
        raise Refused(DAMAGED) from None
    except Exception:
        # pydicom meets damaged bytes with whatever its parser was doing; all mean the same here.
        raise Refused(DAMAGED) from None
    return dataset


def _check_class(sop_class: UID, classes: frozenset[str]) -> None:
    if sop_class not in classes:
        raise Refused(
            f"It is {object_name(sop_class)}, not an MR image. "
            "CoreCMR uses MR images of the contrast's first pass; leave it out."
        )


def _check(dataset: FileDataset, syntax: UID | None, classes: frozenset[str]) -> None:
    # A DICOMDIR, for one, names its class in the file meta alone.
    sop_class = dataset.get("SOPClassUID") or dataset.file_meta.get("MediaStorageSOPClassUID")
    if not sop_class:
        raise Refused(NOT_DICOM if len(dataset) < 3 else DAMAGED)
    _check_class(UID(str(sop_class)), classes)
    if not dataset.get("SOPClassUID") or not dataset.get("SOPInstanceUID"):
        raise Refused(DAMAGED)
    if not dataset.get("StudyInstanceUID") or not dataset.get("SeriesInstanceUID"):
        raise Refused(
            "It does not say which study and series it belongs to. Export it again from the "
            "scanner or the archive."
        )
    syntax = syntax or getattr(dataset.file_meta, "TransferSyntaxUID", None)
    if syntax is None:
        dataset.file_meta.TransferSyntaxUID = syntax = (
            pydicom.uid.ImplicitVRLittleEndian
            if dataset.original_encoding[0]
            else pydicom.uid.ExplicitVRLittleEndian
        )
    if syntax not in TRANSFER_SYNTAXES:
        raise Refused(_COMPRESSION)
    rows, cols = _positive(dataset, "Rows"), _positive(dataset, "Columns")
    frames = int(dataset.get("NumberOfFrames") or 1)
    if "PixelData" not in dataset:
        raise Refused("It holds no image. Leave it out, or export the images again.")
    palette = str(dataset.get("PhotometricInterpretation") or "").upper() == "PALETTE COLOR"
    if int(dataset.get("SamplesPerPixel") or 1) != 1 or palette:
        raise Refused("It is a colour picture, not a measured image. Leave it out.")
    if str(dataset.get("BurnedInAnnotation") or "").upper() == "YES":
        raise Refused("It has writing burned into the picture. Export the original image.")
    if frames < 1 or rows * cols * frames > MOST_PIXELS:
        raise Refused(DAMAGED)
    if not UID(syntax).is_compressed:
        _check_length(dataset, rows * cols * frames)


def _positive(dataset: FileDataset, name: str) -> int:
    value = dataset.get(name)
    if not isinstance(value, int) or value < 1:
        raise Refused(DAMAGED)
    return value


def _check_length(dataset: FileDataset, pixels: int) -> None:
    needed = pixels * int(dataset.BitsAllocated) // 8
    found = len(dataset.PixelData)
    if found < needed:
        raise Refused(
            f"It is cut short: {found} of {needed} bytes of its image are there. "
            "Copy or export it again."
        )


@quiet
def decode_pixels(dataset: FileDataset) -> NDArray[np.generic]:
    """Decode the stored values, (frames, rows, cols). Raises Refused.

    Bits that are not in use, where old overlays may hide, are masked out.
    """
    try:
        array = np.asarray(dataset.pixel_array)
        frames = int(dataset.get("NumberOfFrames") or 1)
        stored = int(dataset.BitsStored)
        spare = int(dataset.get("HighBit", stored - 1)) + 1 - stored
    except Exception:
        raise Refused(DAMAGED) from None
    if array.ndim == 2:
        array = array[np.newaxis]
    bits = array.dtype.itemsize * 8
    expected = (frames, int(dataset.Rows), int(dataset.Columns))
    if array.dtype.kind not in "ui" or array.shape != expected or not 0 < stored <= bits:
        raise Refused(DAMAGED)
    if not 0 <= spare <= bits - stored:
        raise Refused(DAMAGED)
    # To the left and back again: what lies above goes, and a sign spreads over the free bits.
    above = array.dtype.type(bits - stored - spare)
    return np.asarray((array << above) >> array.dtype.type(bits - stored))

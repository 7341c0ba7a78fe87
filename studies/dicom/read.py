"""Read one file safely: what is no usable MR image is refused with a sentence.

A sentence never contains anything read from the file but codes of the DICOM standard; the
caller adds the file's name as the user knows it.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import FileDataset
from pydicom.uid import UID

from studies.dicom.check import (
    DEFLATED,
    MR_CLASSES,
    TRANSFER_SYNTAXES,
    object_name,
)
from studies.dicom.quiet import quiet

MOST_PIXELS = 64 * 1024**2


class Refused(Exception):
    """Why a file is not used, and what to do; no file name, no path, no patient detail."""


_NOT_DICOM = "It is not a DICOM file. Leave it out, or export the image again as DICOM."
DAMAGED = "It is damaged and cannot be read. Export it again from the scanner or the archive."


@quiet
def read_file(path: Path) -> FileDataset:
    """Read and check one file; gives its dataset with the pixels still encoded.

    Raises Refused for an empty file, one that is not DICOM, an object that is no MR image, a
    compression that is not supported, and an image that is cut short.
    """
    syntax = _gate(path)
    try:
        dataset = pydicom.dcmread(path, force=True)
        _check(dataset, syntax)
    except Refused:
        raise
    except (MemoryError, RecursionError):
        raise Refused(DAMAGED) from None
    except Exception:
        # pydicom meets damaged bytes with whatever its parser was doing; all mean the same here.
        raise Refused(DAMAGED) from None
    return dataset


def _gate(path: Path) -> UID | None:
    """Look at the first bytes only; gives the transfer syntax if the file names one."""
    try:
        size = path.stat().st_size
        with path.open("rb") as handle:
            start = handle.read(4096)
    except OSError:
        raise Refused("It could not be opened. Check that it may be read, and try again.") from None
    if size == 0:
        raise Refused("It is empty. Export it again from the scanner or the archive.")
    if start[128:132] == b"DICM":
        syntax = _transfer_syntax(start[132:])
    elif _looks_like_dataset(start):
        return None
    elif start[:4] in {b"PK\x03\x04", b"PK\x05\x06"}:
        raise Refused("It is a ZIP archive. Unpack it and choose the folder.")
    else:
        raise Refused(_NOT_DICOM)
    if syntax is not None and syntax == DEFLATED:
        raise Refused("It is stored deflated, which is not accepted. Export it uncompressed.")
    return syntax


def _transfer_syntax(meta: bytes) -> UID | None:
    """The value of (0002,0010) in the file meta, which is always explicit little endian."""
    at = meta.find(b"\x02\x00\x10\x00UI")
    if at < 0 or at + 8 > len(meta):
        return None
    (length,) = struct.unpack_from("<H", meta, at + 6)
    return UID(meta[at + 8 : at + 8 + length].decode("ascii", "replace").rstrip("\0 "))


def _looks_like_dataset(start: bytes) -> bool:
    """An old export without preamble begins with an element of group 0002 or 0008."""
    if len(start) < 8:
        return False
    group, element = struct.unpack_from("<HH", start)
    if group not in {0x0002, 0x0008} or element > 0x0100:
        return False
    if start[4:6].isalpha() and start[4:6].isupper():
        return True
    (length,) = struct.unpack_from("<I", start, 4)
    return bool(length < 1024)


def _check(dataset: FileDataset, syntax: UID | None) -> None:
    # A DICOMDIR, for one, names its class in the file meta alone.
    sop_class = dataset.get("SOPClassUID") or dataset.file_meta.get("MediaStorageSOPClassUID")
    if not sop_class:
        raise Refused(_NOT_DICOM if len(dataset) < 3 else DAMAGED)
    if sop_class not in MR_CLASSES:
        raise Refused(
            f"It is {object_name(UID(str(sop_class)))}, not an MR image. "
            "CoreCMR uses MR images of the contrast's first pass; leave it out."
        )
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
        raise Refused(
            "Its compression is not supported. Export it uncompressed, or as RLE, JPEG lossless, "
            "JPEG-LS or JPEG 2000."
        )
    rows, cols = _positive(dataset, "Rows"), _positive(dataset, "Columns")
    frames = int(dataset.get("NumberOfFrames") or 1)
    if "PixelData" not in dataset:
        raise Refused("It holds no image. Leave it out, or export the images again.")
    if int(dataset.get("SamplesPerPixel") or 1) != 1:
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

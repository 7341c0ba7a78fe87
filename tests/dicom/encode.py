"""Images in the transfer syntaxes that scanners and archives write, by encoders not our own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import FileDataset
from pydicom.uid import (
    JPEG2000,
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLossless,
    JPEGLosslessSV1,
)

from tests.dicom.make import image, save


def picture(frames: int, *, signed: bool, bits: int) -> NDArray[np.generic]:
    """Values over the whole range of their type, smooth in places and rough in others."""
    rng = np.random.default_rng(3)
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    shape = (frames, 36, 34)
    ramp = np.linspace(low, high, int(np.prod(shape))).reshape(shape)
    ramp[:, :12] = rng.integers(low, high + 1, ramp[:, :12].shape)
    ramp.flat[:2] = low, high
    kind = f"{'i' if signed else 'u'}{1 if bits <= 8 else 2}"
    return np.asarray(ramp.astype(kind))


def dataset(values: NDArray[np.generic], bits: int) -> FileDataset:
    ds = image()
    ds.NumberOfFrames = len(values)
    ds.BitsAllocated = values.dtype.itemsize * 8
    ds.BitsStored, ds.HighBit = bits, bits - 1
    ds.PixelRepresentation = int(values.dtype.kind == "i")
    data = values.tobytes()
    ds.PixelData = data + b"\0" * (len(data) % 2)
    ds["PixelData"].VR = "OW"
    return ds


def written(ds: FileDataset, syntax: UID, folder: Path) -> Path:
    """The image as a file in ``syntax``."""
    if syntax == ExplicitVRBigEndian:
        swapped = np.frombuffer(ds.PixelData, f"u{ds.BitsAllocated // 8}").byteswap()
        ds.PixelData = swapped.tobytes()
    if syntax in {ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian}:
        ds.file_meta.TransferSyntaxUID = syntax
        path = folder / "plain"
        pydicom.dcmwrite(path, ds, enforce_file_format=True)
        return path
    elif syntax in {JPEGLossless, JPEGLosslessSV1}:
        return _by_gdcm(save([ds], folder / "plain")[0], syntax, folder)
    elif syntax == JPEG2000:
        # This one may be lossy, and need not be.
        ds.compress(JPEG2000Lossless)
        ds.file_meta.TransferSyntaxUID = JPEG2000
    else:
        ds.compress(syntax)
    return save([ds], folder)[0]


def _by_gdcm(source: Path, syntax: UID, folder: Path) -> Path:
    import gdcm

    reader = gdcm.ImageReader()
    reader.SetFileName(str(source))
    assert reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    kind = {
        JPEGLossless: gdcm.TransferSyntax.JPEGLosslessProcess14,
        JPEGLosslessSV1: gdcm.TransferSyntax.JPEGLosslessProcess14_1,
    }[syntax]
    change.SetTransferSyntax(gdcm.TransferSyntax(kind))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer = gdcm.ImageWriter()
    target = folder / "lossless"
    writer.SetFileName(str(target))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()
    return target

"""Which objects and which transfer syntaxes are taken in."""

from __future__ import annotations

from pydicom.uid import (
    JPEG2000,
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

#: Lossy JPEG is left out: its errors are those of a picture, not of a measurement.
TRANSFER_SYNTAXES = frozenset(
    {
        ImplicitVRLittleEndian,
        ExplicitVRLittleEndian,
        ExplicitVRBigEndian,
        RLELossless,
        JPEGLossless,
        JPEGLosslessSV1,
        JPEGLSLossless,
        JPEG2000Lossless,
        JPEG2000,
    }
)


def object_name(sop_class: UID) -> str:
    """The standard's name of an object class, with its article; never text from the file."""
    name = sop_class.name
    if name == str(sop_class):
        return "an object of another kind"
    name = name.removesuffix(" Storage")
    return f"{'an' if name[:1] in 'AEIOU' else 'a'} {name}"

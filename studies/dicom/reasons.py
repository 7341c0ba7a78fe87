"""A file that is not used, and why."""

from __future__ import annotations


class Refused(Exception):
    """Why a file is not used, and what to do; no file name, no path, no patient detail."""


NOT_DICOM = "It is not a DICOM file. Leave it out, or export the image again as DICOM."
DAMAGED = "It is damaged and cannot be read. Export it again from the scanner or the archive."

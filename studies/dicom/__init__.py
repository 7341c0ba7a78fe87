"""DICOM without Django: read, check, put in order, sort, and take identity out."""

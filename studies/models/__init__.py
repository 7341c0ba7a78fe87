"""What we hold: studies and their files, uploads, results, reports on them, and shares."""

from studies.models.files import StoredFile
from studies.models.identity import SourceIdentity
from studies.models.reports import Report
from studies.models.results import Result, SegmentFlow
from studies.models.shares import Share
from studies.models.studies import Series, Study
from studies.models.uploads import Upload, UploadItem, UploadPart

__all__ = [
    "Report",
    "Result",
    "SegmentFlow",
    "Series",
    "Share",
    "SourceIdentity",
    "StoredFile",
    "Study",
    "Upload",
    "UploadItem",
    "UploadPart",
]

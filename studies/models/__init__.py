"""What we hold: studies and their files, uploads on their way in, results, and shares."""

from studies.models.files import StoredFile
from studies.models.identity import SourceIdentity
from studies.models.results import Result, SegmentFlow
from studies.models.shares import Share
from studies.models.studies import Series, Study
from studies.models.uploads import Upload, UploadItem, UploadPart

__all__ = [
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

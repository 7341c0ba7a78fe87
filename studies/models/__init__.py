"""What we hold: studies and their files, uploads on their way in, results, and shares."""

from studies.models.erasures import Erasure, Retention
from studies.models.files import StoredFile
from studies.models.lookups import LookupGuard
from studies.models.results import Result, SegmentFlow
from studies.models.shares import Share
from studies.models.studies import Series, Study
from studies.models.uploads import Upload, UploadItem

__all__ = [
    "Erasure",
    "LookupGuard",
    "Result",
    "Retention",
    "SegmentFlow",
    "Series",
    "Share",
    "StoredFile",
    "Study",
    "Upload",
    "UploadItem",
]

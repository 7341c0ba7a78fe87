"""What we hold: studies and their files, uploads, results, reports on them, and shares."""

from studies.models.discussion import Answer, Comment
from studies.models.edits import ContourEdit
from studies.models.erasures import Erasure, Retention
from studies.models.files import StoredFile
from studies.models.identity import SourceIdentity
from studies.models.lookups import LookupGuard
from studies.models.notifications import Notification
from studies.models.projects import Cohort, Project, ProjectTrust
from studies.models.readings import Reading
from studies.models.reports import Report
from studies.models.results import Result, SegmentFlow
from studies.models.shares import Share
from studies.models.site_checks import SiteCheck
from studies.models.studies import Series, Study
from studies.models.uploads import Upload, UploadItem, UploadPart

__all__ = [
    "Answer",
    "Cohort",
    "Comment",
    "ContourEdit",
    "Erasure",
    "LookupGuard",
    "Notification",
    "Project",
    "ProjectTrust",
    "Reading",
    "Report",
    "Result",
    "Retention",
    "SegmentFlow",
    "Series",
    "Share",
    "SiteCheck",
    "SourceIdentity",
    "StoredFile",
    "Study",
    "Upload",
    "UploadItem",
    "UploadPart",
]

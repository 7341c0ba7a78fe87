"""Addresses of studies and what belongs to them."""

from __future__ import annotations

from django.urls import path

from studies.views import (
    comparing,
    deidentification,
    discussion,
    ending,
    lookup,
    notifications,
    pieces,
    projects,
    reading,
    reporting,
    research,
    sharing,
    uploading,
    workspace,
)

urlpatterns = [
    path("uploads/", uploading.create, name="upload_create"),
    path("uploads/<public_id:public_id>/", uploading.show, name="upload"),
    path("uploads/<public_id:public_id>/files/", uploading.files, name="upload_files"),
    path("uploads/<public_id:public_id>/parts/", pieces.create, name="upload_parts"),
    path(
        "uploads/<public_id:public_id>/parts/<public_id:part_id>/", pieces.part, name="upload_part"
    ),
    path("uploads/<public_id:public_id>/complete/", uploading.complete, name="upload_complete"),
    path("uploads/<public_id:public_id>/answer/", uploading.answer, name="upload_answer"),
    path("uploads/<public_id:public_id>/withdraw/", uploading.withdraw, name="upload_withdraw"),
    path("uploads/<public_id:public_id>/status/", uploading.status, name="upload_status"),
    path(
        "uploads/<public_id:public_id>/status.json",
        uploading.status_json,
        name="upload_status_json",
    ),
    path("studies/<public_id:public_id>/", reading.show, name="study"),
    path("studies/<public_id:public_id>/everything.zip", reading.download, name="study_zip"),
    path("studies/<public_id:public_id>/segments.csv", reading.segments, name="study_segments"),
    path("studies/<public_id:public_id>/dicom.zip", reading.objects, name="study_objects"),
    path(
        "studies/<public_id:public_id>/dicom-for-archive.zip",
        reading.objects_for_archive,
        name="study_objects_for_archive",
    ),
    path("studies/<public_id:public_id>/compare/", comparing.study, name="study_compare"),
    path(
        "studies/<public_id:public_id>/compare/<slug:folder>.png",
        comparing.difference,
        name="study_difference",
    ),
    path("studies/<public_id:public_id>/series/", reading.series, name="study_series"),
    path("studies/<public_id:public_id>/workspace/", workspace.show, name="study_workspace"),
    path("studies/<public_id:public_id>/drawing/", workspace.drawing, name="study_drawing"),
    path("studies/<public_id:public_id>/report/", reporting.write, name="report_write"),
    path("reports/<public_id:public_id>/", reporting.show, name="report"),
    path("reports/<public_id:public_id>/report.pdf", reporting.pdf, name="report_pdf"),
    path("reports/<public_id:public_id>/report.txt", reporting.text, name="report_text"),
    path("studies/<public_id:public_id>/share/", sharing.share, name="study_share"),
    path(
        "studies/<public_id:public_id>/research/",
        sharing.research_permission,
        name="study_research",
    ),
    path("studies/<public_id:public_id>/openings/", ending.opened, name="study_openings"),
    path("studies/<public_id:public_id>/hold/", ending.hold, name="study_hold"),
    path("studies/<public_id:public_id>/erase/", ending.erase, name="study_erase"),
    path("erasures/", ending.index, name="erasures"),
    path("erasures/<public_id:public_id>/", ending.show, name="erasure"),
    path("erasures/<public_id:public_id>/confirm/", ending.confirm, name="erasure_confirm"),
    path("erasures/<public_id:public_id>/withdraw/", ending.withdraw, name="erasure_withdraw"),
    path("studies/<public_id:public_id>/comments/", discussion.comment, name="comments"),
    path("comments/<public_id:public_id>/change/", discussion.change, name="comment_change"),
    path(
        "comments/<public_id:public_id>/take-back/",
        discussion.take_back,
        name="comment_take_back",
    ),
    path("questions/<public_id:public_id>/", discussion.question, name="question"),
    path("notifications/", notifications.index, name="notifications"),
    path("notifications/read/", notifications.read, name="notifications_read"),
    path("look-up/", lookup.find, name="lookup"),
    path("shares/<public_id:public_id>/revoke/", sharing.revoke, name="share_revoke"),
    path("files/<public_id:public_id>/", reading.file, name="file"),
    path("de-identification/", deidentification.show, name="deidentification"),
    path(
        "de-identification/rules.json", deidentification.rules_json, name="deidentification_rules"
    ),
    path("research/", research.show, name="research"),
    path("research/engines/", comparing.engines, name="research_engines"),
    path("research/export/", research.export, name="research_export"),
    path("research/cohorts/", research.save, name="cohort_save"),
    path("research/projects/", projects.index, name="projects"),
    path("research/projects/new/", projects.new, name="project_new"),
    path("research/projects/<public_id:public_id>/", projects.show, name="project"),
    path(
        "research/projects/<public_id:public_id>/members/", projects.member, name="project_member"
    ),
    path("research/projects/<public_id:public_id>/close/", projects.close, name="project_close"),
    path("research/requests/", projects.requests, name="project_requests"),
    path("research/requests/<public_id:public_id>/decide/", projects.decide, name="project_decide"),
]

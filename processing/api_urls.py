"""Addresses of the API, below ``api/v1/``."""

from __future__ import annotations

from django.urls import path

from processing import api as runs
from studies import api as studies

urlpatterns = [
    path("studies/", studies.StudyList.as_view(), name="api_studies"),
    path("studies/<public_id:public_id>/", studies.StudyDetail.as_view(), name="api_study"),
    path("studies/<public_id:public_id>/runs/", runs.RunCreate.as_view(), name="api_run_create"),
    path("results/<public_id:public_id>/", studies.ResultView.as_view(), name="api_result"),
    path("files/<public_id:public_id>/", studies.FileView.as_view(), name="api_file"),
    path("runs/<public_id:public_id>/", runs.RunView.as_view(), name="api_run"),
    path("runs/<public_id:public_id>/cancel/", runs.RunCancel.as_view(), name="api_run_cancel"),
    path("projects/", studies.ProjectList.as_view(), name="api_projects"),
    path("cohort/", studies.CohortView.as_view(), name="api_cohort"),
    path("cohort/table.csv", studies.CohortTable.as_view(), name="api_cohort_table"),
]

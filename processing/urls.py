"""Addresses of the worklist and of runs."""

from __future__ import annotations

from django.urls import path

from processing.views import running, worklist

urlpatterns = [
    path("", worklist.home, name="home"),
    path("progress/", running.progress, name="run_progress"),
    path("studies/<public_id:public_id>/run/", running.card, name="run_card"),
    path("studies/<public_id:public_id>/run/submit/", running.submit, name="run_submit"),
    path(
        "studies/<public_id:public_id>/status.json", running.status_json, name="study_status_json"
    ),
    path("runs/<public_id:public_id>/cancel/", running.cancel, name="run_cancel"),
]

"""Addresses of the worklist, of runs and of protocols."""

from __future__ import annotations

from django.urls import path

from processing.views import protocols, reading, recording, running, worklist

urlpatterns = [
    path("", worklist.home, name="home"),
    path("find/", worklist.find, name="find"),
    path("progress/", running.progress, name="run_progress"),
    path("studies/<public_id:public_id>/run/", running.card, name="run_card"),
    path("studies/<public_id:public_id>/run/submit/", running.submit, name="run_submit"),
    path(
        "studies/<public_id:public_id>/status.json", running.status_json, name="study_status_json"
    ),
    path("studies/<public_id:public_id>/run/options/", running.options, name="run_options"),
    path("studies/<public_id:public_id>/run/drawn/", running.drawn, name="run_drawn"),
    path("studies/<public_id:public_id>/segments/", reading.segments, name="study_reading"),
    path("studies/<public_id:public_id>/record/", recording.study, name="study_record"),
    path("uploads/<public_id:public_id>/record/", recording.upload, name="upload_record"),
    path("protocols/", protocols.index, name="protocols"),
    path("protocols/new/", protocols.new, name="protocol_new"),
    path("protocols/<public_id:public_id>/", protocols.show, name="protocol"),
    path("protocols/<public_id:public_id>/edit/", protocols.edit, name="protocol_edit"),
    path(
        "protocols/<public_id:public_id>/versions/<int:number>/",
        protocols.show,
        name="protocol_version",
    ),
    path("runs/<public_id:public_id>/cancel/", running.cancel, name="run_cancel"),
]

"""Addresses of accounts beside allauth's own."""

from __future__ import annotations

from django.urls import path

from accounts.views import entry, people, settings

urlpatterns = [
    path("waiting/", entry.waiting, name="waiting"),
    path("policies/<slug:kind>/", entry.policy, name="policy"),
    path("consent/", entry.consent, name="consent"),
    path("invited/<str:token>/", entry.invited, name="invited"),
    path("interest/", entry.interest, name="interest"),
    path("feedback/", settings.feedback, name="feedback"),
    path("profile/", settings.profile, name="profile"),
    path("my-data.json", settings.my_data, name="my_data"),
    path("close/", settings.close_account, name="close_account"),
    path("sessions/", settings.session_list, name="sessions"),
    path("session/", settings.session, name="session"),
    path("keys/", settings.keys, name="api_keys"),
    path("keys/<public_id:public_id>/revoke/", settings.revoke_key, name="api_key_revoke"),
    path("directory/", people.directory, name="directory"),
    path("invite/", people.invite, name="invite"),
]

"""Addresses of accounts beside allauth's own."""

from __future__ import annotations

from django.urls import path

from accounts import views

urlpatterns = [
    path("waiting/", views.waiting, name="waiting"),
    path("policies/<slug:kind>/", views.policy, name="policy"),
]

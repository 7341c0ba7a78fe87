"""Retention periods of trusts in Django admin. Studies themselves are not there."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from accounts import audit
from accounts.person import person
from studies.models import Retention


@admin.register(Retention)
class RetentionAdmin(admin.ModelAdmin):
    list_display = ("trust", "days")

    def has_module_permission(self, request: HttpRequest) -> bool:
        return person(request).can("administer")

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return person(request).can("administer")

    has_add_permission = has_module_permission
    has_change_permission = has_view_permission

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Retention, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        audit.record(request.user, "trust.retention", obj.trust, days=obj.days)

"""Protocols in Django admin, to be looked at for help: their trust alone changes them."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _

from accounts import audit
from accounts.admin import ReadOnlyAdmin
from accounts.models import Trust
from processing.models import ProtocolVersion


@admin.register(ProtocolVersion)
class ProtocolVersionAdmin(ReadOnlyAdmin):
    list_display = ("name", "number", "trust", "use", "made_by", "made_at")
    list_filter = ("protocol__trust",)
    list_select_related = ("protocol__trust", "made_by")
    search_fields = ("name",)
    ordering = ("protocol__trust__name", "name", "-number")

    @admin.display(description=_("trust"))
    def trust(self, version: ProtocolVersion) -> Trust:
        return version.protocol.trust

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        if self.has_view_permission(request):
            audit.record(request.user, "protocol.list")
        return super().changelist_view(request, extra_context)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        version = self.get_object(request, object_id)
        if version is not None and self.has_view_permission(request, version):
            audit.record(request.user, "protocol.view", version.protocol, version=version.number)
        return super().change_view(request, object_id, form_url, extra_context)

"""Protocols in Django admin, to be looked at for help: their trust alone changes them."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _

from accounts import audit
from accounts.admin import ReadOnlyAdmin
from accounts.models import Trust
from processing.models import EngineCard, EngineUse, ProtocolVersion


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


@admin.register(EngineCard)
class EngineCardAdmin(ReadOnlyAdmin):
    """What ``manage.py engine-card ENGINE --keep`` found."""

    list_display = ("engine", "version", "conforms", "bias", "error", "coverage", "made_at")
    list_filter = ("engine",)

    @admin.display(description=_("bias"))
    def bias(self, card: EngineCard) -> str:
        return _share(card.figures.get("bias"))

    @admin.display(description=_("error of flow"))
    def error(self, card: EngineCard) -> str:
        return _share(card.figures.get("nrmse"))

    @admin.display(description=_("interval holds truth"))
    def coverage(self, card: EngineCard) -> str:
        return _share(card.figures.get("coverage"))


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"


@admin.register(EngineUse)
class EngineUseAdmin(admin.ModelAdmin):
    """Which trusts may choose an engine; one without a row is open to all."""

    list_display = ("engine",)
    filter_horizontal = ("trusts",)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        use: EngineUse = form.instance
        audit.record(request.user, "engine.use", trusts=use.trusts.count(), engine=use.engine)

    def delete_model(self, request: HttpRequest, obj: EngineUse) -> None:
        audit.record(request.user, "engine.use", trusts="all", engine=obj.engine)
        super().delete_model(request, obj)

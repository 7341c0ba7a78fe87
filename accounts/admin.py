"""The approval queue and the trusts in Django admin. It calls registration.py and holds no rule."""

from __future__ import annotations

import json
from itertools import chain
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.http import HttpRequest, StreamingHttpResponse
from django.urls import path
from django.utils.translation import gettext_lazy as _

from accounts import audit, registration
from accounts.models import AuditEvent, Membership, Policy, Trust, User
from corecmr.spreadsheet import csv_lines


class RolesInline(admin.TabularInline):
    """Roles are shown; approving gives them."""

    model = Membership
    extra = 0
    can_delete = False
    fields = ("role", "trust", "since")
    readonly_fields = fields

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(User)
class UserAdmin(admin.ModelAdmin):
    list_display = (
        "email", "name", "status", "requested_role", "requested_trust", "verified", "joined_at",
    )  # fmt: skip
    list_filter = ("status", "requested_trust", "requested_role")
    search_fields = ("email", "name")
    ordering = ("-joined_at",)
    actions = ("approve_selected", "refuse_selected", "suspend_selected")
    fields = ("email", "name", "status", "requested_trust", "requested_role", "joined_at")
    readonly_fields = ("email", "name", "status", "joined_at")
    inlines = (RolesInline,)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @admin.display(description=_("e-mail verified"), boolean=True)
    def verified(self, user: User) -> bool:
        return user.emailaddress_set.filter(verified=True).exists()  # type: ignore[attr-defined]

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        audit.record(request.user, "account.edit", obj)

    @admin.action(description=_("Approve with the role and trust asked for"))
    def approve_selected(self, request: HttpRequest, chosen: QuerySet[User]) -> None:
        self._each(request, chosen, registration.approve, _("%d approved."))

    @admin.action(description=_("Refuse"))
    def refuse_selected(self, request: HttpRequest, chosen: QuerySet[User]) -> None:
        self._each(request, chosen, registration.refuse, _("%d refused."))

    @admin.action(description=_("Suspend"))
    def suspend_selected(self, request: HttpRequest, chosen: QuerySet[User]) -> None:
        self._each(request, chosen, registration.suspend, _("%d suspended."))

    def _each(self, request: HttpRequest, chosen: QuerySet[User], verb: Any, done: Any) -> None:
        count = 0
        for user in chosen:
            try:
                verb(user, by=request.user)
                count += 1
            except registration.RegistrationError as error:
                self.message_user(request, str(error), messages.ERROR)
        if count:
            self.message_user(request, done % count, messages.SUCCESS)


@admin.register(Trust)
class TrustAdmin(admin.ModelAdmin):
    list_display = ("name", "ods_code", "research_allowed")
    search_fields = ("name", "ods_code")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Trust, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        audit.record(request.user, "trust.edit" if change else "trust.create", obj)


class ReadOnlyAdmin(admin.ModelAdmin):
    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Policy)
class PolicyAdmin(ReadOnlyAdmin):
    list_display = ("kind", "version", "published_at")


@admin.register(AuditEvent)
class AuditEventAdmin(ReadOnlyAdmin):
    """Who did what: found by a study's reference, by a person, or by an id; given out as CSV."""

    list_display = ("at", "person", "verb", "object_type", "object_id", "detail")
    list_filter = ("verb",)
    search_fields = ("actor", "object_id")
    search_help_text = _("A study’s reference, a person’s name or address, or an id.")
    date_hierarchy = "at"
    list_per_page = 50
    show_full_result_count = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[AuditEvent]:
        email = User.objects.filter(public_id=OuterRef("actor")).values("email")
        return super().get_queryset(request).annotate(email=Subquery(email))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        named = audit.ids_named(search_term)
        if named:
            return queryset.filter(object_id__in=named), False
        found, duplicates = super().get_search_results(request, queryset, search_term)
        if search_term.strip():
            people = User.objects.filter(
                Q(email__icontains=search_term) | Q(name__icontains=search_term)
            )
            found |= queryset.filter(actor__in=people.values("public_id"))
        return found, duplicates

    @admin.display(description=_("person"))
    def person(self, event: AuditEvent) -> str:
        return str(event.email or ("–" if event.actor else _("the system")))  # type: ignore[attr-defined]

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.export)
        own = [path("export.csv", view, name="accounts_auditevent_export")]
        return own + super().get_urls()

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> Any:
        # What was looked for may name somebody, so only that there was something is kept.
        audit.record(request.user, "audit.view", searched="q" in request.GET)
        return super().changelist_view(request, extra_context)

    def export(self, request: HttpRequest) -> StreamingHttpResponse:
        """The list as it is filtered, all pages of it."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        events = self.get_changelist_instance(request).get_queryset(request)
        audit.record(request.user, "audit.export", events=events.count())
        head = [
            "at",
            "person",
            "person_id",
            "verb",
            "object_type",
            "object_id",
            "detail",
            "request",
        ]
        rows = (
            [
                event.at.isoformat(timespec="milliseconds"), event.email or "", event.actor,
                event.verb, event.object_type, event.object_id,
                json.dumps(event.detail, sort_keys=True), event.request_id,
            ]
            for event in events.iterator(chunk_size=2000)
        )  # fmt: skip
        response = StreamingHttpResponse(
            csv_lines(chain([head], rows)), content_type="text/csv; charset=utf-8"
        )
        response["Content-Disposition"] = 'attachment; filename="corecmr-record.csv"'
        return response

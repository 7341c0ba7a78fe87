"""The approval queue and the trusts in Django admin. It calls registration.py and holds no rule."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from accounts import audit, registration
from accounts.models import AuditEvent, Membership, Policy, Trust, User


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
    list_display = ("at", "verb", "actor", "object_type", "object_id")
    list_filter = ("verb",)
    search_fields = ("actor", "object_id")
    date_hierarchy = "at"

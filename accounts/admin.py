"""The approval queue and the trusts in Django admin. It calls registration.py and holds no rule.

Administrators of the site see everybody; those of a trust see the people of their own.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from itertools import chain
from typing import Any

from allauth.mfa.models import Authenticator
from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ActionForm
from django.core.exceptions import PermissionDenied
from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseRedirect,
    StreamingHttpResponse,
)
from django.urls import path, reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts import audit, registration
from accounts.models import (
    Appointment,
    AuditEvent,
    Feedback,
    Interest,
    Membership,
    Policy,
    Trust,
    User,
)
from accounts.person import person
from accounts.roles import APPOINTED, REQUESTABLE, Role
from corecmr.spreadsheet import csv_lines


def _people(request: HttpRequest) -> QuerySet[User]:
    """The people whom whoever asks may decide on."""
    user = person(request)
    if user.can("administer"):
        return User.objects.all()
    if not user.can("administer_trust") or user.trust is None:
        return User.objects.none()
    newcomers = Q(memberships__isnull=True, requested_trust=user.trust)
    return User.objects.filter(newcomers | Q(memberships__trust=user.trust)).distinct()


def waiting(request: HttpRequest) -> dict[str, int]:
    """How many people and requests wait for a decision, for the first page."""
    return {
        "people_waiting": _people(request).filter(status=User.Status.PENDING).count(),
        "appointments_waiting": _appointments(request)
        .filter(outcome=Appointment.Outcome.OPEN)
        .count(),
    }


class LastSignInFilter(admin.SimpleListFilter):
    """Finds who has left without saying so."""

    title = _("last sign-in")
    parameter_name = "last_sign_in"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [
            ("90", _("More than 90 days ago")),
            ("180", _("More than 180 days ago")),
            ("never", _("Never")),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[User]) -> QuerySet[User]:
        if self.value() == "never":
            return queryset.filter(last_login=None)
        if self.value() in {"90", "180"}:
            oldest = timezone.now() - timedelta(days=int(self.value() or 0))
            return queryset.filter(last_login__lt=oldest)
        return queryset


class RolesInline(admin.TabularInline):
    """Roles are shown; decisions give and take them."""

    model = Membership
    extra = 0
    can_delete = False
    fields = ("role", "trust", "since")
    readonly_fields = fields

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class DecisionForm(ActionForm):
    """Beside the choice of what to do with the people that are ticked."""

    reason = forms.CharField(label=_("Reason, for the person:"), required=False, max_length=300)


@admin.register(User)
class UserAdmin(admin.ModelAdmin):
    list_display = (
        "email", "name", "status", "requested_role", "requested_trust", "verified", "fits",
        "last_login", "joined_at",
    )  # fmt: skip
    list_filter = (
        "status", LastSignInFilter, "memberships__role", "memberships__trust", "requested_trust",
        "requested_role",
    )  # fmt: skip
    list_select_related = ("requested_trust",)
    search_fields = ("email", "name", "professional_number")
    ordering = ("-joined_at",)
    action_form = DecisionForm
    actions = ("approve_selected", "refuse_selected", "suspend_selected", "reactivate_selected")
    fields = ("email", "name", "status", "requested_trust", "requested_role", "joined_at")
    readonly_fields = ("email", "name", "status", "joined_at")
    inlines = (RolesInline,)
    change_form_template = "admin/accounts/user/decide.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        return _people(request).order_by(*self.ordering)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        if person(request).can("administer"):
            return self.readonly_fields
        return (*self.readonly_fields, "requested_trust")

    def formfield_for_choice_field(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "requested_role":
            kwargs["choices"] = [("", "—"), *((role.value, role.label) for role in REQUESTABLE)]
        return super().formfield_for_choice_field(db_field, request, **kwargs)

    @admin.display(description=_("e-mail confirmed"), boolean=True)
    def verified(self, user: User) -> bool:
        return user.emailaddress_set.filter(verified=True).exists()  # type: ignore[attr-defined]

    @admin.display(description=_("address of the trust"), boolean=True)
    def fits(self, user: User) -> bool | None:
        """None where the trust has no mail domains to compare with."""
        trust = user.requested_trust
        return trust.owns_address(user.email) if trust and trust.mail_domains else None

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        audit.record(request.user, "account.edit", obj)

    # --- many at once -------------------------------------------------------------------------

    @admin.action(description=_("Approve with the role and trust asked for"))
    def approve_selected(self, request: HttpRequest, chosen: QuerySet[User]) -> None:
        self._each(request, chosen, registration.approve, _("%d approved."))

    @admin.action(description=_("Refuse"))
    def refuse_selected(self, request: HttpRequest, chosen: QuerySet[User]) -> None:
        reason = request.POST.get("reason", "")
        self._each(request, chosen, registration.refuse, _("%d refused."), reason=reason)

    @admin.action(description=_("Suspend"))
    def suspend_selected(self, request: HttpRequest, chosen: QuerySet[User]) -> None:
        reason = request.POST.get("reason", "")
        self._each(request, chosen, registration.suspend, _("%d suspended."), reason=reason)

    @admin.action(description=_("Let in again"))
    def reactivate_selected(self, request: HttpRequest, chosen: QuerySet[User]) -> None:
        self._each(request, chosen, registration.reactivate, _("%d let in again."))

    def _each(
        self, request: HttpRequest, chosen: QuerySet[User], verb: Any, done: Any, **options: Any
    ) -> None:
        count = 0
        for user in chosen:
            try:
                verb(user, by=request.user, **options)
                count += 1
            except registration.RegistrationError as error:
                self.message_user(request, str(error), messages.ERROR)
        if count:
            self.message_user(request, done % count, messages.SUCCESS)

    # --- one person ---------------------------------------------------------------------------

    def get_urls(self) -> list[Any]:
        decide = path(
            "<path:object_id>/decide/",
            self.admin_site.admin_view(self.decide),
            name="accounts_user_decide",
        )
        return [decide, *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        user = self.get_object(request, object_id)
        panel = self._panel(request, user) if user else {}
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **panel})

    def _panel(self, request: HttpRequest, user: User) -> dict[str, Any]:
        """What somebody who decides needs to know, and what can be decided."""
        by = person(request)
        trusts = Trust.objects.all() if by.can("administer") else Trust.objects.filter(pk=_own(by))
        others = [(role.value, role.label) for role in REQUESTABLE]
        appointed = APPOINTED if by.can("administer") else (Role.TRUST_ADMINISTRATOR,)
        return {
            "person": user,
            "is_verified": self.verified(user),
            "address_fits": self.fits(user),
            "recognised": Trust.of_address(user.email),
            "has_factor": Authenticator.objects.filter(user=user).exists(),
            "same_name": User.objects.filter(name__iexact=user.name).exclude(pk=user.pk).count(),
            "accepted": user.consents.select_related("policy"),
            "trusts": trusts,
            "requestable": others,
            "roles_held": [one for one in others if one[0] in user.roles],
            "roles_to_give": [one for one in others if one[0] not in user.roles],
            "administrations_held": [
                (role.value, role.label) for role in APPOINTED if role.value in user.roles
            ],
            "appointed": [(role.value, role.label) for role in appointed],
            "open_appointments": user.appointments.filter(outcome=Appointment.Outcome.OPEN),
        }

    def decide(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """One decision, from the buttons of the person's page."""
        if request.method != "POST" or not self.has_change_permission(request):
            raise PermissionDenied
        user = self.get_object(request, object_id)
        if user is None:
            raise Http404
        verb = _DECISIONS.get(request.POST.get("verb", ""))
        if verb is None:
            raise Http404
        try:
            verb(user, person(request), request.POST)
            self.message_user(request, _("Done: %s") % user, messages.SUCCESS)
        except registration.RegistrationError as error:
            self.message_user(request, str(error), messages.ERROR)
        return HttpResponseRedirect(reverse("admin:accounts_user_change", args=[user.pk]))


def _own(user: User) -> int:
    """The key of the person's trust; 0, which is nobody's, without one."""
    return user.trust.pk if user.trust else 0


def _trust(data: Any) -> Trust | None:
    text = data.get("trust", "")
    return Trust.objects.filter(pk=text).first() if text.isdecimal() else None


def _move(user: User, by: User, data: Any) -> None:
    trust = _trust(data)
    if trust is None:
        raise registration.RegistrationError(_("Choose the trust first."))
    registration.move_trust(user, by=by, trust=trust)


def _ask(user: User, by: User, data: Any) -> None:
    role = data.get("role", "")
    trust = (user.trust or by.trust or user.requested_trust) if role != Role.ADMINISTRATOR else None
    registration.ask_for_administrator(user, by=by, role=role, trust=trust)


_DECISIONS: dict[str, Callable[[User, User, Any], object]] = {
    "approve": lambda user, by, data: registration.approve(
        user, by=by, trust=_trust(data), role=data.get("role", "")
    ),
    "refuse": lambda user, by, data: registration.refuse(
        user, by=by, reason=data.get("reason", "")
    ),
    "suspend": lambda user, by, data: registration.suspend(
        user, by=by, reason=data.get("reason", "")
    ),
    "reactivate": lambda user, by, data: registration.reactivate(user, by=by),
    "move": _move,
    "give": lambda user, by, data: registration.give_role(user, by=by, role=data.get("role", "")),
    "take": lambda user, by, data: registration.take_role(user, by=by, role=data.get("role", "")),
    "ask": _ask,
    "factors": lambda user, by, data: registration.remove_factors(user, by=by),
}


@admin.register(Trust)
class TrustAdmin(admin.ModelAdmin):
    list_display = ("name", "ods_code", "mail_domains", "research_allowed")
    search_fields = ("name", "ods_code")
    fields = (
        "name", "ods_code", "mail_domains", "research_allowed", "require_mfa", "partners",
        "partners_only",
    )  # fmt: skip
    filter_horizontal = ("partners",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Trust]:
        user = person(request)
        trusts = super().get_queryset(request)
        return trusts if user.can("administer") else trusts.filter(pk=_own(user))

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """A trust's own administrators decide on research; who belongs to it is not theirs."""
        if person(request).can("administer"):
            return ()
        return ("name", "ods_code", "mail_domains")

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


def _appointments(request: HttpRequest) -> QuerySet[Appointment]:
    user = person(request)
    found = Appointment.objects.select_related("user", "trust", "requested_by", "decided_by")
    if user.can("administer"):
        return found
    return found.filter(role=Role.TRUST_ADMINISTRATOR, trust=_own(user))


@admin.register(Appointment)
class AppointmentAdmin(ReadOnlyAdmin):
    """The second of the two steps that make an administrator."""

    list_display = (
        "user", "role", "trust", "outcome", "requested_by", "requested_at", "decided_by",
        "decided_at",
    )  # fmt: skip
    list_filter = ("outcome", "role")
    actions = ("confirm_selected", "decline_selected")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Appointment]:
        return _appointments(request)

    @admin.action(description=_("Confirm: make them administrators"))
    def confirm_selected(self, request: HttpRequest, chosen: QuerySet[Appointment]) -> None:
        self._each(request, chosen, registration.confirm_administrator, _("%d confirmed."))

    @admin.action(description=_("Decline"))
    def decline_selected(self, request: HttpRequest, chosen: QuerySet[Appointment]) -> None:
        self._each(request, chosen, registration.decline_administrator, _("%d declined."))

    def _each(
        self, request: HttpRequest, chosen: QuerySet[Appointment], verb: Any, done: Any
    ) -> None:
        count = 0
        for appointment in chosen:
            try:
                verb(appointment, by=person(request))
                count += 1
            except registration.RegistrationError as error:
                self.message_user(request, str(error), messages.ERROR)
        if count:
            self.message_user(request, done % count, messages.SUCCESS)


@admin.register(Interest)
class InterestAdmin(ReadOnlyAdmin):
    list_display = ("at", "name", "organisation", "email")
    search_fields = ("name", "organisation", "email")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Answered ones are deleted: nothing else is done with them."""
        return person(request).can("administer")


@admin.register(Feedback)
class FeedbackAdmin(ReadOnlyAdmin):
    list_display = ("at", "by", "text")
    list_select_related = ("by",)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """What has been dealt with is deleted."""
        return person(request).can("administer")


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

"""Django admin for people who administer accounts. It has no sign-in of its own."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext_lazy as _


class CoreAdminSite(admin.AdminSite):
    site_header = _("CoreCMR administration")
    site_title = _("CoreCMR administration")
    index_title = _("People, trusts and protocols")
    enable_nav_sidebar = False  # four lists need no second menu, and the tables need its width

    def has_permission(self, request: HttpRequest) -> bool:
        user = request.user
        return bool(user.is_authenticated and user.is_staff)

    def index(self, request: HttpRequest, extra_context: Any = None) -> TemplateResponse:
        """What waits for a decision stands first."""
        from accounts.admin import waiting
        from accounts.person import person

        told = {**waiting(request), "may_overview": person(request).can("administer")}
        return super().index(request, {**(extra_context or {}), **told})

    def login(self, request: HttpRequest, extra_context: object = None) -> HttpResponse:
        """One sign-in for the whole site, so that its limits and checks hold here too."""
        if request.user.is_authenticated:
            from django.http import Http404

            raise Http404
        return redirect(f"{reverse('account_login')}?next={reverse('admin:index')}")

    def password_change(  # type: ignore[override]
        self, request: HttpRequest, extra_context: object = None
    ) -> HttpResponse:
        """One page for it, which puts the change on record."""
        return redirect("account_change_password")

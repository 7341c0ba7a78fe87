"""Every address of the site."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib import admin
from django.contrib.auth.decorators import login_not_required
from django.http.response import HttpResponseBase
from django.urls import include, path
from django.views.generic import TemplateView
from drf_spectacular.views import SpectacularAPIView

from corecmr import api_docs
from processing.views import watching


def page(template: str) -> Callable[..., HttpResponseBase]:
    """A page that is the same for everybody."""
    return login_not_required(TemplateView.as_view(template_name=template))


urlpatterns = [
    path("api/v1/", include("processing.api_urls")),
    path("api/v1/schema/", login_not_required(SpectacularAPIView.as_view()), name="api_schema"),
    path("api/v1/docs/", api_docs.show, name="api_docs"),
    path("", include("studies.urls")),
    path("", include("processing.urls")),
    path("accounts/", include("allauth.account.urls")),
    path("accounts/2fa/", include("allauth.mfa.urls")),
    path("accounts/", include("accounts.urls")),
    path("admin/overview/", watching.overview_page, name="overview"),
    path("admin/", admin.site.urls),
    path("health/live/", watching.live, name="health_live"),
    path("health/ready/", watching.ready, name="health_ready"),
    path("health/deep/", watching.deep, name="health_deep"),
    path("metrics", watching.figures, name="metrics"),
    path(
        "app.webmanifest",
        login_not_required(
            TemplateView.as_view(
                template_name="pages/app.webmanifest", content_type="application/manifest+json"
            )
        ),
        name="web_app",
    ),
    path("intended-use/", page("pages/intended_use.html"), name="intended_use"),
    path("cookies/", page("pages/cookies.html"), name="cookies"),
    path("accessibility/", page("pages/accessibility.html"), name="accessibility"),
]

handler400 = "corecmr.errors.bad_request"
handler403 = "corecmr.errors.permission_denied"
handler404 = "corecmr.errors.not_found"
handler429 = "corecmr.errors.too_many_attempts"
handler500 = "corecmr.errors.server_error"

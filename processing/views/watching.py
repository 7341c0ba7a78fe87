"""For those who run the site: health, figures, and one page with what matters."""

from __future__ import annotations

import hmac

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET, require_safe

from accounts import audit
from accounts.models import User
from accounts.person import person
from processing import health, metrics, overview


@login_not_required
@require_safe
def live(request: HttpRequest) -> HttpResponse:
    """This process answers. A database that is away is no reason to kill it, so none is asked."""
    return HttpResponse("ok\n", content_type="text/plain")


@login_not_required
@require_safe
def ready(request: HttpRequest) -> HttpResponse:
    """Whether readers may be sent here; says no more than that."""
    well = all(check.ok for check in health.ready())
    return HttpResponse(
        "ready\n" if well else "not ready\n", status=200 if well else 503, content_type="text/plain"
    )


@login_not_required
@require_GET
def deep(request: HttpRequest) -> HttpResponse:
    _require_watcher(request)
    checks = health.deep()
    failing = list(health.failing(checks))
    return JsonResponse(
        {
            "ok": not failing,
            "checks": [
                {"name": one.name, "ok": one.ok, "sentence": one.sentence, "value": one.value,
                 "unit": one.unit}
                for one in checks
            ],
        },
        status=503 if failing else 200,
    )  # fmt: skip


@login_not_required
@require_GET
def figures(request: HttpRequest) -> HttpResponse:
    _require_watcher(request)
    return HttpResponse(metrics.text(), content_type="text/plain; version=0.0.4; charset=utf-8")


def _require_watcher(request: HttpRequest) -> None:
    """The token of the monitoring, or an administrator; to all others there is nothing here."""
    given = request.headers.get("Authorization", "").removeprefix("Bearer ")
    wanted = settings.WATCH_TOKEN
    if wanted and hmac.compare_digest(given.encode(), wanted.encode()):
        return
    user = request.user
    if isinstance(user, User) and user.is_approved and user.can("administer"):
        return
    raise Http404


@require_GET
def overview_page(request: HttpRequest) -> HttpResponse:
    user = person(request)
    if not user.can("administer"):
        raise Http404
    audit.record(user, "site.overview")
    return render(request, "admin/overview.html", overview.context(request))

"""The researcher's page, and the CSV of segments."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from accounts import audit
from accounts.person import person
from studies import cohorts
from studies.forms import ResearchExportForm
from studies.models import SegmentFlow


def _context(request: HttpRequest, form: ResearchExportForm) -> dict[str, object]:
    user = person(request)
    return {
        "form": form,
        "study_count": cohorts.released(user).count(),
        "segment_count": SegmentFlow.objects.filter(
            result__in=cohorts.newest_results(user)
        ).count(),
        "columns": cohorts.COLUMNS,
    }


@require_GET
def show(request: HttpRequest) -> HttpResponse:
    if not person(request).can("research"):
        raise Http404
    audit.record(person(request), "research.view")
    return render(request, "studies/research.html", _context(request, ResearchExportForm()))


@require_POST
def export(request: HttpRequest) -> HttpResponseBase:
    user = person(request)
    if not user.can("research"):
        raise Http404
    form = ResearchExportForm(request.POST)
    if not form.is_valid():
        return render(request, "studies/research.html", _context(request, form), status=422)
    audit.record(
        user,
        "research.export",
        purpose=form.cleaned_data["purpose"],
        studies=cohorts.released(user).count(),
    )
    response = StreamingHttpResponse(
        cohorts.csv_lines(user),
        content_type="text/csv; charset=utf-8",
    )
    day = timezone.localdate().isoformat()
    response["Content-Disposition"] = f'attachment; filename="corecmr-segments-{day}.csv"'
    return response

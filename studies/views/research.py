"""The researcher's page: which studies match, how their figures are spread, kept and exported."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, QueryDict, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from accounts import audit
from accounts.models import User
from accounts.person import person
from studies import cohorts, exports, histograms, projects
from studies.forms import CohortForm, ResearchExportForm
from studies.models import Project


def _researcher(request: HttpRequest) -> User:
    user = person(request)
    if not user.can("research"):
        raise Http404
    return user


@require_GET
def show(request: HttpRequest) -> HttpResponse:
    """Counts and histograms of what the filters in the address leave."""
    user = _researcher(request)
    context = _context(user, request.GET)
    filters = context["filter"]
    audit.record(user, "research.view", filters=" ".join(sorted(context["definition"])))
    status = 200 if filters.is_valid() else 422
    if request.headers.get("HX-Request"):
        return render(request, "studies/_cohort.html", context, status=200)
    return render(request, "studies/research.html", context, status=status)


def _context(user: User, query: QueryDict, **forms: Any) -> dict[str, Any]:
    """What the page shows; a wrong filter matches nothing, and says so."""
    project = _project(user, query)
    base = cohorts.results(user, project)
    filters = cohorts.chosen(query, base)
    found = filters.qs if filters.is_valid() else base.none()
    whole, spreads = cohorts.counts(found)
    definition = cohorts.definition(query)
    given = QueryDict(mutable=True)
    for name, values in definition.items():
        given.setlist(name, values)
    if project is not None:
        given["project"] = project.public_id
    initial = {"project": project.public_id if project else ""}
    return {
        "filter": filters,
        "definition": definition,
        "query": given.urlencode(),
        "project": project,
        "projects": projects.of_member(user),
        "counts": whole,
        "enough": (whole["studies"] or 0) >= cohorts.LEAST,
        "least": cohorts.LEAST,
        "left_out": cohorts.left_out(project) if project else None,
        "histograms": [histograms.drawn(one, given) for one in spreads],
        "export_form": ResearchExportForm(by=user, initial=initial),
        "cohort_form": CohortForm(by=user, initial=initial),
        **forms,
    }


def _project(user: User, query: QueryDict) -> Project | None:
    public_id = query.get("project", "")
    return projects.get_or_404(user, public_id) if public_id else None


@require_POST
def save(request: HttpRequest) -> HttpResponse:
    """Keep the filters of the address as a cohort."""
    user = _researcher(request)
    form = CohortForm(request.POST, by=user)
    query = QueryDict(request.POST.get("query", ""))
    if not form.is_valid():
        context = _context(user, query, cohort_form=form, form=form)
        return render(request, "studies/research.html", context, status=422)
    project = form.cleaned_data["project"]
    cohort = projects.save_cohort(
        project, by=user, name=form.cleaned_data["name"], definition=cohorts.definition(query)
    )
    messages.success(request, _("Kept as %(cohort)s.") % {"cohort": cohort})
    return redirect("project", project.public_id)


@require_POST
def export(request: HttpRequest) -> HttpResponseBase:
    """A table or a package, streamed; recorded before its first byte."""
    user = _researcher(request)
    form = ResearchExportForm(request.POST, by=user)
    query = QueryDict(request.POST.get("query", ""))
    if not form.is_valid():
        return _refused(request, user, query, form)
    asked = form.cleaned_data
    wanted = exports.Export(
        project=asked["project"], by=user, level=asked["level"], purpose=asked["purpose"],
        definition=cohorts.definition(query),
    )  # fmt: skip
    filters = cohorts.chosen(wanted.definition, cohorts.results(user, wanted.project))
    if not filters.is_valid():
        form.add_error(None, _("A filter is wrong. Correct it above, then export."))
        return _refused(request, user, query, form)
    try:
        exports.begin(wanted, contents=asked["contents"])
    except exports.ExportError as error:
        form.add_error(None, str(error))
        return _refused(request, user, query, form)
    name = f"corecmr-{wanted.level}-{timezone.localdate().isoformat()}"
    if asked["contents"] == "csv":
        lines = exports.csv_lines(wanted)
        response = StreamingHttpResponse(lines, content_type="text/csv; charset=utf-8")
        name += ".csv"
    else:
        parts = exports.package(wanted, extras=asked["contents"])
        response = StreamingHttpResponse(parts, content_type="application/zip")
        name += ".zip"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def _refused(
    request: HttpRequest, user: User, query: QueryDict, form: ResearchExportForm
) -> HttpResponse:
    context = _context(user, query, export_form=form, form=form)
    return render(request, "studies/research.html", context, status=422)


def address_of(project: Project, definition: dict[str, list[str]]) -> str:
    """The page with a kept cohort's filters set."""
    query = QueryDict(mutable=True)
    for name, values in sorted(definition.items()):
        query.setlist(name, values)
    query["project"] = project.public_id
    return f"{reverse('research')}?{query.urlencode()}"

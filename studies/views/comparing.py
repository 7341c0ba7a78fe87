"""Two results of a study side by side; two engines over a cohort."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from accounts import audit
from accounts.person import person
from studies import access, cohorts, comparing, projects
from studies import results as results_of
from studies.models import Result, SegmentFlow, StoredFile, Study
from studies.segments import AHA_NAMES


@require_GET
def study(request: HttpRequest, public_id: str) -> HttpResponse:
    """The two newest results, or those that are asked for by number."""
    user = person(request)
    found = access.get_visible_or_404(user, public_id)
    results = list(results_of.listed(found))
    if len(results) < 2:
        raise Http404
    first = _chosen(results, request.GET.get("first"), results[1])
    second = _chosen(results, request.GET.get("second"), results[0])
    rows = comparing.rows(first, second)
    agreement = comparing.agreement_of(rows)
    audit.record(user, "study.compare", found, first=first.number, second=second.number)
    pictures = {
        (stored.result_id, stored.folder): stored
        for stored in StoredFile.objects.filter(result__in=(first, second), name="mbf.png")
    }
    folders = sorted({row.folder for row in rows})
    context = {
        "study": found,
        "results": results,
        "first": first,
        "second": second,
        "rows": [(row, AHA_NAMES.get(row.segment, "")) for row in rows],
        "agreement": agreement,
        "plot": comparing.plot(agreement),
        "pictures": [
            (folder, pictures.get((first.pk, folder)), pictures.get((second.pk, folder)))
            for folder in folders
        ],
        "most": comparing.MOST_DIFFERENCE,
    }
    return render(request, "studies/compare.html", context)


def _chosen(results: list[Result], number: str | None, usual: Result) -> Result:
    if number is None:
        return usual
    for result in results:
        if str(result.number) == number:
            return result
    raise Http404


@require_GET
def difference(request: HttpRequest, public_id: str, folder: str) -> HttpResponse:
    """The map of the difference between two results of a study, for one series."""
    found = access.get_visible_or_404(person(request), public_id)
    first, second = (
        results_of.asked_for(found, request.GET.get(name, "")) for name in ("first", "second")
    )
    if first is None or second is None:
        raise Http404
    picture = comparing.difference_map(first, second, folder)
    if picture is None:
        raise Http404
    audit.record_once(person(request), "study.compare", found)
    return HttpResponse(picture, content_type="image/png")


@require_GET
def engines(request: HttpRequest) -> HttpResponse:
    """Two engines on the studies of a cohort that both have analysed."""
    user = person(request)
    if not user.can("research"):
        raise Http404
    public_id = request.GET.get("project", "")
    project = projects.get_or_404(user, public_id) if public_id else None
    chosen = cohorts.chosen(request.GET, cohorts.results(user, project))
    studies = chosen.qs.values("study") if chosen.is_valid() else Study.objects.none()
    every = Result.objects.filter(study__in=studies)
    names = sorted(
        {f"{engine} {version}" for engine, version in
         every.order_by().values_list("engine", "engine_version").distinct()}
    )  # fmt: skip
    first, second = request.GET.get("first", ""), request.GET.get("second", "")
    context: dict[str, Any] = {
        "names": names, "first": first, "second": second, "project": project,
        "query": [(name, value) for name, values in cohorts.definition(request.GET).items()
                  for value in values],
        "least": cohorts.LEAST,
    }  # fmt: skip
    if first in names and second in names and first != second:
        pairs = _pairs(every, first, second)
        enough = len({pair[0] for pair in pairs}) >= cohorts.LEAST
        found = comparing.agreement([p[1] for p in pairs], [p[2] for p in pairs])
        audit.record(user, "research.compare", first=first, second=second)
        context |= {
            "asked": True, "enough": enough,
            "studies": len({pair[0] for pair in pairs}) if enough else None,
            "agreement": found if enough else None,
            "plot": comparing.plot(found) if enough else None,
        }  # fmt: skip
    else:
        audit.record(user, "research.view", filters="compare")
    return render(request, "studies/compare_engines.html", context)


def _pairs(every: QuerySet[Result], first: str, second: str) -> list[tuple[int, float, float]]:
    """Study, flow by the first and by the second engine, for each segment that both know."""
    flows: list[dict[tuple[int, str, int], float]] = []
    for name in (first, second):
        engine, _space, version = name.rpartition(" ")
        own = (
            SegmentFlow.objects.filter(
                result__in=every, result__engine=engine, result__engine_version=version,
                mbf__isnull=False,
            )
            # The newest of that engine goes last, and so stands in the end.
            .order_by("result__number")
            .values_list("result__study", "folder", "segment", "mbf")
        )  # fmt: skip
        flows.append({(study, folder, number): mbf or 0.0 for study, folder, number, mbf in own})
    return [
        (place[0], flows[0][place], flows[1][place])
        for place in sorted(flows[0].keys() & flows[1].keys())
    ]

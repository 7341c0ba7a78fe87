"""A run's card on the study's page, the progress corner of every page, and their buttons."""

from __future__ import annotations

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from accounts.person import person
from processing import runs, states
from processing.engines import engine_names
from processing.models import Run
from studies import access
from studies.models import Study


def _latest(study: Study) -> Run | None:
    return study.runs.order_by("-created_at").first()


@require_GET
def card(request: HttpRequest, public_id: str) -> HttpResponse:
    study = access.get_visible_or_404(person(request), public_id)
    run = _latest(study)
    if run is not None and run.state == states.SUCCEEDED and request.GET.get("open"):
        # The reader watched it end: show the page with the result it made.
        response = HttpResponse(status=204)
        response["HX-Refresh"] = "true"
        return response
    context = {
        "run": run,
        "study": study,
        "may_run": access.may(person(request), "run", study),
        "engines": engine_names(),
        "default_engine": settings.DEFAULT_ENGINE,
    }
    return render(request, "processing/run_card.html", context)


@require_GET
def progress(request: HttpRequest) -> HttpResponse:
    """Open runs on studies that the person may see."""
    if not person(request).can("read_studies"):
        return HttpResponse(status=204)
    visible = access.visible_to(person(request))
    open_runs = (
        Run.objects.filter(study__in=visible, state__in=states.OPEN)
        .select_related("study")
        .order_by("created_at")[:5]
    )
    return render(request, "processing/progress_corner.html", {"runs": list(open_runs)})


@require_GET
def status_json(request: HttpRequest, public_id: str) -> HttpResponse:
    study = access.get_visible_or_404(person(request), public_id)
    run = _latest(study)
    return JsonResponse(
        {
            "run": {
                "state": run.state,
                "stage": run.stage,
                "fraction": run.fraction,
                "reason": run.reason,
            }
            if run
            else None,
            "has_result": study.results.exists(),
        }
    )


@require_POST
def submit(request: HttpRequest, public_id: str) -> HttpResponse:
    study = access.get_visible_or_404(person(request), public_id)
    engine = request.POST.get("engine") or settings.DEFAULT_ENGINE
    if engine not in engine_names():
        messages.error(request, _("That engine is not installed here. Choose one of the list."))
        return redirect("study", study.public_id)
    try:
        runs.submit(study, engine=engine, by=person(request))
    except runs.RunError as error:
        messages.error(request, str(error))
    return redirect("study", study.public_id)


@require_POST
def cancel(request: HttpRequest, public_id: str) -> HttpResponse:
    run = Run.objects.select_related("study").filter(public_id=public_id).first()
    if run is None:
        raise Http404
    runs.cancel(run, by=person(request))
    return redirect("study", run.study.public_id)

"""A run's card on the study's page, the progress corner of every page, and their buttons."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts import audit
from accounts.models import User
from accounts.person import person
from processing import protocols, runs, states, waiting
from processing.engine_use import offered
from processing.forms import TimesForm
from processing.models import Run
from studies import access, edits, results
from studies.models import Study


def _latest(study: Study) -> Run | None:
    return study.runs.order_by("-created_at").first()


@require_GET
def card(request: HttpRequest, public_id: str) -> HttpResponse:
    study = access.get_visible_or_404(person(request), public_id)
    audit.record_once(person(request), "study.run_state", study)
    run = _latest(study)
    if run is not None and run.state == states.SUCCEEDED and request.GET.get("open"):
        # The reader watched it end: show the page with the result it made.
        response = HttpResponse(status=204)
        response["HX-Refresh"] = "true"
        return response
    may_run = access.may(person(request), "run", study)
    context: dict[str, Any] = {"run": run, "study": study, "may_run": may_run}
    if run is not None and run.is_open:
        context["wait"] = waiting.of(run)
    context["may_cancel"] = may_run and run is not None and runs.may_cancel(person(request), run)
    if may_run and not (run and run.is_open):
        context |= _choices(person(request), study)
    return render(request, "processing/run_card.html", context)


def _choices(user: User, study: Study) -> dict[str, Any]:
    """What may be chosen for an analysis: engine, protocol, and times where there is a result.

    Protocols are their trust's alone: a guest who may analyse gets what their rule gives.
    """
    owner = access.is_owner(user, study)
    return {
        "engines": offered(user),
        "default_engine": settings.DEFAULT_ENGINE,
        "protocols": list(protocols.of_trust(study)) if owner else [],
        "fitting": protocols.fitting(study),
        "asked": study.protocol_wanted,
        "may_give_times": study.results.exists(),
    }


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
    runs_shown = list(open_runs)
    waits = waiting.told(runs_shown)
    rows = [(run, waits[run.pk]) for run in runs_shown]
    return render(request, "processing/progress_corner.html", {"rows": rows})


@require_GET
def status_json(request: HttpRequest, public_id: str) -> HttpResponse:
    study = access.get_visible_or_404(person(request), public_id)
    audit.record_once(person(request), "study.run_state", study)
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
    access.require(person(request), "run", study)
    asked = request.POST.get("protocol")
    choice = protocols.wanted(study) if asked is None else _choice(request, study, asked)
    _start(request, study, choice)
    return _back(request, study)


def _back(request: HttpRequest, study: Study) -> HttpResponse:
    """To the list, if its button was pressed; else to the study."""
    if request.POST.get("from") == "list":
        return redirect("home")
    return redirect("study", study.public_id)


def _choice(request: HttpRequest, study: Study, asked: str) -> protocols.Choice:
    if asked not in ("", "none"):
        access.require(person(request), "manage", study)
    return protocols.named(study, asked)


def _start(
    request: HttpRequest,
    study: Study,
    choice: protocols.Choice,
    times: Mapping[str, Any] | None = None,
    chosen: Mapping[str, str] | None = None,
) -> None:
    engine = request.POST.get("engine") or settings.DEFAULT_ENGINE
    if engine not in offered(person(request)):
        messages.error(request, _("That engine is not offered here. Choose one of the list."))
        return
    try:
        runs.submit(
            study,
            engine=engine,
            parameters={**protocols.parameters(choice, times, study), **(chosen or {})},
            protocol=choice.version,
            by=person(request),
        )
    except runs.RunError as error:
        messages.error(request, str(error))


@require_http_methods(["GET", "POST"])
def options(request: HttpRequest, public_id: str) -> HttpResponse:
    """Analyse again with another protocol or other times for the frames."""
    user = person(request)
    study = access.get_visible_or_404(user, public_id)
    access.require(user, "run", study)
    result = study.results.first()
    series = result.report["series"] if result else []
    form = TimesForm(request.POST or None, series=series)
    if request.method == "GET":
        audit.record(user, "study.run_options", study)
    if request.method == "POST" and form.is_valid():
        choice = _choice(request, study, form.cleaned_data["protocol"])
        _start(request, study, choice, form.times, form.chosen)
        return redirect("study", study.public_id)
    context = {"study": study, "form": form, **_choices(user, study)}
    if "protocol" in request.POST:
        context["asked"] = request.POST["protocol"]
    if request.POST.get("engine") in context["engines"]:
        context["default_engine"] = request.POST["engine"]
    return render(request, "processing/run_options.html", context)


@require_POST
def drawn(request: HttpRequest, public_id: str) -> HttpResponse:
    """Analyse again with what was drawn over a result; all else as that result was made."""
    user = person(request)
    study = access.get_visible_or_404(user, public_id)
    access.require(user, "run", study)
    number = request.POST.get("result", "")
    result = results.asked_for(study, number)
    if result is None:
        raise Http404
    edit = edits.of(result)
    if edit is None or not edit.content:
        messages.error(request, _("Nothing has been drawn over this result yet."))
        return redirect(f"{reverse('study_workspace', args=[study.public_id])}?result={number}")
    try:
        runs.submit_drawn(study, result, edit.content, by=user)
    except runs.RunError as error:
        messages.error(request, str(error))
    return redirect("study", study.public_id)


@require_POST
def cancel(request: HttpRequest, public_id: str) -> HttpResponse:
    run = Run.objects.select_related("study").filter(public_id=public_id).first()
    if run is None:
        raise Http404
    runs.cancel(run, by=person(request))
    return _back(request, run.study)

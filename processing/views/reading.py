"""Accept the values of a result segment by segment, or set some aside."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from accounts import audit
from accounts.person import person
from processing import reading
from processing.forms import ReadingForm
from studies import access, readings
from studies import results as results_of
from studies.models import Reading


@require_http_methods(["GET", "POST"])
def segments(request: HttpRequest, public_id: str) -> HttpResponse:
    user = person(request)
    study = access.get_visible_or_404(user, public_id)
    access.require(user, "manage", study)
    result = results_of.asked_for(study, request.GET.get("result"))
    if result is None:
        raise Http404
    problem = ""
    kept = Reading.objects.filter(result=result).first()
    form = ReadingForm(request.POST or None, result=result, read=readings.of(result))
    if request.method == "POST" and form.is_valid():
        version = request.POST.get("version", "")
        try:
            reading.keep(
                result,
                form.set_aside(),
                version=int(version) if version.isdecimal() else 0,
                by=user,
            )
        except reading.ReadingError as error:
            problem = str(error)
            kept = Reading.objects.filter(result=result).first()
            form = ReadingForm(result=result, read=readings.of(result))
        else:
            messages.success(request, _("What you accepted and set aside is kept."))
            address = f"{reverse('study', args=[study.public_id])}?result={result.number}"
            return redirect(f"{address}#segments-title")
    if request.method == "GET":
        audit.record_once(user, "study.view", study)
    return render(
        request,
        "processing/reading.html",
        {
            "study": study, "result": result, "form": form, "problem": problem,
            "version": kept.version if kept else 0,
            "signed": study.reports.filter(result=result, signed_at__isnull=False).exists(),
        },
        status=400 if problem or form.errors else 200,
    )  # fmt: skip

"""A study's report: written, signed, printed."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods

from accounts import audit
from accounts.person import person
from studies import access, printing, readings, reporting
from studies.models import Report
from studies.views.reading import result_context


@require_http_methods(["GET", "POST"])
def write(request: HttpRequest, public_id: str) -> HttpResponse:
    """The draft, to be edited, saved, thrown away or signed; before it is saved, our sentences."""
    user = person(request)
    study = access.get_visible_or_404(user, public_id)
    access.require(user, "manage", study)
    draft, newest = reporting.draft_of(study), study.results.first()
    if newest is None:
        messages.error(request, _("There is no result to report on yet."))
        return redirect("study", study.public_id)
    text, error, theirs = "", "", ""
    if request.method == "POST":
        text = request.POST.get("text", "")
        seen = request.POST.get("seen", "")
        try:
            if request.POST.get("do") == "discard":
                if draft is not None:
                    reporting.discard(draft, by=user)
                    messages.success(request, _("The draft was thrown away."))
                return redirect("study", study.public_id)
            draft = reporting.save(
                study, by=user, text=text, seen=int(seen) if seen.isdecimal() else None
            )
            if request.POST.get("do") == "sign":
                reporting.sign(draft, by=user)
                messages.success(request, _("The report is signed."))
                return redirect("report", draft.public_id)
            messages.success(request, _("The draft is saved."))
            return redirect("report_write", study.public_id)
        except reporting.ChangedMeanwhile as problem:
            error = str(problem)
            draft = reporting.draft_of(study)
            theirs = draft.text if draft is not None else ""
        except reporting.ReportError as problem:
            error = str(problem)
    else:
        audit.record(user, "report.write", study)
        text = draft.text if draft is not None else reporting.beginning(newest)
    result = draft.result if draft is not None else newest
    read = readings.of(result)
    return render(
        request,
        "studies/report_write.html",
        {
            "study": study,
            "draft": draft,
            "seen": draft.saves if draft is not None else "",
            "text": text,
            "problem": error,
            "theirs": theirs,
            "result": result,
            "set_aside": read.told() if read else [],
            "newer": newest if newest != result else None,
            "signed": reporting.signed_of(study),
            "most": reporting.MOST_CHARACTERS,
        },
        status=400 if error else 200,
    )


@require_GET
def show(request: HttpRequest, public_id: str) -> HttpResponse:
    """The report as a page that prints as it looks."""
    report = _readable(request, public_id)
    audit.record(person(request), "report.view", report)
    return render(request, "studies/report.html", _context(request, report))


@require_GET
def pdf(request: HttpRequest, public_id: str) -> HttpResponse:
    report = _readable(request, public_id)
    access.require(person(request), "download", report.study)
    try:
        data = printing.pdf(_context(request, report))
    except printing.NoPrinter:
        messages.error(
            request,
            _("This server cannot make a PDF. Print this page, and choose PDF as the printer."),
        )
        return redirect("report", report.public_id)
    audit.record(person(request), "report.download", report, kind="pdf")
    return _attached(data, "application/pdf", report, "pdf")


@require_GET
def text(request: HttpRequest, public_id: str) -> HttpResponse:
    report = _readable(request, public_id)
    access.require(person(request), "download", report.study)
    audit.record(person(request), "report.download", report, kind="text")
    return _attached(printing.text(report).encode(), "text/plain; charset=utf-8", report, "txt")


def _readable(request: HttpRequest, public_id: str) -> Report:
    report = reporting.readable(person(request), public_id)
    if report is None:
        raise Http404
    return report


def _context(request: HttpRequest, report: Report) -> dict[str, object]:
    user = person(request)
    return {
        **printing.context(
            report,
            result_context(report.result, readings.of_report(report)),
            owner=access.is_owner(user, report.study),
        ),
        "may_download": access.may(user, "download", report.study),
    }


def _attached(data: bytes, kind: str, report: Report, end: str) -> HttpResponse:
    response = HttpResponse(data, content_type=kind)
    name = f"corecmr-{report.study.reference}-report-{report.version}.{end}"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response

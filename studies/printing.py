"""A report on paper: one page layout for the print view and for the PDF made from it."""

from __future__ import annotations

import base64
from typing import Any

from django.contrib.staticfiles import finders
from django.template.loader import render_to_string
from django.utils import timezone

from studies import curves, questions
from studies.intended_use import INTENDED_USE
from studies.models import Answer, Report, StoredFile


class NoPrinter(Exception):
    """The library that makes a PDF is not usable on this machine."""


def context(report: Report, told: dict[str, Any], *, owner: bool) -> dict[str, Any]:
    """What the page of a report shows.

    told: what the study's page tells of the result. owner: whether the reader works in the trust.
    """
    files = {(stored.folder, stored.name): stored for stored in told["files"]}
    lines = {
        entry["folder"]: curves.of_series(entry, files) for entry in report.result.report["series"]
    }
    for row in told["grid"]:
        for cell in row["cells"]:
            cell["curves"] = lines[cell["folder"]]
    latest = report.study.results.first()
    return {
        **told,
        "report": report,
        "study": report.study,
        "result": report.result,
        "is_owner": owner,
        "answers": questions.answers_for(report),
        "newer_result": latest if latest != report.result else None,
        "newer_report": report.study.reports.exclude(signed_at=None)
        .filter(version__gt=report.version)
        .first(),
        "curve_box": (curves.WIDTH, curves.HEIGHT, curves.LEFT, curves.HEIGHT - curves.BOTTOM),
        "printed_at": timezone.now(),
        "intended_use": INTENDED_USE,
    }


def pdf(told: dict[str, Any]) -> bytes:
    """The page of ``context`` as a tagged PDF/UA. Raises NoPrinter where it cannot be made."""
    try:
        # Only here: it is slow to import, and needs a library of the system's.
        from weasyprint import CSS, HTML
        from weasyprint.urls import URLFetcher
    except (ImportError, OSError) as error:
        raise NoPrinter from error
    # Nothing is fetched: pictures stand in the page itself, and the style sheet is our own.
    fetcher = URLFetcher(allowed_protocols=["data"], fail_on_errors=True)
    for row in told["grid"]:
        for cell in row["cells"]:
            cell["picture"] = _data_url(cell["map"]) if cell["map"] else ""
    page = render_to_string("studies/report_page.html", told)
    style = finders.find("build/report.css")
    assert style is not None, "the front end is not built"  # noqa: S101
    return HTML(string=page, url_fetcher=fetcher).write_pdf(
        stylesheets=[CSS(filename=style)], pdf_variant="pdf/ua-1"
    )


def _data_url(stored: StoredFile) -> str:
    with stored.file.open("rb") as handle:
        return f"data:{stored.content_type};base64,{base64.b64encode(handle.read()).decode()}"


def text(report: Report) -> str:
    """The report as plain text, for a hospital's own system."""
    state = (
        f"Signed by {report.signed_name}, {timezone.localtime(report.signed_at):%d %B %Y, %H:%M}"
        if report.signed_at
        else "DRAFT, not signed"
    )
    return "\n\n".join(
        [
            f"CoreCMR report on study {report.study.reference}, version {report.version}",
            report.text,
            *[_answer_text(answer) for answer in questions.answers_for(report)],
            f"{state}\nResult {report.result.number}, {report.result.engine.upper()} "
            f"{report.result.engine_version}",
            INTENDED_USE,
        ]
    ) + "\n"  # fmt: skip


def _answer_text(answer: Answer) -> str:
    """A colleague's answer with both names, as it stands in the plain text."""
    lines = [
        f"Asked by {answer.asked_name or 'someone who has left'}: {answer.share.question}",
        f"Answer of {answer.signed_name}, {answer.signed_trust}, "
        f"{timezone.localtime(answer.signed_at):%d %B %Y, %H:%M}: {answer.get_finding_display()}.",
        f"Quality of the images: {answer.get_quality_display()}.",
    ]
    if answer.segments:
        lines.append(f"Segments: {', '.join(answer.segment_names)}.")
    return "\n".join([*lines, *([answer.text] if answer.text else [])])

"""Home: the public page for visitors, the worklist with the upload for people who are signed in."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.core.paginator import Paginator
from django.db.models import Exists, OuterRef, Prefetch, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from accounts import audit
from accounts.models import User
from accounts.person import person
from processing.models import Run
from studies import access, identity
from studies.forms import PatientNumberForm
from studies.models import Result, Series, Study, Upload

PAGE = 25
#: Of one patient nobody has more.
_MOST_FOUND = 200


@login_not_required
@require_GET
def home(request: HttpRequest) -> HttpResponse:
    user = request.user
    if not user.is_authenticated:
        return render(request, "studies/landing.html")
    if not user.can("read_studies"):
        if user.can("research"):
            return redirect("research")
        return redirect("admin:index")
    page = Paginator(_studies(user), PAGE).get_page(request.GET.get("page"))
    seen = {"page": page.number, "studies": len(page)}
    if request.headers.get("HX-Request"):  # the list asks for itself while work is under way
        audit.record_once(user, "study.list", **seen)
    else:
        audit.record(user, "study.list", **seen)
    own = user.trust.pk if user.trust else None
    return render(
        request,
        "studies/home.html",
        {
            "page": page,
            "studies": [_row(study, own) for study in page],
            "uploads": Upload.objects.filter(user=user, state__in=Upload.OPEN),
            "may_upload": user.can("upload"),
            "may_find": user.trust is not None,
            "find": PatientNumberForm(),
            "may_research": user.can("research"),
            "max_file_bytes": settings.UPLOAD_MAX_FILE_BYTES,
        },
    )


@require_POST
def find(request: HttpRequest) -> HttpResponse:
    """The own trust's studies of a patient. Posted, so that no address or log holds the number."""
    user = person(request)
    if not user.can("read_studies") or user.trust is None:
        raise Http404
    form = PatientNumberForm(request.POST)
    if not form.is_valid():
        return render(request, "studies/found.html", {"find": form}, status=422)
    found = _with_runs(identity.with_number(user, form.cleaned_data["number"]))
    rows = [_row(study, user.trust.pk) for study in found[:_MOST_FOUND]]
    return render(request, "studies/found.html", {"find": form, "studies": rows})


def _studies(user: User) -> QuerySet[Study]:
    return _with_runs(access.visible_to(user))


def _with_runs(studies: QuerySet[Study]) -> QuerySet[Study]:
    return (
        studies.select_related("trust")
        .annotate(has_result=Exists(Result.objects.filter(study=OuterRef("pk"))))
        .prefetch_related(
            Prefetch("runs", queryset=Run.objects.order_by("-created_at")),
            Prefetch("series", queryset=Series.objects.filter(role=Series.Role.PERFUSION)),
        )
        .order_by("-created_at")
    )


def _row(study: Study, own_trust: int | None) -> dict[str, object]:
    runs = study.runs.all()
    return {
        "public_id": study.public_id,
        "reference": study.reference,
        "study_date": study.study_date,
        "trust": study.trust,
        "created_at": study.created_at,
        "series_summary": _summary(list(study.series.all())),
        "run": runs[0] if runs else None,
        "has_result": study.has_result,  # type: ignore[attr-defined]  # annotated by _studies
        "shared": study.trust_id != own_trust,
    }


def _summary(series: list[Series]) -> str:
    """What the study holds, in a few words: "Stress 3, Rest 3"."""
    counts: dict[str, int] = {}
    for entry in series:
        counts[entry.get_state_display()] = counts.get(entry.get_state_display(), 0) + 1
    return ", ".join(f"{label} {count}" for label, count in counts.items())

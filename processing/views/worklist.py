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
from processing import needs, waiting
from processing.models import Run
from processing.worklist import WorklistForm
from studies import access, identity, upload_words
from studies.forms import PatientNumberForm
from studies.models import Report, Result, Series, Study, Upload

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
    chosen = WorklistForm(request.GET)
    found = chosen.among(_studies(user), user)
    page = Paginator(found, PAGE).get_page(request.GET.get("page"))
    seen: dict[str, str | int] = {
        "page": page.number,
        "studies": len(page),
        "filters": chosen.names,
    }
    # The list asks for itself while work is under way; of that answer only the list is taken.
    by_itself = bool(request.headers.get("HX-Request"))
    if by_itself:
        audit.record_once(user, "study.list", **seen)
    else:
        audit.record(user, "study.list", **seen)
    return render(
        request,
        "studies/home.html",
        {
            "page": page,
            "studies": _rows(list(page), user),
            "needs": [] if by_itself else needs.of(user),
            "filter": chosen,
            "query": chosen.query,
            "uploads": Upload.objects.filter(user=user, state__in=Upload.OPEN),
            "may_upload": user.can("upload"),
            "upload_words": upload_words.strings(),
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
    rows = _rows(list(found[:_MOST_FOUND]), user)
    return render(request, "studies/found.html", {"find": form, "studies": rows})


def _studies(user: User) -> QuerySet[Study]:
    return _with_runs(access.visible_to(user))


def _with_runs(studies: QuerySet[Study]) -> QuerySet[Study]:
    return (
        studies.select_related("trust")
        .annotate(
            has_result=Exists(Result.objects.filter(study=OuterRef("pk"))),
            is_signed=Exists(Report.objects.filter(study=OuterRef("pk"), signed_at__isnull=False)),
            has_draft=Exists(Report.objects.filter(study=OuterRef("pk"), signed_at=None)),
        )
        .prefetch_related(
            Prefetch("runs", queryset=Run.objects.order_by("-created_at")),
            Prefetch("series", queryset=Series.objects.filter(role=Series.Role.PERFUSION)),
        )
        .order_by("-created_at")
    )


def _rows(studies: list[Study], user: User) -> list[dict[str, object]]:
    """Rows of the list; what the person may do with each is asked once for all."""
    own = user.trust.pk if user.trust else None
    shares = access.live_shares(user).filter(study__in=studies, may_run=True)
    runnable = set(shares.values_list("study", flat=True))
    open_runs = [run for study in studies for run in list(study.runs.all())[:1] if run.is_open]
    waits = waiting.told(open_runs) if open_runs else {}
    return [_row(study, own, runnable, waits) for study in studies]


def _row(
    study: Study, own_trust: int | None, runnable: set[int], waits: dict[int, waiting.Wait]
) -> dict[str, object]:
    runs = study.runs.all()
    owned = study.trust_id == own_trust
    return {
        "public_id": study.public_id,
        "reference": study.reference,
        "study_date": study.study_date,
        "trust": study.trust,
        "created_at": study.created_at,
        "series_summary": _summary(list(study.series.all())),
        "run": runs[0] if runs else None,
        "wait": waits.get(runs[0].pk) if runs else None,
        "may_run": owned or study.pk in runnable,
        "may_cancel": owned,
        "is_signed": study.is_signed,  # type: ignore[attr-defined]
        "has_draft": study.has_draft and owned,  # type: ignore[attr-defined]
        "has_result": study.has_result,  # type: ignore[attr-defined]  # annotated by _studies
        "shared": not owned,
    }


def _summary(series: list[Series]) -> str:
    """What the study holds, in a few words: "Stress 3, Rest 3"."""
    counts: dict[str, int] = {}
    for entry in series:
        counts[entry.get_state_display()] = counts.get(entry.get_state_display(), 0) + 1
    return ", ".join(f"{label} {count}" for label, count in counts.items())

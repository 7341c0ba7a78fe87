"""The API of studies, results, files and cohorts: the same objects and rules as the pages."""

from __future__ import annotations

from typing import Any

from django.db.models import Prefetch, QuerySet
from django.http import Http404, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import exceptions, serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import audit
from accounts.api import ID, ApiView
from accounts.models import ApiToken
from studies import access, cohorts, exports, media, projects
from studies.models import Project, Result, SegmentFlow, StoredFile, Study


class ResultSummary(serializers.ModelSerializer[Result]):
    id = serializers.CharField(source="public_id")

    class Meta:
        model = Result
        fields: tuple[str, ...] = (
            "id", "number", "engine", "engine_version", "created_at", "is_newest", "light",
            "stress_mbf", "rest_mbf", "reserve", "endo_epi",
        )  # fmt: skip


class StudySummary(serializers.ModelSerializer[Study]):
    id = serializers.CharField(source="public_id")
    trust = serializers.CharField(source="trust.name")
    results = ResultSummary(many=True)

    class Meta:
        model = Study
        fields = (
            "id", "reference", "trust", "patient_sex", "patient_age", "study_date",
            "manufacturer", "scanner_model", "field_t", "created_at", "results",
        )  # fmt: skip


class Segment(serializers.ModelSerializer[SegmentFlow]):
    class Meta:
        model = SegmentFlow
        fields = ("folder", "state", "level", "segment", "mbf", "low", "high", "ischaemic")


class FileSummary(serializers.ModelSerializer[StoredFile]):
    id = serializers.CharField(source="public_id")

    class Meta:
        model = StoredFile
        fields = ("id", "kind", "folder", "name", "content_type", "size", "sha256")


class ResultDetail(ResultSummary):
    study = serializers.CharField(source="study.public_id")
    segments = Segment(many=True, source="segment_flows")
    reserves = serializers.DictField(child=serializers.FloatField(allow_null=True))
    files = FileSummary(many=True)

    class Meta(ResultSummary.Meta):
        fields = (*ResultSummary.Meta.fields, "study", "segments", "reserves", "files")


class StudyList(ApiView):
    """Studies of your trust and those shared with you, the newest first."""

    serializer_class = StudySummary

    def get_queryset(self) -> QuerySet[Study]:
        if getattr(self, "swagger_fake_view", False):
            return Study.objects.none()
        light = Result.objects.defer("report", "parameters")
        return (
            access.visible_to(self.person)
            .select_related("trust")
            .prefetch_related(Prefetch("results", light))
        )

    @extend_schema(operation_id="studies_list", responses=StudySummary(many=True))
    def get(self, request: Request) -> Response:
        page = self.paginate_queryset(self.get_queryset())
        audit.record(self.person, "study.list", api=True)
        return self.get_paginated_response(self.get_serializer(page, many=True).data)


@extend_schema(parameters=[ID])
class StudyDetail(ApiView):
    """One study with its results."""

    serializer_class = StudySummary

    def get(self, request: Request, public_id: str) -> Response:
        study = access.get_visible_or_404(self.person, public_id)
        audit.record(self.person, "study.view", study, api=True)
        return Response(self.get_serializer(study).data)


@extend_schema(parameters=[ID])
class ResultView(ApiView):
    """One result: flow of each segment with its 90 % interval in ml/min/g, and its files."""

    serializer_class = ResultDetail

    def get(self, request: Request, public_id: str) -> Response:
        seen = access.visible_to(self.person)
        found = Result.objects.filter(study__in=seen, public_id=public_id)
        result = found.select_related("study").defer("report", "parameters").first()
        if result is None:
            raise Http404
        audit.record(self.person, "study.view", result.study, api=True)
        return Response(self.get_serializer(result).data)


@extend_schema(
    parameters=[ID],
    responses={(200, "application/octet-stream"): OpenApiTypes.BINARY},
)
class FileView(ApiView):
    """The bytes of a file. Ranges are answered."""

    scope = ApiToken.Scope.FILES
    serializer_class = serializers.Serializer

    def get(self, request: Request, public_id: str) -> HttpResponseBase:
        query = request._request.GET.copy()
        query["download"] = ""
        request._request.GET = query  # type: ignore[assignment]
        return media.serve(request._request, public_id)


# --- research -----------------------------------------------------------------------------------


class ProjectSummary(serializers.ModelSerializer[Project]):
    id = serializers.CharField(source="public_id")

    class Meta:
        model = Project
        fields = ("id", "name", "ethics_number", "ends_on", "is_open")


class BinSummary(serializers.Serializer[Any]):
    low = serializers.FloatField()
    high = serializers.FloatField()
    count = serializers.IntegerField(allow_null=True, help_text="null: one to four")


class HistogramSummary(serializers.Serializer[Any]):
    name = serializers.CharField()
    title = serializers.CharField(source="label")
    bins = BinSummary(many=True)


class CohortCounts(serializers.Serializer[Any]):
    studies = serializers.IntegerField(allow_null=True, help_text="null: one to four")
    patients = serializers.IntegerField(allow_null=True, help_text="null: one to four")
    trusts = serializers.IntegerField()
    histograms = HistogramSummary(many=True)


def _filters() -> list[OpenApiParameter]:
    """The parameters of the one FilterSet, as they stand in an address."""
    parameters = [OpenApiParameter("project", str, description="Id of a project")]
    for name, one in cohorts.CohortFilter.base_filters.items():
        label = str(one.label)
        if isinstance(one, cohorts.filters.RangeFilter):
            for end in ("min", "max"):
                parameters.append(OpenApiParameter(f"{name}_{end}", float, description=label))
        elif isinstance(one, cohorts.filters.DateFromToRangeFilter):
            for end in ("after", "before"):
                parameters.append(
                    OpenApiParameter(f"{name}_{end}", OpenApiTypes.DATE, description=label)
                )
        else:
            several = isinstance(
                one,
                cohorts.filters.MultipleChoiceFilter | cohorts.filters.ModelMultipleChoiceFilter,
            )
            parameters.append(OpenApiParameter(name, str, many=several, description=label))
    return parameters


class ResearchView(ApiView):
    scope = ApiToken.Scope.RESEARCH

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if not self.person.can("research"):
            raise exceptions.PermissionDenied("Your account is not a researcher’s.")

    def project(self) -> Project | None:
        public_id = self.request.query_params.get("project", "")
        return projects.get_or_404(self.person, public_id) if public_id else None


class ProjectList(ResearchView):
    """The research projects that you work in."""

    serializer_class = ProjectSummary
    queryset = Project.objects.none()

    @extend_schema(operation_id="projects_list", responses=ProjectSummary(many=True))
    def get(self, request: Request) -> Response:
        page = self.paginate_queryset(projects.of_member(self.person))
        audit.record(self.person, "project.list", api=True)
        return self.get_paginated_response(self.get_serializer(page, many=True).data)


@extend_schema(parameters=_filters(), responses={200: CohortCounts})
class CohortView(ResearchView):
    """How many studies match, and how their figures are spread. Counts of one to four are null."""

    serializer_class = CohortCounts

    def get(self, request: Request) -> Response:
        base = cohorts.results(self.person, self.project())
        chosen = cohorts.chosen(request._request.GET, base)
        if not chosen.is_valid():
            raise exceptions.ValidationError(dict(chosen.errors))
        whole, spreads = cohorts.counts(chosen.qs)
        audit.record(self.person, "research.view", api=True)
        return Response(self.get_serializer({**whole, "histograms": spreads}).data)


@extend_schema(
    parameters=[
        *_filters()[1:],
        OpenApiParameter("project", str, required=True, description="Id of a project"),
        OpenApiParameter("level", str, enum=exports.LEVELS, description="One row for each"),
        OpenApiParameter("purpose", str, required=True, description="What for; it is recorded"),
    ],
    responses={(200, "text/csv"): OpenApiTypes.STR},
)
class CohortTable(ResearchView):
    """The table of a cohort as CSV. Its pseudonyms are the project's own."""

    serializer_class = serializers.Serializer

    def get(self, request: Request) -> HttpResponse | StreamingHttpResponse:
        query = request.query_params
        project, level = self.project(), query.get("level", "segment")
        purpose = query.get("purpose", "").strip()
        missing = {}
        if project is None:
            missing["project"] = ["Give the id of a project that you work in."]
        if not purpose or len(purpose) > 300:
            missing["purpose"] = ["Say in up to 300 characters what the data is for."]
        if level not in exports.LEVELS:
            missing["level"] = [f"One of {', '.join(exports.LEVELS)}."]
        if missing or project is None:
            raise exceptions.ValidationError(missing)
        base = cohorts.results(self.person, project)
        chosen = cohorts.chosen(request._request.GET, base)
        if not chosen.is_valid():
            raise exceptions.ValidationError(dict(chosen.errors))
        wanted = exports.Export(
            project=project, by=self.person, level=level, purpose=purpose,
            definition=cohorts.definition(request._request.GET),
        )  # fmt: skip
        try:
            exports.begin(wanted, contents="csv")
        except exports.ExportError as error:
            raise exceptions.ValidationError({"studies": [str(error)]}) from None
        return StreamingHttpResponse(
            exports.csv_lines(wanted), content_type="text/csv; charset=utf-8"
        )

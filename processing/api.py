"""The API of runs: start one, see how far it is, cancel it."""

from __future__ import annotations

from typing import Any

from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework import exceptions, serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import audit
from accounts.api import ID, ApiView
from accounts.models import ApiToken
from processing import protocols, runs
from processing.engine_use import offered
from processing.engines import engine_names
from processing.models import Run
from studies import access


class RunState(serializers.ModelSerializer[Run]):
    id = serializers.CharField(source="public_id")
    study = serializers.CharField(source="study.public_id")
    result = serializers.SerializerMethodField()

    class Meta:
        model = Run
        fields = ("id", "study", "engine", "state", "stage", "fraction", "reason", "result")

    def get_result(self, run: Run) -> str | None:
        """The id of the result, once there is one."""
        return run.result.public_id if run.result else None


class RunWanted(serializers.Serializer[Any]):
    engine = serializers.ChoiceField(choices=(), help_text="The name of an installed engine")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        user = self.context.get("user")
        names = engine_names() if user is None else offered(user)
        self.fields["engine"].choices = names  # type: ignore[attr-defined]


@extend_schema(parameters=[ID], request=RunWanted, responses={201: RunState})
class RunCreate(ApiView):
    """Analyse a study with an engine. The same request while one is open gives the open one."""

    scope = ApiToken.Scope.RUN
    serializer_class = RunState

    def post(self, request: Request, public_id: str) -> Response:
        study = access.get_visible_or_404(self.person, public_id)
        access.require(self.person, "run", study)
        wanted = RunWanted(data=request.data, context={"user": self.person})
        wanted.is_valid(raise_exception=True)
        choice = protocols.wanted(study)
        try:
            run = runs.submit(
                study, engine=wanted.validated_data["engine"],
                parameters=protocols.parameters(choice, study=study),
                protocol=choice.version, by=self.person,
            )  # fmt: skip
        except runs.RunError as error:
            raise exceptions.ValidationError({"engine": [str(error)]}) from None
        return Response(RunState(run).data, status=status.HTTP_201_CREATED)


def _run(view: ApiView, public_id: str) -> Run:
    seen = access.visible_to(view.person)
    run = Run.objects.filter(study__in=seen, public_id=public_id).select_related("study").first()
    if run is None:
        raise Http404
    return run


@extend_schema(parameters=[ID])
class RunView(ApiView):
    """How far a run is."""

    serializer_class = RunState

    def get(self, request: Request, public_id: str) -> Response:
        run = _run(self, public_id)
        audit.record(self.person, "study.run_state", run.study, api=True)
        return Response(RunState(run).data)


@extend_schema(parameters=[ID], request=None, responses={200: RunState})
class RunCancel(ApiView):
    """Stop a run that waits or works; one that has ended stays as it is."""

    scope = ApiToken.Scope.RUN
    serializer_class = RunState

    def post(self, request: Request, public_id: str) -> Response:
        run = _run(self, public_id)
        runs.cancel(run, by=self.person)
        run.refresh_from_db()
        return Response(RunState(run).data)

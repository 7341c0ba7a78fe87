"""Analyse the studies of a kept cohort with another engine, and tell how the results differ."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts.models import User
from processing import protocols, runs
from processing.engines import UnknownEngine, get_engine
from processing.models import Run
from studies import cohorts, comparing
from studies.models import Cohort, Result, Study


class Command(BaseCommand):
    help = (
        "Queue an analysis by ENGINE of each study of a cohort that it has not analysed yet; with "
        "--report tell how its results differ from those of the engine before."
    )

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("cohort", help="the id of a kept cohort")
        parser.add_argument("engine")
        parser.add_argument("--report", action="store_true", help="tell the difference alone")

    def handle(self, *args: Any, **options: Any) -> None:
        cohort = Cohort.objects.filter(public_id=options["cohort"]).first()
        if cohort is None:
            raise CommandError("There is no cohort of this id. A project's page lists its cohorts.")
        try:
            engine = get_engine(options["engine"])
        except UnknownEngine as error:
            raise CommandError(str(error)) from None
        studies = _studies(cohort)
        if options["report"]:
            self._tell(studies, engine.name, engine.version)
            return
        for study in studies:
            choice = protocols.wanted(study)
            wanted = protocols.parameters(choice, study=study)
            if runs.was_analysed(study, engine=engine.name, parameters=wanted):
                continue
            runs.submit(
                study, engine=engine.name, parameters=wanted, protocol=choice.version, by=None
            )
        waiting = Run.objects.filter(study__in=studies, engine=engine.name, finished_at=None)
        self.stdout.write(
            f"{len(studies)} studies; {waiting.count()} analyses by {engine.name} wait or run."
        )

    def _tell(self, studies: list[Study], engine: str, version: str) -> None:
        first: list[float] = []
        second: list[float] = []
        for study in studies:
            results = Result.objects.filter(study=study).defer("report", "parameters")
            new = results.filter(engine=engine, engine_version=version).first()
            if new is None:
                continue
            old = results.filter(number__lt=new.number).exclude(
                engine=engine, engine_version=version
            ).first()  # fmt: skip
            if old is None:
                continue
            known = [row for row in comparing.rows(old, new) if row.difference is not None]
            first += [row.first.mbf or 0.0 for row in known]
            second += [row.second.mbf or 0.0 for row in known]
            mean = sum(row.difference or 0.0 for row in known) / max(1, len(known))
            self.stdout.write(
                f"{study.reference}  {old.engine} {old.engine_version} → {engine} {version}: "
                f"{len(known)} segments, mean difference {mean:+.3f} ml/min/g"
            )
        found = comparing.agreement(first, second)
        if found.bias is None or found.low is None or found.high is None:
            self.stdout.write("Too few segments are known in both to say how they agree.")
            return
        self.stdout.write(
            f"All: {found.pairs} segments, mean difference {found.bias:+.3f}, 95 % limits "
            f"{found.low:+.3f} to {found.high:+.3f} ml/min/g, correlation "
            f"{'not known' if found.correlation is None else f'{found.correlation:.3f}'}"
        )


def _studies(cohort: Cohort) -> list[Study]:
    """What the cohort's definition leaves of the studies that its project may use."""
    member = User.objects.filter(projects=cohort.project).first()
    if member is None:
        return []
    base = cohorts.results(member, cohort.project)
    found = cohorts.chosen(dict(cohort.definition), base)
    if not found.is_valid():
        raise CommandError("The cohort's filters are not understood any more.")
    return list(Study.objects.filter(pk__in=found.qs.values("study")))

"""Made-up studies and a research project for the demo: the researcher's page is not empty then.

Nothing was measured: flows are drawn around those of 30 healthy volunteers (stress 2.82, rest 0.68
ml/min/g: Xue 2019, doi:10.1002/mrm.27954), with a territory of lower stress flow in some. The trust
that owns them says so in its name.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from datetime import date, timedelta
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from django.utils import timezone

from accounts.models import Trust, User
from accounts.roles import Role
from studies import projects, results
from studies.models import Project, ProjectTrust, Study

TRUST = "Example Network (made-up studies)"
PROJECT = "Example project"
ENGINE = {"name": "made-up", "version": "1"}
_LEVELS = {
    "basal": range(1, 7),
    "mid": range(7, 13),
    "apical": range(13, 17),
}
_LAD = (1, 2, 7, 8, 13, 14)
_SCANNERS = (("SIEMENS", 1.5), ("SIEMENS", 3.0), ("PHILIPS", 3.0), ("PHILIPS", 1.5), ("GE", 1.5))


class Command(BaseCommand):
    help = "Make up a cohort and a research project, for the demo only."

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("--studies", type=int, default=60)

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.SETTINGS_MODULE.endswith((".demo", ".test")):
            raise CommandError("seed_cohort makes studies up for the demo only; this is not it.")
        if Trust.objects.filter(name=TRUST).exists():
            self.stdout.write("The demo's cohort exists.")
            return
        with transaction.atomic():
            trust = Trust.objects.create(name=TRUST, research_allowed=True)
            chance = random.Random(7)  # noqa: S311
            for number in range(options["studies"]):
                _study(trust, number, chance)
            self._project(trust)
        self.stdout.write(f"Made up {options['studies']} studies for the researcher's page.")

    def _project(self, trust: Trust) -> None:
        researcher = User.objects.filter(memberships__role=Role.RESEARCHER).first()
        if researcher is None or Project.objects.exists():
            return
        projects.create(
            by=researcher, name=PROJECT, purpose="To try cohorts and exports.",
            ethics_number="none needed: made-up data", wanted=100,
            ends_on=timezone.localdate() + timedelta(days=365),
            trusts=Trust.objects.filter(research_allowed=True),
        )  # fmt: skip
        ProjectTrust.objects.update(state=ProjectTrust.State.ALLOWED, decided_at=timezone.now())


def _study(trust: Trust, number: int, chance: random.Random) -> None:
    maker, field = chance.choice(_SCANNERS)
    # Every tenth patient was examined twice.
    patient = number - 1 if number % 10 == 9 else number
    study = Study.objects.create(
        trust=trust, study_uid=f"2.25.{10**20 + number}", patient_pseudonym=f"MADE-UP-{patient}",
        patient_sex=chance.choice("FM"), patient_age=chance.randint(28, 88),
        study_date=date(2020, 1, 1) + timedelta(days=chance.randint(0, 1500)),
        manufacturer=maker, field_t=field, research_permission=True,
    )  # fmt: skip
    results.record(study.pk, _report(chance))


def _report(chance: random.Random) -> dict[str, Any]:
    ischaemic = chance.random() < 0.3
    flows: dict[str, dict[int, float]] = {"stress": {}, "rest": {}}
    hearts = {"stress": chance.gauss(2.82, 0.47), "rest": max(0.35, chance.gauss(0.68, 0.16))}
    for state, mean in hearts.items():
        for segment in range(1, 17):
            low = ischaemic and state == "stress" and segment in _LAD
            flows[state][segment] = max(0.2, mean * (0.45 if low else 1) * chance.gauss(1, 0.08))
    reserve = {str(one): flows["stress"][one] / flows["rest"][one] for one in range(1, 17)}
    means = {state: sum(each.values()) / 16 for state, each in flows.items()}
    return {
        "format": 1,
        "engine": ENGINE,
        "parameters": {},
        "series": [
            _series(state, level, segments, flows[state])
            for state in flows
            for level, segments in _LEVELS.items()
        ],
        "reserve": reserve,
        "summary": {
            **{state: {"global": {"mbf": mean}} for state, mean in means.items()},
            "reserve": {"global": {"mpr": means["stress"] / means["rest"]}},
        },
        "light": {"colour": chance.choices(("green", "amber", "red"), (7, 2, 1))[0]},
        "unused": [],
    }


def _series(
    state: str, level: str, segments: Iterable[int], flows: dict[int, float]
) -> dict[str, Any]:
    return {
        "folder": f"{state}_{level}",
        "state": state,
        "level": level,
        "mbf": {
            "segments": {
                str(one): {
                    "mbf": flows[one],
                    "low": 0.85 * flows[one],
                    "high": 1.15 * flows[one],
                    "ischaemic": None,
                }
                for one in segments
            }
        },
    }

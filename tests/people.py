"""People, trusts and studies for tests, made through the product's own doors where one exists."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

from allauth.account.models import EmailAddress
from django.core.files.base import ContentFile
from django.utils import timezone

from accounts.models import Consent, Membership, Policy, Trust, User
from accounts.roles import Role
from studies import projects, results
from studies.models import Project, ProjectTrust, Result, Series, StoredFile, Study

PASSWORD = "a-long-enough-password-7"
_numbers = itertools.count(1)


def make_trust(name: str = "", *, research_allowed: bool = False) -> Trust:
    return Trust.objects.create(
        name=name or f"Trust {next(_numbers)}", research_allowed=research_allowed
    )


def make_user(
    trust: Trust | None = None,
    role: str = Role.CONSULTANT,
    *,
    status: str = User.Status.APPROVED,
    email: str = "",
    name: str = "Dr Test",
) -> User:
    user = User.objects.create_user(
        email or f"person{next(_numbers)}@hospital.example", PASSWORD, name=name, status=status
    )
    EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
    for policy in Policy.outstanding(user):
        Consent.objects.create(user=user, policy=policy)
    if role:
        Membership.objects.create(user=user, trust=trust, role=role)
    return user


def make_administrator() -> User:
    return make_user(None, Role.ADMINISTRATOR, name="Alex Admin")


def make_study(trust: Trust, **fields: object) -> Study:
    return Study.objects.create(
        **{"trust": trust, "study_uid": f"2.25.{next(_numbers)}", "patient_age": 61, **fields}
    )


def make_series(study: Study, **fields: object) -> Series:
    """One film of a study, as ingest understood it."""
    number = next(_numbers)
    found = {"state": "stress", "level": "mid", "role": "perfusion"}
    return Series.objects.create(
        **{
            "study": study, "uid": f"2.25.{number}", "sop_instance_uid": f"2.25.9.{number}",
            "understood": found, "frames": 60, "rows": 192, "cols": 160, "duration_s": 48.0,
            "time_source": "AcquisitionTime", "reasons": ["One slice alone is taken as mid."],
            **found, **fields,
        }
    )  # fmt: skip


def make_result(study: Study, *, mbf: float = 1.5, summed: bool = False) -> Result:
    """A small result with two segments of one slice in each state.

    summed: with the numbers of the whole heart and the light, which older results lack.
    """
    whole = {
        "summary": {
            "stress": {"global": {"mbf": 2 * mbf}},
            "rest": {"global": {"mbf": mbf}},
            "reserve": {"global": {"mpr": 2.0}},
        },
        "light": {"colour": "green", "sentence": "Nothing was found."},
    }
    return results.record(
        study.pk,
        {
            "format": 1,
            "engine": {"name": "mcaq", "version": "0.1.0"},
            "parameters": {},
            "series": [_series("stress", 2 * mbf), _series("rest", mbf)],
            "reserve": {"7": 2.0, "8": 2.0},
            "seconds": {"total": 1.0},
            "unused": [],
            **(whole if summed else {}),
        },
    )


def protocol_content(**changes: object) -> dict[str, object]:
    """What a version of a protocol holds: one that fits every study, unless it is changed."""
    return {
        "name": "Dual sequence", "use": "fitting", "manufacturer": "", "scanner_model": "",
        "scanner_pseudonym": "", "field_t": None, "input_series": "",
        "values": {"saturation_time_ms": 105.0}, **changes,
    }  # fmt: skip


def store_source(study: Study, files: Iterable[tuple[str, bytes]]) -> None:
    """Put images into storage as the study's source."""
    for name, data in files:
        stored = StoredFile(
            study=study, kind=StoredFile.Kind.SOURCE, folder="source", name=Path(name).name,
            content_type="application/dicom", size=len(data),
            sha256=hashlib.sha256(data).hexdigest(),
        )  # fmt: skip
        stored.file.save(name, ContentFile(data))


def _series(state: str, mbf: float) -> dict[str, object]:
    ischaemic = False if state == "stress" else None
    flow = {"mbf": mbf, "low": 0.9 * mbf, "high": 1.1 * mbf, "ischaemic": ischaemic}
    return {
        "folder": f"{state}_mid",
        "state": state,
        "level": "mid",
        "series_uid": "2.25.1",
        "sop_instance_uids": ["2.25.2"],
        "frame_times_s": [0.0, 1.0],
        "time_source": "AcquisitionTime",
        "frames": [
            {"sop_instance_uid": "2.25.2", "frame_number": 1, "time_s": 0.0, "role": "dynamic",
             "used": True, "reason": None},
        ],
        "offset": [0, 0],
        "mbf": {"global": mbf, "segments": {"7": flow, "8": flow}},
        "quality": [
            {"flag": "level_assumed", "severity": "info",
             "sentence": "One slice alone is taken as mid."},
        ],
        "seconds": 0.5,
    }  # fmt: skip


def make_project(
    researcher: User, *trusts: Trust, ends_in: int = 30, allowed: bool = True
) -> Project:
    """A research project that ``trusts`` joined."""
    project = projects.create(
        by=researcher, name=f"Project {next(_numbers)}", purpose="Flow and age",
        ethics_number="REC 24/LO/0001", ends_on=timezone.localdate() + timedelta(days=ends_in),
        wanted=0, trusts=trusts,
    )  # fmt: skip
    state = ProjectTrust.State.ALLOWED if allowed else ProjectTrust.State.ASKED
    project.trusts.update(state=state)
    return project


def make_released(trust: Trust, number: int = 1, **fields: object) -> list[Study]:
    """Studies with a result that their trust has released for research."""
    studies = []
    for _ in range(number):
        studies.append(make_study(trust, research_permission=True, **fields))
        make_result(studies[-1], summed=True)
    return studies

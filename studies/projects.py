"""Research projects: made, joined by trusts, ended. The only writer of what they are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date

from django.db import transaction
from django.db.models import Count, Q, QuerySet
from django.http import Http404
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import audit
from accounts.models import Trust, User
from studies import access
from studies.models import Cohort, Notification, Project, ProjectTrust
from studies.notifications import notify, people_of


class ProjectError(Exception):
    """Why it could not be done; the text is for the person who asked."""


def of_member(user: User) -> QuerySet[Project]:
    """The projects that a researcher works in."""
    if not user.is_authenticated or not user.can("research"):
        return Project.objects.none()
    return Project.objects.filter(members=user)


def get_or_404(user: User, public_id: str) -> Project:
    """The project, or the same 404 whether it is another's or nobody's."""
    project = of_member(user).filter(public_id=public_id).first()
    if project is None:
        raise Http404
    return project


def create(
    *, by: User, name: str, purpose: str, ethics_number: str, ends_on: date, wanted: int,
    trusts: Iterable[Trust],
) -> Project:  # fmt: skip
    """A new project; each of ``trusts`` is asked to join."""
    if not by.can("research"):
        raise Http404
    with transaction.atomic():
        project = Project.objects.create(
            name=name, purpose=purpose, ethics_number=ethics_number, ends_on=ends_on,
            wanted=wanted, created_by=by,
        )  # fmt: skip
        project.members.add(by)
        asked = [ProjectTrust.objects.create(project=project, trust=trust) for trust in trusts]
        audit.record(by, "project.create", project, trusts=len(asked))
        for one in asked:
            deciders = people_of(one.trust).union(people_of(one.trust, "administer_trust"))
            notify(deciders, Notification.Kind.PROJECT_ASKS, project=project, by=by)
    return project


def add_member(project: Project, *, by: User, email: str) -> User:
    """Let a researcher of a trust that was asked or allowed work in the project; gives who it is.

    An address that is nobody's, or not such a researcher's, gets one answer.
    """
    _require_member(project, by)
    trusts = project.trusts.values("trust")
    user = User.objects.filter(email=email.lower(), memberships__trust__in=trusts).first()
    if user is None or not user.can("research"):
        raise ProjectError(
            _("No researcher of the trusts in this project has this address. Check it.")
        )
    with transaction.atomic():
        project.members.add(user)
        audit.record(by, "project.add_member", project, user=user.public_id)
    return user


def close(project: Project, *, by: User) -> None:
    """End it at once: no counts, no exports any more. Doing it twice is one."""
    _require_member(project, by)
    with transaction.atomic():
        if Project.objects.filter(pk=project.pk, closed_at=None).update(closed_at=timezone.now()):
            audit.record(by, "project.close", project)


def _require_member(project: Project, by: User) -> None:
    if not of_member(by).filter(pk=project.pk).exists():
        raise Http404


# --- the trusts' side ---------------------------------------------------------------------------


def asked_of(user: User) -> QuerySet[ProjectTrust]:
    """What projects ask of the trusts for which ``user`` decides."""
    return ProjectTrust.objects.filter(trust__in=access.decides_for(user).values("trust"))


def decide(asked: ProjectTrust, *, by: User, allow: bool) -> None:
    """The trust's word; it may be changed at any time, and holds from the next request on."""
    if not asked_of(by).filter(pk=asked.pk).exists():
        raise Http404
    state = ProjectTrust.State.ALLOWED if allow else ProjectTrust.State.REFUSED
    with transaction.atomic():
        changed = (
            ProjectTrust.objects.filter(pk=asked.pk)
            .exclude(state=state)
            .update(state=state, decided_by=by, decided_at=timezone.now())
        )
        if changed:
            audit.record(by, "project.decide", asked.project, allowed=allow)
            members = User.objects.filter(projects=asked.project)
            notify(members, Notification.Kind.PROJECT_ANSWER, project=asked.project, by=by)


# --- cohorts ------------------------------------------------------------------------------------


def save_cohort(
    project: Project, *, by: User, name: str, definition: Mapping[str, list[str]]
) -> Cohort:
    """Keep a definition under ``name``: as its next version, or as it is where nothing changed."""
    _require_member(project, by)
    with transaction.atomic():
        # One after the other, so that two people who save at once make two versions.
        Project.objects.select_for_update().get(pk=project.pk)
        last = project.cohorts.filter(name=name).order_by("-version").first()
        if last is not None and last.definition == definition:
            return last
        cohort = Cohort.objects.create(
            project=project, name=name, version=last.version + 1 if last else 1,
            definition=dict(definition), created_by=by,
        )  # fmt: skip
        audit.record(by, "cohort.save", cohort, project=project.public_id)
    return cohort


def enrolment(project: Project) -> QuerySet[ProjectTrust]:
    """The trusts of a project with how many of their studies it may use, as ``studies``."""
    released = Q(
        state=ProjectTrust.State.ALLOWED,
        trust__research_allowed=True,
        trust__studies__research_permission=True,
        trust__studies__results__is_newest=True,
    )
    return project.trusts.select_related("trust").annotate(
        studies=Count("trust__studies", filter=released, distinct=True)
    )

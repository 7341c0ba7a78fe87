"""Notifications in the portal: rung inside the transaction of what they tell of."""

from __future__ import annotations

from collections.abc import Iterable

from django.db.models import Q, QuerySet
from django.utils import timezone

from accounts.models import Trust, User
from studies import access
from studies.models import Notification, Project, Study

Kind = Notification.Kind
#: What is told although the study is no longer seen: it names no study then.
_WITHOUT_STUDY = (Kind.UNSHARED,)


def notify(
    to: Iterable[User],
    kind: str,
    *,
    study: Study | None = None,
    project: Project | None = None,
    by: User | None = None,
) -> None:
    """Tell each of ``to``, but not the one who did it; joins the transaction that is open."""
    Notification.objects.bulk_create(
        Notification(to=user, kind=kind, study=study, project=project, by=by)
        for user in to
        if by is None or user.pk != by.pk
    )


def people_of(trust: Trust, capability: str = "read_studies") -> QuerySet[User]:
    """The approved people of a trust who may do something."""
    return User.objects.who_may(capability, trust)


def of(user: User) -> QuerySet[Notification]:
    """What may be told to the person at this moment: nothing of a study that is no longer seen."""
    return Notification.objects.filter(to=user).filter(
        Q(study=None) | Q(study__in=access.visible_to(user)) | Q(kind__in=_WITHOUT_STUDY)
    )


def unread(user: User) -> int:
    """How many wait. Asked on every page: mostly none do, and who may see what is not asked."""
    if not Notification.objects.filter(to=user, read_at=None).exists():
        return 0
    return of(user).filter(read_at=None).count()


def read_all(user: User) -> int:
    """Mark everything as read; says how many were not."""
    return Notification.objects.filter(to=user, read_at=None).update(read_at=timezone.now())

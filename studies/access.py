"""THE choke point: who may see which study, and do what with it.

Every read of a study that starts from a person starts here. Denied and absent look the same.
The conditions stand in one expression: chained filters over related rows would let two
half-matching rows of one study pass as one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import Http404
from django.utils import timezone

from accounts.models import Membership, User
from accounts.roles import roles_with
from studies.models import Project, ProjectTrust, Share, Study

Verb = Literal["see", "download", "comment", "run", "share", "manage", "identify"]
#: What members of the owning trust may do with its studies.
OWNER_VERBS: frozenset[str] = frozenset(
    {"see", "download", "comment", "run", "share", "manage", "identify"}
)


def live_shares(user: User) -> QuerySet[Share]:
    """The shares that the person has at this moment, through a trust or as a person."""
    return Share.objects.filter(
        Q(to_user=user) | Q(to_trust__in=user.trusts_where("read_studies")),
        revoked_at=None,
        expires_at__gt=timezone.now(),
    )


def visible_to(user: User) -> QuerySet[Study]:
    """Studies of the person's own trust, and those shared with the person or the trust, live."""
    if not user.is_authenticated or not user.can("read_studies"):
        return Study.objects.none()
    shared = live_shares(user).filter(study=OuterRef("pk"))
    return Study.objects.filter(Q(trust__in=user.trusts_where("read_studies")) | Exists(shared))


def seen_by(user: User, studies: Iterable[int]) -> set[int]:
    """Which of the studies (primary keys) the person may see; asks nothing where there are none."""
    asked = set(studies)
    if not asked:
        return set()
    return set(visible_to(user).filter(pk__in=asked).values_list("pk", flat=True))


def researchable_by(user: User) -> QuerySet[Study]:
    """Studies released for research in trusts that allow it; another door than ``visible_to``."""
    if not user.is_authenticated or not user.can("research"):
        return Study.objects.none()
    return Study.objects.filter(research_permission=True, trust__research_allowed=True)


def usable_in(project: Project, user: User) -> QuerySet[Study]:
    """Of those, what the trusts that joined ``project`` hold, while it is open, for its members."""
    studies = researchable_by(user)
    if not project.is_open or not project.members.filter(pk=user.pk).exists():
        return studies.none()
    joined = project.trusts.filter(state=ProjectTrust.State.ALLOWED)
    return studies.filter(trust__in=joined.values("trust"))


def get_visible_or_404(user: User, public_id: str) -> Study:
    """The study, or the same 404 whether it is another's or nobody's."""
    study = visible_to(user).select_related("trust").filter(public_id=public_id).first()
    if study is None:
        raise Http404
    return study


def may(user: User, verb: Verb, study: Study) -> bool:
    """Whether ``user`` may do ``verb`` with ``study``."""
    if not user.can("read_studies"):
        return False
    if study.trust_id in user.trusts_where("read_studies"):
        return verb in OWNER_VERBS
    return any(verb in share.verbs for share in live_shares(user).filter(study=study))


def require(user: User, verb: Verb, study: Study) -> None:
    """404 where ``user`` may not do ``verb``: a refusal tells nothing either."""
    if not may(user, verb, study):
        raise Http404


def decides_for(user: User) -> QuerySet[Membership]:
    """The trusts for whose studies the person may decide that they end.

    Consultants, and administrators of a trust, who need not see a study for that.
    """
    roles = [
        role
        for capability in ("read_studies", "administer_trust")
        if user.is_authenticated and user.can(capability)
        for role in roles_with(capability)
    ]
    return Membership.objects.filter(user=user, trust__isnull=False, role__in=roles)


def is_owner(user: User, study: Study) -> bool:
    """Whether the person works in the trust that owns the study."""
    return may(user, "manage", study)

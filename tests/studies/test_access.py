"""Who sees which study: the table of the choke point, and that no and nothing look the same."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.http import Http404
from django.utils import timezone

from accounts.models import Membership, User
from accounts.roles import Role
from studies import access, sharing
from studies.models import Share
from tests.people import make_administrator, make_study, make_trust, make_user

pytestmark = pytest.mark.django_db


def fresh(user: User) -> User:
    """The user as the next request loads it."""
    return User.objects.get(pk=user.pk)


def test_only_consultants_of_the_owning_trust_see_a_study():
    owner, other = make_trust(), make_trust()
    study = make_study(owner)
    may_see = {
        "consultant of the trust": (make_user(owner), True),
        "consultant elsewhere": (make_user(other), False),
        "researcher of the trust": (make_user(owner, Role.RESEARCHER), False),
        "administrator": (make_administrator(), False),
        "pending": (make_user(owner, status=User.Status.PENDING), False),
        "suspended": (make_user(owner, status=User.Status.SUSPENDED), False),
        "without a role": (make_user(owner, role=""), False),
    }
    seen = {who: access.visible_to(user).filter(pk=study.pk).exists()
            for who, (user, _) in may_see.items()}  # fmt: skip
    assert seen == {who: expected for who, (_, expected) in may_see.items()}


def test_a_share_shows_the_study_until_it_ends():
    study = make_study(make_trust())
    owner = make_user(study.trust)
    receiver = make_user(make_trust())
    stranger = make_user(make_trust())
    grant = sharing.share(
        study, by=owner, to_trust=receiver.trust, reason="second opinion", may_download=False
    )
    assert access.get_visible_or_404(receiver, study.public_id) == study
    assert access.may(receiver, "see", study)
    for verb in ("download", "run", "share", "manage"):
        assert not access.may(receiver, verb, study)
    with pytest.raises(Http404):
        access.get_visible_or_404(stranger, study.public_id)

    Share.objects.filter(pk=grant.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    assert not access.visible_to(receiver).exists()
    Share.objects.filter(pk=grant.pk).update(expires_at=timezone.now() + timedelta(days=1))
    assert access.visible_to(receiver).exists()
    sharing.revoke(grant, by=owner)
    assert not access.visible_to(receiver).exists()


def test_two_half_matching_shares_do_not_make_one_live_share():
    """One share to my trust that has expired, one live share to somebody else: nothing for me."""
    study = make_study(make_trust())
    owner, mine, theirs = make_user(study.trust), make_user(make_trust()), make_user(make_trust())
    expired = sharing.share(study, by=owner, to_trust=mine.trust, reason="x")
    Share.objects.filter(pk=expired.pk).update(expires_at=timezone.now() - timedelta(days=1))
    sharing.share(study, by=owner, to_trust=theirs.trust, reason="x")
    assert not access.visible_to(mine).exists()
    assert access.visible_to(theirs).count() == 1


def test_a_person_who_moved_trust_sees_the_new_one_only():
    old, new = make_trust(), make_trust()
    user = make_user(old)
    left, found = make_study(old), make_study(new)
    Membership.objects.filter(user=user).update(trust=new)
    assert list(access.visible_to(fresh(user))) == [found]
    assert not access.may(fresh(user), "see", left)


def test_a_receiver_cannot_share_on_or_revoke():
    study = make_study(make_trust())
    owner, receiver = make_user(study.trust), make_user(make_trust())
    grant = sharing.share(study, by=owner, to_user=receiver, reason="opinion")
    with pytest.raises(Http404):
        sharing.share(study, by=receiver, to_trust=make_trust(), reason="on")
    with pytest.raises(Http404):
        sharing.revoke(grant, by=receiver)
    assert Share.objects.get(pk=grant.pk).is_live


def test_sharing_says_why_it_refuses():
    study = make_study(make_trust())
    owner, colleague = make_user(study.trust), make_user(study.trust)
    with pytest.raises(sharing.SharingError, match="owns this study"):
        sharing.share(study, by=owner, to_trust=study.trust, reason="x")
    with pytest.raises(sharing.SharingError, match="sees the study already"):
        sharing.share(study, by=owner, to_user=colleague, reason="x")
    with pytest.raises(sharing.SharingError, match="one of the two"):
        sharing.share(study, by=owner, reason="x")
    with pytest.raises(sharing.SharingError, match="1 to 365 days"):
        sharing.share(study, by=owner, to_trust=make_trust(), reason="x", days=0)
    assert not Share.objects.exists()


def test_research_has_its_own_door():
    allowing, refusing = make_trust(research_allowed=True), make_trust()
    released = make_study(allowing, research_permission=True)
    make_study(allowing)
    make_study(refusing, research_permission=True)
    researcher = make_user(refusing, Role.RESEARCHER)
    assert list(access.researchable_by(researcher)) == [released]
    assert not access.researchable_by(make_user(allowing)).exists()
    assert not access.visible_to(researcher).exists()
    sharing.set_research_permission(released, by=make_user(allowing), allowed=False)
    assert not access.researchable_by(researcher).exists()

"""Quotas: exact for a person and for a trust, whichever door the bytes come by."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.core.files.base import ContentFile
from django.db import connection

from studies import quota, uploads
from studies.models import Upload
from tests.people import make_trust, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def user():
    return make_user(make_trust())


def test_a_person_may_fill_the_quota_and_not_a_byte_more(user, settings):
    settings.QUOTA_PERSON_BYTES = 100
    first, second = uploads.start(user), uploads.start(user)
    uploads.add_files(first, [("a", ContentFile(b"x" * 40))])
    uploads.expect(second, name="b", size=60)
    for door in (
        lambda: uploads.expect(first, name="c", size=1),
        lambda: uploads.add_files(first, [("c", ContentFile(b"x"))]),
    ):
        with pytest.raises(quota.OverQuota, match="withdraw one of them"):
            door()
    assert quota.held(Upload.objects.all()) == 100
    uploads.withdraw(second)
    uploads.expect(first, name="c", size=60)


def test_a_trust_has_a_quota_and_another_trust_its_own(user, settings):
    settings.QUOTA_TRUST_BYTES = 100
    colleague, stranger = make_user(user.trust), make_user(make_trust())
    uploads.expect(uploads.start(user), name="a", size=60)
    with pytest.raises(quota.OverQuota, match="of your trust"):
        uploads.expect(uploads.start(colleague), name="b", size=41)
    uploads.expect(uploads.start(colleague), name="b", size=40)
    uploads.expect(uploads.start(stranger), name="c", size=100)


def test_what_was_checked_counts_no_more(user, settings):
    settings.QUOTA_PERSON_BYTES = 10
    upload = uploads.receive(user, [("a", ContentFile(b"x" * 10))])
    claimed = uploads.claim(upload.pk)
    uploads.fail(claimed, "None of these files is one.")
    uploads.expect(uploads.start(user), name="b", size=10)


def test_open_uploads_are_counted(user, settings):
    settings.QUOTA_PERSON_UPLOADS, settings.QUOTA_TRUST_UPLOADS = 2, 3
    uploads.start(user)
    second = uploads.start(user)
    with pytest.raises(quota.OverQuota, match="2 uploads under way"):
        uploads.start(user)
    colleague = make_user(user.trust)
    uploads.start(colleague)
    with pytest.raises(quota.OverQuota, match="Your trust may have 3"):
        uploads.start(colleague)
    uploads.withdraw(second)
    uploads.start(user)


@pytest.mark.django_db(transaction=True)
def test_many_at_once_do_not_take_the_same_room(user, settings):
    settings.QUOTA_TRUST_BYTES = 100
    upload = uploads.start(user)

    def announce(number: int) -> bool:
        try:
            uploads.expect(upload, name=f"file {number}", size=30)
        except quota.OverQuota:
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(announce, range(8)))
    assert sum(taken) == 3
    assert quota.held(Upload.objects.filter(pk=upload.pk)) == 90

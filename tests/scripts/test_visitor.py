"""A person at the site over HTTP: signs in, sends files, is told what is wrong."""

from __future__ import annotations

import socket

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret

from accounts.models import Consent, Policy
from scripts.visitor import MoreIsAskedError, SiteError, Visitor, _parts
from studies.models import Upload
from tests.people import PASSWORD, make_trust, make_user


@pytest.mark.django_db(transaction=True)
def test_files_reach_the_site_in_parts_and_whole(live_server, tmp_path):
    user = make_user(make_trust())
    files = []
    for number in range(120):
        path = tmp_path / f"series {number // 60}" / f'IM "{number:03d}"'
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(bytes([number]) * (100 + number) + b"\r\n--boundary--\r\n")
        files.append(path)
    visitor = Visitor(live_server.url)
    with pytest.raises(SiteError, match="did not let"):
        visitor.sign_in(user.email, "wrong-password")
    visitor.sign_in(user.email, PASSWORD)
    begun = visitor.post_form("/uploads/", {})
    assert list(visitor.send_files(begun["files_url"], files, tmp_path)) == [50, 100, 120]
    with pytest.raises(SiteError, match="121 files were sent but 120 arrived") as refused:
        visitor.post_form(begun["complete_url"], {"sent": "121"})
    assert refused.value.status == 400
    url = visitor.post_form(begun["complete_url"], {"sent": "120"})["url"]
    assert visitor.get_json(f"{url}status.json")["total"] == 120
    sizes = sorted(Upload.objects.get().items.values_list("size", flat=True))
    assert sizes == sorted(path.stat().st_size for path in files)
    with pytest.raises(SiteError) as absent:
        visitor.get_json(f"/studies/{'0' * 26}/status.json")
    assert absent.value.status == 404
    with pytest.raises(SiteError, match="a page where data were expected"):
        visitor.get_json("/")


@pytest.mark.django_db(transaction=True)
def test_what_the_site_asks_for_beside_the_password_is_told(live_server, settings):
    """So that a demo whose consultant has set up a second factor starts all the same."""
    user = make_user(make_trust())
    Visitor(live_server.url).sign_in(user.email, PASSWORD)
    settings.REQUIRE_MFA = True
    with pytest.raises(MoreIsAskedError, match="second factor"):
        Visitor(live_server.url).sign_in(user.email, PASSWORD)
    settings.REQUIRE_MFA = False
    TOTP.activate(user, generate_totp_secret())
    with pytest.raises(MoreIsAskedError, match="second factor"):
        Visitor(live_server.url).sign_in(user.email, PASSWORD)
    Authenticator.objects.all().delete()
    Policy.objects.get_or_create(kind="privacy", version=2)
    Consent.objects.filter(user=user).delete()
    with pytest.raises(MoreIsAskedError, match="new version of a policy"):
        Visitor(live_server.url).sign_in(user.email, PASSWORD)


def test_a_site_that_does_not_answer_is_told():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{closed.getsockname()[1]}"
        with pytest.raises(SiteError, match="The site does not answer"):
            Visitor(address).get_json("/")


def test_a_request_carries_so_many_files_and_bytes(tmp_path):
    sizes = [5, 5 * 1024**2, 5 * 1024**2, 20 * 1024**2, 1]
    files = []
    for number, size in enumerate(sizes):
        path = tmp_path / str(number)
        with path.open("wb") as handle:
            handle.truncate(size)
        files.append(path)
    assert [[int(path.name) for path in part] for part in _parts(files)] == [[0, 1], [2], [3], [4]]
    assert list(_parts([])) == []

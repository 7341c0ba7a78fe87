"""When something goes wrong: a page for people, JSON for programs, and nothing of our insides."""

from __future__ import annotations

import io
import logging
import re
import time

import psycopg2
import pytest
from django.core.cache import cache
from django.db import OperationalError
from django.test import Client

from accounts.roles import Role
from corecmr.logs import LineFormatter, RequestIdFilter
from studies.models import StoredFile
from tests.people import PASSWORD, make_study, make_trust, make_user
from tests.site.world import store

pytestmark = pytest.mark.django_db

JSON = {"Accept": "application/json"}
#: What must not be in an answer: a trace, a path, a query, a module, a version.
INSIDES = re.compile(
    rb"Traceback|File &quot;|\.py\b|/site-packages|SELECT |psycopg|Error at /|DEBUG|"
    rb"FileNotFoundError|Django/|/media/|quarantine"
)


@pytest.fixture
def client():
    cache.clear()  # the limits on attempts are kept there
    return Client(raise_request_exception=False)


@pytest.fixture
def lost() -> StoredFile:
    """A file whose row is there and whose bytes are gone: a fault of ours."""
    stored = store(make_study(make_trust()), "mbf.png", "image/png")
    stored.file.storage.delete(stored.file.name)
    return stored


def answers(client, make, heading: str, code: str, status: int) -> None:
    """Ask as a person and as a program."""
    page = make({"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert page.status_code == status
    assert page["Content-Type"].startswith("text/html")
    text = page.content.decode()
    assert heading in text
    assert page["X-Request-ID"] in text, "the number to give when reporting it"
    data = make(JSON)
    assert data.status_code == status
    assert data["Content-Type"] == "application/json"
    assert data.json() == {"error": code, "id": data["X-Request-ID"]}
    for answer in (page, data):
        assert INSIDES.search(answer.content) is None
        assert answer["Cache-Control"] == "no-store"
        assert "default-src 'none'" in answer["Content-Security-Policy"]
        assert answer["X-Content-Type-Options"] == "nosniff"


def test_not_found(client):
    client.force_login(make_user(make_trust()))
    answers(
        client, lambda headers: client.get("/studies/nothing/", headers=headers),
        "Page not found", "not_found", 404,
    )  # fmt: skip


def test_not_found_for_visitors(client):
    answers(
        client, lambda headers: client.get("/wp-login.php", headers=headers),
        "Page not found", "not_found", 404,
    )  # fmt: skip


def test_not_understood(client):
    client.force_login(make_user(make_trust(), Role.RESEARCHER))
    fields = {f"field{number}": "x" for number in range(1100)}
    answers(
        client, lambda headers: client.post("/research/export/", fields, headers=headers),
        "The request was not understood", "bad_request", 400,
    )  # fmt: skip


def test_a_form_without_its_token(client):
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(make_user(make_trust()))
    answers(
        strict, lambda headers: strict.post("/uploads/", headers=headers),
        "The form was open for too long", "forbidden", 403,
    )  # fmt: skip


def test_a_fault_of_ours(client, lost, caplog):
    client.force_login(make_user(lost.study.trust))
    answers(
        client, lambda headers: client.get(f"/files/{lost.public_id}/", headers=headers),
        "The fault is ours and has been recorded", "server_error", 500,
    )  # fmt: skip
    assert "FileNotFoundError" in caplog.text, "the log has what the page has not"


def test_a_host_that_is_not_ours_is_refused(client):
    """Before anything is looked up; a forged host must not get into a mail or a link."""
    answer = client.get("/accounts/password/reset/", headers={"Host": "evil.example"})
    assert answer.status_code == 400
    assert b"evil.example" not in answer.content
    assert INSIDES.search(answer.content) is None


def test_the_request_id_is_ours_alone(client):
    forged = client.get("/", headers={"X-Request-ID": "forged\r\nline"})
    assert re.fullmatch(r"[0-9a-f]{16}", forged["X-Request-ID"])
    assert client.get("/")["X-Request-ID"] != forged["X-Request-ID"]


def test_guessing_passwords_is_slowed_down(client):
    """The right one is refused as well once five were wrong, and others can still sign in."""
    user, other = make_user(make_trust()), make_user(make_trust())
    for _ in range(5):
        client.post("/accounts/login/", {"login": user.email, "password": "wrong-password"})
    answer = client.post("/accounts/login/", {"login": user.email, "password": PASSWORD})
    assert answer.status_code == 200
    assert "_auth_user_id" not in client.session
    signed_in = client.post("/accounts/login/", {"login": other.email, "password": PASSWORD})
    assert signed_in.status_code == 302


def test_too_many_attempts_are_told_on_a_page_of_ours(client):
    for _ in range(21):
        answer = client.post("/accounts/signup/", {"email": "x"})
    assert answer.status_code == 429
    assert b"Too many attempts" in answer.content


def test_the_log_line_of_a_page_that_is_not_there_has_the_number_too(client):
    """Django writes it when the request has left all of our own code."""
    lines = io.StringIO()
    handler = logging.StreamHandler(lines)
    handler.addFilter(RequestIdFilter())
    handler.setFormatter(LineFormatter())
    logger = logging.getLogger("django.request")
    logger.addHandler(handler)
    try:
        answer = client.get("/nowhere/")
    finally:
        logger.removeHandler(handler)
    assert f"[{answer['X-Request-ID']}] Not Found: /nowhere/" in lines.getvalue()


def test_the_public_page_alone_may_be_found_by_search_engines(client):
    assert "X-Robots-Tag" not in client.get("/").headers
    for path in ("/accounts/login/", "/accounts/signup/", "/cookies/", "/nowhere/", "/admin/"):
        assert client.get(path).headers["X-Robots-Tag"] == "noindex, nofollow"


def test_pages_keep_to_themselves(client):
    headers = client.get("/").headers
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert headers["Cross-Origin-Embedder-Policy"] == "require-corp"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["X-Frame-Options"] == "DENY"
    assert "publickey-credentials-get=(self)" in headers["Permissions-Policy"]


def test_a_database_that_is_away_is_a_busy_site_and_not_a_fault(client, monkeypatch):
    """Whatever of the page asks the database: the answer asks nothing."""

    def away(*args, **kwargs):
        raise OperationalError("no password in here") from psycopg2.OperationalError("gone")

    client.force_login(make_user(make_trust()))
    client.raise_request_exception = False
    monkeypatch.setattr("django.db.backends.base.base.BaseDatabaseWrapper.cursor", away)
    page = client.get("/")
    assert page.status_code == 503
    assert page["Retry-After"] == "5"
    assert "Nothing that it has confirmed to you is lost" in page.content.decode()
    assert "password" not in page.content.decode()
    told = client.get("/", headers={"Accept": "application/json"})
    assert (told.status_code, told.json()["error"]) == (503, "unavailable")


@pytest.mark.parametrize(
    ("proxies", "ago", "form", "status"),
    [(1, 20, "{:.0f}", 503), (1, 1, "{:.0f}", 200), (0, 20, "{:.0f}", 200),
     (1, 20, "t={:.0f}", 503), (1, 0, "nonsense", 200)],
)  # fmt: skip
def test_who_has_waited_too_long_is_told_at_once(client, settings, proxies, ago, form, status):
    settings.ALLAUTH_TRUSTED_PROXY_COUNT = proxies
    came = form.format((time.time() - ago) * 1000)
    answer = client.get("/intended-use/", headers={"X-Request-Start": came})
    assert answer.status_code == status
    came = f"t={time.time() - ago:.3f}s"
    answer = client.get("/intended-use/", headers={"X-Request-Start": came})
    assert answer.status_code == (503 if proxies and ago > 8 else 200)

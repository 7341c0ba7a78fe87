"""How long somebody stays signed in, by a clock that the tests move."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest
from django.core.cache import cache

from accounts import registration, sessions
from accounts.models import AuditEvent
from tests.people import PASSWORD, make_administrator, make_trust, make_user

pytestmark = pytest.mark.django_db

MINUTE, HOUR = 60, 3600
JSON = {"Accept": "application/json"}
POLL = {"HX-Request": "true"}
NAVIGATION = {"Sec-Fetch-Mode": "navigate"}


class Clock:
    def __init__(self) -> None:
        self.at = 1_800_000_000.0

    def __call__(self) -> float:
        return self.at

    def go(self, seconds: float) -> None:
        self.at += seconds


@pytest.fixture
def clock(monkeypatch) -> Clock:
    cache.clear()
    made = Clock()
    monkeypatch.setattr(sessions, "now", made)
    return made


@pytest.fixture
def user(client, clock):
    person = make_user(make_trust())
    client.post("/accounts/login/", {"login": person.email, "password": PASSWORD})
    return person


def is_in(client, **headers: str) -> bool:
    return client.get("/protocols/", headers=headers).status_code == 200


def left(client) -> int:
    return client.get("/accounts/session/", headers=JSON).json()["left"]


@pytest.mark.usefixtures("user")
def test_thirty_minutes_without_doing_anything_end_it(client, clock):
    assert is_in(client)
    clock.go(30 * MINUTE - 1)
    assert is_in(client)
    clock.go(30 * MINUTE)
    answer = client.get("/protocols/")
    assert answer.headers["Location"] == "/accounts/login/?next=/protocols/"
    page = client.get(answer.headers["Location"]).content.decode()
    assert "You were signed out because nothing was done for a while." in page
    verbs = list(AuditEvent.objects.order_by("id").values_list("verb", flat=True))
    assert verbs[-1] == "account.session_ended"
    assert "account.sign_out" not in verbs


@pytest.mark.usefixtures("user")
@pytest.mark.parametrize(
    "own_doing",
    [POLL, JSON, {"Sec-Fetch-Mode": "cors"}, {"Sec-Fetch-Mode": "no-cors"}],
    ids=["htmx", "json", "fetch", "film"],
)
def test_what_a_page_asks_for_by_itself_is_no_activity(client, clock, own_doing):
    for _minute in range(29):
        clock.go(MINUTE)
        assert client.get("/progress/", headers=own_doing).status_code == 200
    clock.go(MINUTE)
    assert client.get("/progress/", headers=own_doing).status_code == 302
    # The page then loads itself anew: only that tells the person, and ends the session.
    answer = client.get("/protocols/", headers=NAVIGATION)
    assert answer.headers["Location"].startswith("/accounts/login/")
    assert "_auth_user_id" not in client.session


@pytest.mark.usefixtures("user")
def test_opening_a_page_and_sending_something_are(client, clock):
    for _ in range(6):
        clock.go(29 * MINUTE)
        assert is_in(client, **NAVIGATION)
        clock.go(29 * MINUTE)
        assert client.post("/accounts/session/", headers=JSON | POLL).status_code == 200
    assert left(client) == 30 * MINUTE


@pytest.mark.usefixtures("user")
def test_twelve_hours_end_it_however_busy_somebody_is(client, clock):
    for _ in range(47):
        clock.go(15 * MINUTE)
        assert is_in(client)
    clock.go(15 * MINUTE - 1)
    assert is_in(client)
    asked = client.get("/accounts/session/", headers=JSON).json()
    assert asked == {"left": 1, "extendable": False}
    clock.go(1)
    assert not is_in(client)


@pytest.mark.usefixtures("user")
def test_the_page_can_ask_how_long_it_lasts_without_making_it_longer(client, clock):
    assert left(client) == 30 * MINUTE
    clock.go(26 * MINUTE)
    assert client.get("/accounts/session/", headers=JSON).json() == {
        "left": 4 * MINUTE, "extendable": True,
    }  # fmt: skip
    assert client.post("/accounts/session/", headers=JSON).json()["left"] == 30 * MINUTE
    clock.go(31 * MINUTE)
    assert left(client) == 0


@pytest.mark.usefixtures("user")
def test_a_new_sign_in_starts_both_clocks_anew(client, clock):
    clock.go(11 * HOUR)
    client.post("/accounts/logout/")
    user = make_user(make_trust())
    client.post("/accounts/login/", {"login": user.email, "password": PASSWORD})
    clock.go(29 * MINUTE)
    assert is_in(client)
    assert client.session[sessions.BEGAN] == clock.at - 29 * MINUTE


def test_sessions_are_listed_and_one_or_all_others_are_ended(client, user, clock):
    telephone, library = type(client)(), type(client)()
    for one in (telephone, library):
        one.defaults["HTTP_USER_AGENT"] = "Telephone" if one is telephone else "Library"
        one.post("/accounts/login/", {"login": user.email, "password": PASSWORD})
    page = client.get("/accounts/sessions/")
    listed = page.context["sessions"]
    assert sorted(one["browser"] for one in listed) == ["", "Library", "Telephone"]
    assert [one["browser"] for one in listed if one["is_current"]] == [""]
    (target,) = [one["pk"] for one in listed if one["browser"] == "Telephone"]
    stranger = type(client)()
    stranger.force_login(make_user(make_trust()))
    stranger.post("/accounts/sessions/", {"end": target})
    assert is_in(telephone), "only one's own can be ended"
    client.post("/accounts/sessions/", {"end": target})
    assert (is_in(client), is_in(telephone), is_in(library)) == (True, False, True)
    client.post("/accounts/sessions/", {"end": "others"})
    assert (is_in(client), is_in(library)) == (True, False)
    assert AuditEvent.objects.filter(verb="account.end_sessions", actor=user.public_id).count() == 2


def test_a_session_that_has_run_out_is_not_listed(client, user, clock):
    other = type(client)()
    other.post("/accounts/login/", {"login": user.email, "password": PASSWORD})
    clock.go(20 * MINUTE)
    assert is_in(client)
    clock.go(15 * MINUTE)
    assert len(client.get("/accounts/sessions/").context["sessions"]) == 1


def test_what_an_administrator_takes_away_is_gone_in_every_browser(client, user, clock):
    other = type(client)()
    other.force_login(user)
    assert is_in(other)
    registration.suspend(user, by=make_administrator())
    for one in (client, other):
        assert one.get("/protocols/").headers["Location"] == "/accounts/waiting/"


@pytest.mark.usefixtures("user")
def test_signing_out_is_recorded_and_tells_the_browser_to_forget(client):
    answer = client.post("/accounts/logout/")
    assert answer.headers["Clear-Site-Data"] == '"cache", "storage"'
    assert answer.headers["Cache-Control"] == "no-store"
    assert AuditEvent.objects.latest("id").verb == "account.sign_out"


def test_times_are_shown_in_the_persons_own_zone(client, user):
    user.time_zone = "Asia/Tokyo"
    user.save()
    (shown,) = client.get("/accounts/sessions/").context["sessions"]
    page = client.get("/accounts/sessions/").content.decode()
    tokyo = shown["began"].astimezone(ZoneInfo("Asia/Tokyo"))
    assert f"{tokyo:%H:%M}" in page

"""People in a browser: a passkey, the warning before the end, Back after signing out, approval."""

from __future__ import annotations

import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.cookiejar import CookieJar
from urllib.parse import urlencode

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.people import PASSWORD, register, sign_in
from tests.browser.server import Site
from tests.browser.watch import OpenPage, Watch


@pytest.fixture
def by_name(chromium: Browser, site: Site) -> Iterator[BrowserContext]:
    """The site under the name of this machine: a number has no passkeys."""
    address = site.address.replace("127.0.0.1", "localhost")
    context = chromium.new_context(base_url=address, reduced_motion="reduce")
    yield context
    context.close()


def with_authenticator(page: Page) -> None:
    """A device that knows its owner, as Chromium pretends one for tests."""
    session = page.context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    session.send(
        "WebAuthn.addVirtualAuthenticator",
        {
            "options": {
                "protocol": "ctap2",
                "transport": "internal",
                "hasResidentKey": True,
                "hasUserVerification": True,
                "isUserVerified": True,
                "automaticPresenceSimulation": True,
            }
        },
    )


def test_a_passkey_is_made_and_signs_in_without_a_password(by_name: BrowserContext, site: Site):
    page = by_name.new_page()
    watch = Watch(page, str(site.address.replace("127.0.0.1", "localhost")))
    with_authenticator(page)
    person = site.people["manager"]
    sign_in(page, person.email, person.password)
    page.goto("/accounts/2fa/")
    page.get_by_role("button", name="Add a passkey").click()
    # Before a change like this the person is asked for once more.
    page.get_by_label("Password", exact=True).fill(person.password)
    page.get_by_role("button", name="Confirm").click()
    page.get_by_label("A name for it").fill("Reading room")
    page.get_by_role("button", name="Add the passkey").click()
    expect(page.get_by_role("heading", name="Recovery codes")).to_be_visible()
    assert page.locator(".app-codes code").count() == 10
    page.goto("/accounts/2fa/webauthn/")
    expect(page.get_by_text("Reading room").first).to_be_visible()

    page.get_by_role("button", name="Sign out").first.click()
    page.goto("/accounts/login/")
    page.get_by_role("button", name="Use a passkey").click()
    page.wait_for_url(lambda url: "/login/" not in url)
    page.goto("/accounts/sessions/")
    expect(page.get_by_role("heading", name="Where you are signed in")).to_be_visible()

    # With the password it is the second factor.
    page.get_by_role("button", name="Sign out").first.click()
    sign_in(page, person.email, person.password)
    expect(page.get_by_role("heading", name="Second factor")).to_be_visible()
    page.get_by_role("button", name="Use a passkey").click()
    page.wait_for_url(lambda url: "/2fa/authenticate/" not in url)
    page.goto("/accounts/profile/")
    expect(page.get_by_role("heading", name="Your account", level=1)).to_be_visible()
    watch.assert_quiet()


def test_a_device_without_the_passkey_is_told_so(by_name: BrowserContext):
    page = by_name.new_page()
    with_authenticator(page)
    page.goto("/accounts/login/")
    page.get_by_role("button", name="Use a passkey").click()
    expect(page.locator("#passkey-problem")).to_be_visible(timeout=70_000)
    expect(page.locator("#passkey-problem")).to_be_focused()
    assert page.url.endswith("/accounts/login/")


def test_the_end_of_a_session_is_announced_and_can_be_put_off(open_page: OpenPage):
    """The page's own clock is moved; what the site would say then is what it says in its tests."""
    page = open_page("researcher")
    answers = {"left": 290, "extendable": True}
    page.route(
        "**/accounts/session/",
        lambda route: (
            route.continue_() if route.request.method == "POST" else route.fulfill(json=answers)
        ),
    )
    page.goto("/research/")
    dialog = page.get_by_role("alertdialog")
    expect(dialog).to_be_visible()
    expect(dialog).to_contain_text("Time left: 4:")
    assert page.evaluate("document.activeElement.closest('dialog') !== null")
    found = Axe().run(page).response["violations"]
    assert [one["id"] for one in found if one["impact"] in {"serious", "critical"}] == []
    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.keyboard.press("Enter")  # the first button is "Stay signed in"
    expect(dialog).to_be_hidden()


def test_twelve_hours_cannot_be_put_off(open_page: OpenPage):
    page = open_page("researcher")
    page.route(
        "**/accounts/session/",
        lambda route: route.fulfill(json={"left": 120, "extendable": False}),
    )
    page.goto("/research/")
    dialog = page.get_by_role("alertdialog")
    expect(dialog).to_contain_text("nearly 12 hours")
    expect(dialog.get_by_role("button", name="Stay signed in")).to_be_hidden()


def test_back_after_signing_out_shows_nothing(open_page: OpenPage, site: Site):
    page = open_page()
    person = site.people["colleague"]
    sign_in(page, person.email, person.password)
    page.goto("/protocols/")
    page.goto("/accounts/profile/")
    expect(page.get_by_text(person.email)).to_be_visible()
    page.get_by_role("button", name="Sign out").first.click()
    expect(page.get_by_role("link", name="Register").first).to_be_visible()
    for _ in range(2):
        page.go_back()
        page.wait_for_url("**/accounts/login/**")
        assert person.email not in page.content()


def test_approving_takes_three_clicks_from_the_admin_home(open_page: OpenPage, site: Site):
    email = "theo.threeclicks@southbank.example"
    visitor = open_page()
    register(visitor, site, name="Dr Theo Threeclicks", email=email)
    page = open_page("administrator")
    page.goto("/admin/")
    clicks = 0
    for target in (
        page.get_by_role("link", name=re.compile("wait")),
        page.get_by_role("link", name=email),
        page.get_by_role("button", name="Approve"),
    ):
        target.click()
        clicks += 1
    expect(page.get_by_text("Done: Dr Theo Threeclicks")).to_be_visible()
    assert clicks == 3
    sign_in(visitor, email, PASSWORD)
    expect(visitor.get_by_role("heading", name="Studies", level=1)).to_be_visible()


def test_the_limit_on_guesses_holds_over_all_web_processes(site: Site):
    """The site runs two: five wrong passwords, and no process takes the right one."""
    person = site.people["second"]

    def tries(password: str, number: int) -> str:
        jar = CookieJar()
        opened = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(jar)
        )
        page = opened.open(f"{site.address}/accounts/login/", timeout=30).read().decode()
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
        assert token is not None
        form = {"login": person.email, "password": password, "csrfmiddlewaretoken": token[1]}
        headers = {"X-Forwarded-For": f"198.51.100.{number}", "Connection": "close"}
        request = urllib.request.Request(  # noqa: S310  (http)
            f"{site.address}/accounts/login/", urlencode(form).encode(), headers
        )
        try:
            return opened.open(request, timeout=30).geturl()
        except urllib.error.HTTPError as error:
            with error:
                return f"status {error.code}"

    for number in range(16):
        assert tries(f"guess-{number}", number).endswith("/accounts/login/")
    assert tries(person.password, 99).endswith("/accounts/login/")

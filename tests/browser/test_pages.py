"""Every main page: for everybody, within its width, light, and alone with its own server."""

from __future__ import annotations

import gzip
from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Response, expect

from tests.browser.people import NEWCOMER
from tests.browser.server import Site
from tests.browser.watch import OpenPage, Watch

#: Who looks, and where; {study} and {upload} are addresses of the analysed study's pages.
PAGES = {
    "landing": ("", "/"),
    "sign in": ("", "/accounts/login/"),
    "sign up": ("", "/accounts/signup/"),
    "password reset": ("", "/accounts/password/reset/"),
    "waiting": (NEWCOMER, "/accounts/waiting/"),
    "password change": ("consultant", "/accounts/password/change/"),
    "email addresses": ("consultant", "/accounts/email/"),
    "account": ("consultant", "/accounts/profile/"),
    "second factor": ("consultant", "/accounts/2fa/"),
    "sessions": ("consultant", "/accounts/sessions/"),
    "colleagues": ("consultant", "/accounts/directory/"),
    "invite": ("consultant", "/accounts/invite/"),
    "close account": ("consultant", "/accounts/close/"),
    "interest": ("", "/accounts/interest/"),
    "invitation ended": ("", "/accounts/invited/old/"),
    "trusts": ("manager", "/admin/accounts/trust/"),
    "appointments": ("administrator", "/admin/accounts/appointment/"),
    "person": ("administrator", "/admin/accounts/user/1/change/"),
    "cohorts": ("researcher", "/research/"),
    "research projects": ("researcher", "/research/projects/"),
    "new research project": ("researcher", "/research/projects/new/"),
    "research requests": ("consultant", "/research/requests/"),
    "api": ("", "/api/v1/docs/"),
    "keys for programs": ("researcher", "/accounts/keys/"),
    "terms": ("", "/accounts/policies/terms/"),
    "privacy": ("", "/accounts/policies/privacy/"),
    "cookies": ("", "/cookies/"),
    "accessibility": ("", "/accessibility/"),
    "intended use": ("", "/intended-use/"),
    "not found": ("consultant", "/studies/not-there/"),
    "administration": ("administrator", "/admin/"),
    "people": ("administrator", "/admin/accounts/user/"),
    "home": ("consultant", "/"),
    "upload": ("consultant", "{upload}"),
    "study": ("consultant", "{study}"),
    "notifications": ("consultant", "/notifications/"),
    "workspace": ("consultant", "{study}workspace/"),
    "values": ("consultant", "{study}segments/"),
    "share": ("consultant", "{study}share/"),
    "comments": ("consultant", "{study}comments/"),
    "feedback": ("consultant", "/accounts/feedback/"),
    "overview": ("administrator", "/admin/overview/"),
    "filtered list": ("consultant", "/?state=signed"),
    "report, being written": ("consultant", "{study}report/"),
    "report": ("consultant", "{report}"),
    "analyse again": ("consultant", "{study}run/options/"),
    "protocols": ("consultant", "/protocols/"),
    "new protocol": ("consultant", "/protocols/new/"),
}
DESK, TABLET, TELEPHONE = 1280, 1024, 390
#: A window of 1280 pixels at 400 %, see WCAG 2.2, 1.4.10 (reflow).
MAGNIFIED = 320
MOST_BYTES = 150_000
OPEN_ALL = """
    for (const one of document.querySelectorAll("details"))
        if (one.checkVisibility()) one.open = true;
"""


@pytest.fixture(scope="module")
def weights() -> Iterator[dict[str, dict[str, int]]]:
    """Bytes of each page by kind; shown at the end."""
    found: dict[str, dict[str, int]] = {}
    yield found
    print("\nPage weights in bytes, compressed, before images:")
    for name, kinds in found.items():
        parts = ", ".join(f"{kind} {size}" for kind, size in kinds.items())
        print(f"{sum(kinds.values()):>8}  {name}: {parts}")


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.usefixtures("sent")
def test_a_page_is_fit_to_be_used(name, request, open_page: OpenPage, weights):
    who, path = PAGES[name]
    if "{" in path:
        path = path.format(**request.getfixturevalue("analysed"))
    page = open_page(who, width=DESK)
    answers: list[Response] = []
    page.on("response", lambda answer: answers.append(answer))
    # Pages of people who are signed in ask for parts of themselves.
    page.goto(path, wait_until="networkidle" if who else "load")
    weights[name] = _weight(answers)
    assert sum(weights[name].values()) < MOST_BYTES
    # What can be opened is part of the page, and stays open when the window gets narrower.
    page.evaluate(OPEN_ALL)
    page.wait_for_load_state("networkidle")
    for width in (DESK, TABLET, TELEPHONE, MAGNIFIED):
        page.set_viewport_size({"width": width, "height": 900})
        # The menu folds what does not fit, once the window has told it of its new width.
        page.wait_for_function("width => document.documentElement.scrollWidth <= width", arg=width)
        if width in (DESK, TELEPHONE):
            assert _barriers(page) == []
    assert page.locator("h1").count() == 1
    assert "CoreCMR" in page.title()


def test_a_page_with_errors_is_fit_to_be_used(open_page: OpenPage):
    page = open_page()
    page.goto("/accounts/signup/")
    page.get_by_role("main").get_by_role("button", name="Register").click()
    summary = page.locator(".nhsuk-error-summary")
    expect(summary).to_be_focused()
    assert page.title().startswith("Error: ")
    assert _barriers(page) == []
    # Each sentence leads to the control it is about.
    links = summary.get_by_role("link").all()
    assert len(links) == 8
    for link in links:
        link.click()
        target = str(link.get_attribute("href")).removeprefix("#")
        expect(page.locator(f"[id='{target}']")).to_be_focused()


def test_what_the_policy_forbids_is_noticed(chromium: Browser, site: Site):
    """That nothing is heard from the other pages means something only if this is heard."""
    page = chromium.new_page(base_url=site.address)
    watch = Watch(page, site.address)
    page.goto("/")
    watch.assert_quiet()
    with page.expect_console_message(lambda message: "img-src" in message.text):
        page.evaluate(
            """() => {
                const script = document.createElement('script');
                script.textContent = 'document.title = "changed"';
                document.head.append(script);
                const image = new Image();
                image.src = 'https://elsewhere.example/';
                document.body.append(image);
            }"""
        )
    assert "changed" not in page.title()
    assert ["script-src" in said or "img-src" in said for said in watch.complaints] == [True, True]
    page.close()


def _weight(answers: list[Response]) -> dict[str, int]:
    """Bytes on the wire; CSS and JS as the production site compresses them beforehand."""
    sizes = {"HTML": 0, "CSS": 0, "JS": 0}
    for answer in answers:
        kind = answer.request.resource_type
        if kind == "document":
            sizes["HTML"] += int(answer.headers["content-length"])
        elif kind in {"stylesheet", "script"}:
            name = "CSS" if kind == "stylesheet" else "JS"
            sizes[name] += len(gzip.compress(answer.body(), 9))
    return sizes


def _barriers(page: Page) -> list[str]:
    """What axe calls serious or critical, with the places."""
    # Forms of Django's admin import a style sheet, which axe would copy into the page to look at
    # it; the site's policy forbids that.
    options = {"preload": "/admin/" not in page.url}
    found = Axe().run(page, options=options).response["violations"]
    return [
        f"{one['id']}: {node['target']} {node['html'][:120]}"
        for one in found
        if one["impact"] in {"serious", "critical"}
        for node in one["nodes"]
    ]

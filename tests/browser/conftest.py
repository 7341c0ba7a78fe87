"""The running site, Chromium, and pages whose every request and complaint is watched.

All of it lives as long as the tests of this folder and no longer: Playwright keeps an event
loop in this thread, in which Django would refuse the database to other tests.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from processing.mcaq.phantom import make_study
from processing.phantom_dicom import write_study
from scripts.visitor import Visitor
from tests.browser.people import FRAMES, NAME, NEWCOMER, PASSWORD, register, sign_in
from tests.browser.server import Site, running_site
from tests.browser.watch import OpenPage, Watch
from tests.waiting import ANALYSIS_SECONDS, wait_for

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
PATIENCE_MS = 15_000


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker("browser")


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    if not CHROMIUM.exists():
        pytest.skip("needs Debian package chromium")
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def site(chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running_site(tmp_path_factory.mktemp("site")) as running:
        yield running


@pytest.fixture(scope="package")
def sessions(site: Site) -> dict[str, dict]:
    """Cookies of the people who have signed in already, by their key."""
    return {}


@pytest.fixture
def open_page(chromium: Browser, site: Site, sessions: dict[str, dict]) -> Iterator[OpenPage]:
    """Opens a page of the site, signed in as ``who`` if someone is named.

    At the end of the test nothing may have been asked of another host, and the browser may have
    complained of nothing but pages that are not there.
    """
    contexts: list[BrowserContext] = []
    watches: list[Watch] = []

    def open_(
        who: str = "", *, width: int = 1280, script: bool = True, answers: tuple[int, ...] = ()
    ) -> Page:
        if who and who not in sessions:
            sessions[who] = _session_of(who, chromium, site)
        context = chromium.new_context(
            base_url=site.address,
            viewport={"width": width, "height": 900},
            java_script_enabled=script,
            storage_state=sessions.get(who),
            reduced_motion="reduce",
        )
        context.set_default_timeout(PATIENCE_MS)
        contexts.append(context)
        page = context.new_page()
        watches.append(Watch(page, site.address, answers))
        return page

    yield open_
    for context in contexts:
        context.close()
    for watch in watches:
        watch.assert_quiet()


def _session_of(who: str, browser: Browser, site: Site) -> dict:
    """Cookies of a person of the site, or of NEWCOMER, who registers and waits for approval."""
    context = browser.new_context(base_url=site.address)
    try:
        page = context.new_page()
        if who == NEWCOMER:
            email = "nadia.newcomer@southbank.example"
            register(page, site, name="Dr Nadia Newcomer", email=email)
            sign_in(page, email, PASSWORD)
        else:
            sign_in(page, site.people[who].email, site.people[who].password)
        page.wait_for_url(lambda url: "/login/" not in url)
        return context.storage_state()
    finally:
        context.close()


@pytest.fixture(scope="package")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a study of NAME, as somebody would export it: small, but with every slice."""
    folder = tmp_path_factory.mktemp("export")
    phantom = make_study(5, frames=FRAMES, rows=112, cols=96, pixel_mm=2.8)
    written = write_study(phantom, folder, patient_name=NAME)
    assert len(written) == 6 * FRAMES
    return folder


@pytest.fixture(scope="package")
def sent(site: Site, export: Path) -> tuple[Visitor, str]:
    """The export, sent for the first trust; it is checked and analysed while tests go on."""
    files = [path for path in export.rglob("*") if path.is_file()]
    visitor = Visitor(site.address)
    person = site.people["consultant"]
    visitor.sign_in(person.email, person.password)
    begun = visitor.post_form("/uploads/", {})
    received = list(visitor.send_files(begun["files_url"], files, export))[-1]
    upload = visitor.post_form(begun["complete_url"], {"sent": str(received)})["url"]
    return visitor, str(upload)


@pytest.fixture(scope="package")
def analysed(site: Site, sent: tuple[Visitor, str]) -> dict[str, str]:
    """Addresses of the upload that was sent, its study with a result, and a draft report on it."""
    visitor, upload = sent

    def studies() -> list[dict[str, str]]:
        site.children.check()
        return visitor.get_json(f"{upload}status.json")["studies"]

    def has_result() -> bool:
        site.children.check()
        return visitor.get_json(f"{study}status.json")["has_result"]

    study = wait_for(studies, "the upload is checked", ANALYSIS_SECONDS)[0]["url"]
    wait_for(has_result, "the study is analysed", ANALYSIS_SECONDS)
    page = visitor.post_page(f"{study}report/", {"text": "Flow is even.", "do": "save"})
    report = re.search(r"/reports/\w+/", page)
    assert report is not None
    return {"upload": upload, "study": study, "report": report[0]}

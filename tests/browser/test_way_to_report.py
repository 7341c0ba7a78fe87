"""The consultant's journey: from a folder to a signed report and a second opinion, in clicks."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from processing.mcaq.phantom import make_study
from processing.phantom_dicom import write_study
from tests.browser.people import FRAMES, sign_in
from tests.browser.server import Site
from tests.browser.test_walk import drop
from tests.browser.watch import OpenPage
from tests.waiting import ANALYSIS_SECONDS

MOST_CLICKS = 22


class Hand:
    """Counts what is clicked, chosen and dropped."""

    def __init__(self) -> None:
        self.clicks = 0

    def click(self, what: Locator) -> None:
        what.click()
        self.clicks += 1

    def choose(self, what: Locator, value: str) -> None:
        what.select_option(value)
        self.clicks += 1

    def tick(self, what: Locator) -> None:
        what.check()
        self.clicks += 1


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another patient than in the other tests: stress and rest of three slices."""
    folder = tmp_path_factory.mktemp("journey")
    phantom = make_study(11, frames=FRAMES, rows=112, cols=96, pixel_mm=2.8)
    write_study(phantom, folder, patient_name="JOURNEY^JANE")
    return folder


def test_from_a_folder_to_a_signed_report_and_a_second_opinion(
    open_page: OpenPage, site: Site, folder: Path
):
    hand, page = Hand(), open_page()
    person = site.people["consultant"]
    sign_in(page, person.email, person.password)  # 1: fields, and the button
    hand.clicks += 1
    expect(page.get_by_role("heading", name="Studies", level=1)).to_be_visible()

    drop(page, folder)  # 2, 3: what is in it is read before anything is sent
    hand.clicks += 1
    send = page.get_by_role("button", name=f"Upload {6 * FRAMES} files")
    send.wait_for()
    expect(page.get_by_text("JOURNEY, JANE").first).to_be_visible()
    hand.click(send)  # 4, 5
    page.wait_for_url("**/uploads/*/")
    link = page.locator("main a[href^='/studies/']").first
    expect(link).to_be_visible(timeout=ANALYSIS_SECONDS * 1000)  # 6: it goes on by itself
    study = str(link.get_attribute("href"))
    hand.click(link)
    expect(page.get_by_role("heading", name="Flow maps")).to_be_visible(
        timeout=ANALYSIS_SECONDS * 1000
    )
    expect(page.get_by_role("heading", name="Quality of this result")).to_be_visible()  # 7

    hand.click(page.get_by_role("button", name="Open in the workspace"))  # 8
    expect(page.locator("#workspace[data-ready]")).to_be_visible()
    hand.click(page.locator("[data-segment='1']"))
    expect(page.locator("#ws-sentence")).to_contain_text("The fitted curve leaves")
    hand.click(page.get_by_role("link", name="Comment on this place"))  # 9
    page.get_by_label("Comment", exact=True).fill("The edge moves here; flow is believable.")
    hand.click(page.get_by_role("button", name="Keep the comment"))
    expect(page.get_by_text("1 Basal anterior")).not_to_have_count(0)

    hand.click(page.get_by_role("link", name="Accept the values, or set some aside"))
    hand.choose(page.get_by_label("Mid inferior, stress"), "dark_rim")
    hand.click(page.get_by_role("button", name="Keep, and accept all the rest"))
    expect(page.get_by_text("1 set aside")).to_be_visible()

    hand.click(page.get_by_role("button", name="Write the report"))  # 10
    text = page.get_by_label("The report")
    expect(text).to_have_value(re.compile(r"not counted: Mid inferior at stress \(dark rim"))
    text.fill(f"{text.input_value()}\nNo territory stands out.")
    hand.click(page.get_by_role("button", name="Save and sign"))
    expect(page.get_by_text("The report is signed.")).to_be_visible()
    hand.click(page.get_by_role("link", name="Back to the study", exact=False).or_(
        page.locator(".nhsuk-back-link")).first)  # fmt: skip

    _asks(page, hand, site)  # 12
    _answers(open_page)
    page.goto("/")
    expect(page.locator("#worklist").get_by_text("Report signed").first).to_be_visible()
    page.goto(study)
    expect(page.get_by_text("No perfusion defect seen")).to_be_visible()
    page.goto("/notifications/")
    expect(page.get_by_text("Your question about a study was answered").first).to_be_visible()
    print(f"\n{hand.clicks} clicks from signing in to the question sent")
    assert hand.clicks <= MOST_CLICKS


def _asks(page: Page, hand: Hand, site: Site) -> None:
    hand.click(page.get_by_role("button", name="Share", exact=True))
    page.get_by_label("Or one colleague's work email address").fill(site.people["colleague"].email)
    page.get_by_label("Why you share it").fill("second opinion")
    page.get_by_label("A question to them").fill("Is flow in the lateral wall believable?")
    hand.click(page.get_by_role("main").get_by_role("button", name="Share", exact=True))
    expect(page.get_by_text("Shared with")).not_to_have_count(0)


def _answers(open_page: OpenPage) -> None:
    other = open_page("colleague")
    other.goto("/")
    other.get_by_role("link", name="Question from Northside NHS Trust").first.click()
    other.get_by_label("Good", exact=True).check()
    other.get_by_label("No perfusion defect seen").check()
    other.get_by_role("button", name="Sign and send the answer").click()
    expect(other.get_by_text("Your answer is signed and has gone back.")).to_be_visible()

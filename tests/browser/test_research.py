"""A researcher's way from a question to a file, through a project that trusts decide on."""

from __future__ import annotations

import io
import json
import zipfile
from datetime import timedelta
from pathlib import Path

from django.utils import timezone
from playwright.sync_api import Page, expect

from tests.browser.watch import OpenPage


class Clicks:
    """Counts what a person presses."""

    def __init__(self, page: Page) -> None:
        self.page, self.count = page, 0

    def press(self, name: str, role: str = "button", **options: object) -> None:
        self.page.get_by_role(role, name=name, **options).click()
        self.count += 1

    def tick(self, name: str) -> None:
        self.page.get_by_label(name, exact=True).check()
        self.count += 1


def studies(page: Page) -> int:
    text = page.locator("#cohort .app-counts dd").first.inner_text()
    return int(text)


def test_from_a_question_to_a_file(open_page: OpenPage, tmp_path: Path):
    page = open_page("researcher")
    hand = Clicks(page)
    page.goto("/")
    expect(page.get_by_role("heading", name="Cohorts", level=1)).to_be_visible()
    every = studies(page)
    assert every >= 60

    # Counts follow the filters without a new page.
    hand.tick("Female")
    expect(page.locator("#cohort .app-counts dd").first).not_to_have_text(str(every))
    women = studies(page)
    assert 5 <= women < every
    assert "sex=F" in page.url

    # A bar of a histogram is a filter.
    bar = page.locator("svg[aria-label='Age, years'] a:not([aria-label*='fewer'])").first
    told = int((bar.get_attribute("aria-label") or "").rpartition(": ")[2])
    bar.click()
    hand.count += 1
    expect(page.get_by_text("take away")).to_be_visible()
    assert studies(page) == told
    page.get_by_role("link", name="take away").click()
    hand.count += 1

    # A project of one's own, and a trust that says yes.
    page.goto("/research/projects/new/")
    page.get_by_label("Name of the project").fill("Flow in women")
    page.get_by_label("Purpose").fill("Whether flow falls with age; flow by segment.")
    page.get_by_label("Ethics approval").fill("REC 24/LO/0123")
    page.get_by_label("Ends on").fill(str(timezone.localdate() + timedelta(days=200)))
    hand.tick("Southbank NHS Trust")
    hand.press("Ask the trusts")
    expect(page.get_by_text("The trusts are asked.")).to_be_visible()
    expect(page.get_by_role("cell", name="Asked")).to_be_visible()
    trust = open_page("colleague")
    trust.goto("/research/requests/")
    trust.get_by_role("button", name="Take part Flow in women", exact=True).click()
    expect(trust.get_by_text("Your trust takes part.")).to_be_visible()
    page.reload()
    expect(page.get_by_role("cell", name="Allowed")).to_be_visible()

    # The cohort is kept, opened again, and exported as a package.
    page.goto("/research/?sex=F")
    keep = page.locator("form[action='/research/cohorts/']")
    keep.get_by_label("Project").select_option("Example project")
    keep.get_by_label("Name of the cohort").fill("Women")
    hand.press("Keep", exact=True)
    expect(page.get_by_text("Kept as Women, version 1.")).to_be_visible()
    page.get_by_role("link", name="Women").click()
    hand.count += 1
    assert studies(page) == women
    export = page.locator("form[action='/research/export/']")
    export.get_by_label("Project").select_option("Example project")
    export.get_by_label("Study", exact=True).check()
    export.get_by_label("A package: table, data dictionary, checksums, citation").check()
    export.get_by_label("What the data is for").fill("First look, REC 24/LO/0123")
    hand.count += 2
    with page.expect_download() as begun:
        hand.press("Export", exact=True)
    path = tmp_path / "package.zip"
    begun.value.save_as(path)
    with zipfile.ZipFile(io.BytesIO(path.read_bytes())) as archive:
        names = {name.rpartition("/")[2]: name for name in archive.namelist()}
        assert set(names) == {
            "studies.csv", "datapackage.json", "definition.json", "README.txt", "SHA256SUMS",
        }  # fmt: skip
        assert json.loads(archive.read(names["definition.json"])) == {"filters": {"sex": ["F"]}}
        lines = archive.read(names["studies.csv"]).decode().splitlines()
        assert len(lines) == women + 1
        assert "Cite as:" in archive.read(names["README.txt"]).decode()
    print(f"\nclicks from question to file: {hand.count}")
    assert hand.count <= 24

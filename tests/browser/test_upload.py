"""The way in, in the browser: listed before it is sent, taken up again, taken back."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from scripts.drill.intake_browser import drop, drop_and_send
from tests.browser.watch import OpenPage
from tests.dicom.make import CT, film, image, save
from tests.waiting import wait_for

SNEAKY = "<b onclick>^<script>"


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two patients, a CT, an empty file and a letter."""
    folder = tmp_path_factory.mktemp("two") / "CD"
    for name in ("one", "two"):
        (folder / name).mkdir(parents=True)
    told = {"InstitutionName": "Invented General", "AccessionNumber": "A17"}
    save(
        film(12, StudyInstanceUID="1.2.3.901", PatientID="INV901", PatientName=SNEAKY, **told),
        folder / "one",
    )
    save(film(11, StudyInstanceUID="1.2.3.902", PatientID="INV902"), folder / "two")
    image(StudyInstanceUID="1.2.3.901", SeriesInstanceUID="1.2.3.9", PatientID="INV901",
          PatientName=SNEAKY, SOPClassUID=CT, Modality="CT", SeriesNumber=9,
          SeriesDescription="Thorax").save_as(folder / "ct", enforce_file_format=True)  # fmt: skip
    (folder / "letter.txt").write_text("Dear colleague, thank you for sending this patient.")
    (folder / "nothing").write_bytes(b"")
    return folder


def choose(page: Page, folder: Path) -> None:
    with page.expect_file_chooser() as asked:
        page.get_by_role("button", name="Choose folder").click()
    asked.value.set_files(folder)


def test_what_is_in_a_folder_is_seen_before_anything_is_sent(open_page: OpenPage, export):
    page = open_page("consultant")
    page.goto("/")
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.method))
    drop(page, export)
    expect(page.locator("#upload-chosen")).to_contain_text("23 files chosen")
    expect(page.get_by_text("These files are of 2 patients.")).to_be_visible()
    first = page.get_by_role("group", name=re.compile("INV901"))
    # What stands in a file is text, whatever it looks like.
    expect(first).to_have_accessible_name(re.compile("<b onclick>, <script>"))
    expect(first.get_by_label(re.compile("Series 9: Thorax"))).not_to_be_checked()
    second = page.get_by_role("group", name=re.compile("INV902"))
    second.get_by_label(re.compile("Examination of 14 May 2024")).uncheck()
    expect(second.get_by_label(re.compile("Series 4"))).not_to_be_checked()
    expect(page.locator("#upload-send")).to_have_text("Upload 12 files")
    first.get_by_label(re.compile("Series 9: Thorax")).check()
    expect(page.locator("#upload-send")).to_have_text("Upload 13 files")
    expect(page.get_by_text("letter.txt is not a DICOM file. It is not sent.")).to_be_visible()

    page.get_by_text("What is removed before anything is stored").click()
    table = page.get_by_role("table", name="What is removed from this file")
    for name, value, instead in (
        ("Patient’s Name", SNEAKY, "stand-in"),
        ("Institution Name", "Invented General", "Removed"),
        ("Accession Number", "A17", "Left empty"),
        ("Study Date", "20240514", "Moved back"),
    ):
        row = table.get_by_role("row").filter(has_text=name)
        expect(row).to_contain_text(value)
        expect(row).to_contain_text(instead)
    assert set(sent) <= {"GET"}, "nothing leaves the page before the button is pressed"


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three large files and two small ones: four parts, of several pieces each."""
    folder = tmp_path_factory.mktemp("large") / "disc"
    folder.mkdir()
    for number in range(5):
        size = 20_000_000 if number < 3 else 100_000
        ds = image(SOPInstanceUID=f"1.2.3.{number}", StudyInstanceUID="1.2.3.903")
        ds.PixelData = bytes([number]) * size
        ds.save_as(folder / f"IM{number}", enforce_file_format=True)
    return folder


def test_an_upload_goes_on_after_the_page_was_loaded_again(open_page: OpenPage, large):
    page = open_page("consultant")
    page.goto("/")
    pieces = {"taken": 0, "held": 0}

    def hold_back(route: Route) -> None:
        """The line dies after some pieces: they arrive, and no further one leaves the browser."""
        if route.request.method == "PATCH" and pieces["taken"] >= 4:
            pieces["held"] += 1
            return
        pieces["taken"] += route.request.method == "PATCH"
        route.continue_()

    page.route("**/parts/**", hold_back)
    choose(page, large)
    page.get_by_role("button", name="Upload 5 files").click()
    wait_for(lambda: page.evaluate("1") and pieces["held"], "the line is dead")
    page.on("dialog", lambda dialog: dialog.accept())
    page.reload()
    page.unroute_all()
    listed = page.get_by_role("link", name=re.compile("Upload of"))
    expect(page.get_by_text("Receiving files")).to_be_visible()
    address = listed.first.get_attribute("href")

    again: list[int] = []
    page.on(
        "request",
        lambda request: again.append(int(request.headers.get("upload-offset", "-1")))
        if request.method == "PATCH" else None,
    )  # fmt: skip
    choose(page, large)
    page.get_by_role("button", name="Upload 5 files").click()
    page.wait_for_url("**/uploads/*/")
    assert page.url.endswith(str(address)), "it is the same upload"
    state = page.request.get(f"{address}status.json").json()
    assert state["total"] == 5
    whole = 3 * 3 + 1  # pieces of 8 MB, from the beginning
    assert len(again) < whole


def test_an_upload_is_withdrawn_while_it_waits(open_page: OpenPage, export):
    page = open_page("consultant")
    page.goto("/")
    choose(page, export)
    page.get_by_role("button", name="Upload 23 files").click()
    page.wait_for_url("**/uploads/*/")
    address = page.url
    page.get_by_role("button", name="Withdraw this upload").click()
    expect(page.get_by_text("The upload was withdrawn. Nothing of it is kept.")).to_be_visible()
    assert page.request.get(address).status == 404


def test_hundreds_of_files_do_not_hold_up_the_page(chromium, site, tmp_path):
    folder = tmp_path / "many"
    folder.mkdir()
    frames = film(400, StudyInstanceUID="1.2.3.904", PatientID="INV904")
    save(frames, folder)
    seen = drop_and_send(chromium, site, folder, lambda what: None)
    assert (seen["listed"], seen["stored"], seen["judged"]) == (400, 400, 400)
    # In time of the processor, since other programs may keep this machine busy.
    assert seen["busy"] < 100

"""Two examinations in one folder: asked about on the upload's page, answered without JavaScript."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.watch import OpenPage
from tests.dicom.make import film, save
from tests.waiting import ANALYSIS_SECONDS, wait_for

PATIENT = {"PatientID": "INV0078", "PatientAge": "063Y", "PatientSex": "F"}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Stress and rest of one patient, filed as two examinations of one day."""
    folder = tmp_path_factory.mktemp("apart")
    paths = []
    for number, words in ((1, "Stress perfusion"), (2, "Rest perfusion")):
        made = film(
            12, series=f"7{number}", StudyInstanceUID=f"1.2.3.78.{number}",
            SeriesDescription=words, StudyTime=f"1{number}1500", **PATIENT,
        )  # fmt: skip
        for n, path in enumerate(save(made, folder / str(number))):
            paths.append(path.rename(folder / f"IM_{number}{n:03d}"))
    return paths


def test_one_patient_filed_as_two_keeps_both(open_page: OpenPage, files):
    page = open_page("consultant", script=False)
    page.goto("/")
    page.locator("input[type=file][name=files]:visible").first.set_input_files(files)
    page.locator("form:has(input[name=files]) button[type=submit]:visible").first.click()
    page.wait_for_url("**/uploads/*/")
    question = page.get_by_role("group", name="These files are 2 examinations of one patient")

    def asked() -> bool:
        page.reload()
        return question.is_visible()

    wait_for(asked, "the question", ANALYSIS_SECONDS)
    boxes = question.get_by_role("checkbox")
    expect(boxes).to_have_count(2)
    for number in range(2):
        expect(boxes.nth(number)).to_be_checked()
        boxes.nth(number).uncheck()
    page.get_by_role("button", name="Keep the chosen examinations").click()
    expect(page.get_by_role("alert")).to_contain_text("Choose the examinations to keep")
    question.get_by_role("checkbox").nth(0).check()
    question.get_by_role("checkbox").nth(1).check()
    page.get_by_role("button", name="Keep the chosen examinations").click()

    def understood() -> bool:
        page.reload()
        return page.get_by_role("heading", name="What was understood").is_visible()

    wait_for(understood, "both studies", ANALYSIS_SECONDS)
    expect(page.get_by_role("button", name="Open study")).to_have_count(2)

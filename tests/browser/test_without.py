"""Without a mouse, and without JavaScript: everything can still be done."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.people import FRAMES
from tests.browser.watch import OpenPage
from tests.dicom.make import film, save
from tests.waiting import ANALYSIS_SECONDS, wait_for

MOST_TABS = 150


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One slice over some beats: enough to be taken, of another patient than the other tests'."""
    folder = tmp_path_factory.mktemp("slice")
    frames = film(12, StudyInstanceUID="1.2.3.77", PatientID="INV0077")
    save(frames, folder)
    return folder


def test_a_folder_is_sent_by_keyboard_alone(open_page: OpenPage, folder):
    page = open_page("consultant")
    # Chooser windows are caught from the start on: the wish to catch one takes a while to arrive.
    page.on("filechooser", lambda chooser: None)
    page.goto("/")
    tab_to(page, "#choose-folder")
    with page.expect_file_chooser() as asked:
        page.keyboard.press("Enter")
    asked.value.set_files(folder)
    expect(page.locator("#upload-chosen")).to_be_focused()
    expect(page.locator("#upload-chosen")).to_contain_text("12 files chosen")
    tab_to(page, "#upload-send")
    page.keyboard.press("Enter")
    page.wait_for_url("**/uploads/*/")
    expect(page.get_by_role("heading", name="What was understood")).to_be_visible(
        timeout=ANALYSIS_SECONDS * 1000
    )
    tab_to(page, "main a[href^='/studies/']")
    page.keyboard.press("Enter")
    page.wait_for_url("**/studies/*/")


def test_films_are_worked_by_keyboard_alone(open_page: OpenPage, analysed):
    page = open_page("consultant")
    page.goto(analysed["study"])
    films = page.locator("video[data-cine]")
    frame = page.locator("#cine-frame")
    expect(frame).to_have_text(f"Frame 1 of {FRAMES}")
    tab_to(page, "#cine-play")
    page.keyboard.press("Space")
    for film_ in films.all():
        expect(film_).to_have_js_property("paused", False)
    expect(frame).not_to_have_text(f"Frame 1 of {FRAMES}")
    page.keyboard.press("Space")
    for film_ in films.all():
        expect(film_).to_have_js_property("paused", True)
    tab_to(page, "#cine-position")
    page.keyboard.press("Home")
    expect(frame).to_have_text(f"Frame 1 of {FRAMES}")
    page.keyboard.press("ArrowRight")
    expect(frame).to_have_text(f"Frame 2 of {FRAMES}")
    page.keyboard.press("Shift+Tab")
    expect(page.locator("#cine-on")).to_be_focused()
    page.keyboard.press("Enter")
    expect(frame).to_have_text(f"Frame 3 of {FRAMES}")
    page.keyboard.press("ArrowLeft")
    expect(frame).to_have_text(f"Frame 2 of {FRAMES}")
    times = [film_.evaluate("video => video.currentTime / video.duration") for film_ in films.all()]
    assert times == pytest.approx([1.5 / FRAMES] * 6, abs=0.01)
    tab_to(page, "#cine-speed")
    page.keyboard.press("ArrowDown")
    tab_to(page, "#cine-play", back=True)
    page.keyboard.press("Space")
    for film_ in films.all():
        expect(film_).to_have_js_property("playbackRate", 2)
    page.keyboard.press("Space")


@pytest.mark.parametrize("path", ["/", "{study}", "{study}share/"])
def test_the_focus_is_always_seen(open_page: OpenPage, analysed, path):
    page = open_page("consultant")
    page.goto(path.format(**analysed), wait_until="networkidle")
    seen = 0
    for _ in range(MOST_TABS):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement === document.body"):
            break
        seen += 1
        assert _shows_focus(page), page.evaluate("document.activeElement.outerHTML.slice(0, 300)")
    assert 12 < seen < MOST_TABS
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to main content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("main")).to_be_focused()


def test_the_form_works_without_javascript(open_page: OpenPage, folder, analysed):
    page = open_page("consultant", script=False)
    page.goto("/")
    expect(page.get_by_role("button", name="Choose folder")).to_be_hidden()
    page.get_by_role("button", name="Upload").click()
    expect(page.get_by_role("alert")).to_contain_text("No file was sent.")
    page.get_by_label("The study’s DICOM files").set_input_files(sorted(folder.iterdir()))
    page.get_by_role("button", name="Upload").click()
    page.wait_for_url("**/uploads/*/")

    def understood() -> bool:
        page.reload()
        return page.get_by_role("heading", name="What was understood").is_visible()

    wait_for(understood, "the files are checked", ANALYSIS_SECONDS)
    page.get_by_role("button", name="Open study").click()
    page.get_by_role("link", name="State of the analysis").click()
    expect(page.get_by_role("heading", name="Analysis", exact=True)).to_be_visible()
    # Films have the browser's own controls then.
    page.goto(analysed["study"])
    assert page.locator("video[data-cine][controls]").count() == 6


def test_a_protocol_is_written_and_chosen_without_javascript(open_page: OpenPage, analysed):
    page = open_page("consultant", script=False)
    page.goto("/protocols/")
    page.get_by_role("button", name="Add a protocol").click()
    page.get_by_label("Name").fill("Written without a script")
    page.get_by_label("Only when a person chooses it").check()
    page.get_by_label("Haematocrit").fill("42")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert")).to_contain_text("Haematocrit: 42 cannot be right")
    page.get_by_label("Haematocrit").fill("0.42")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", name="Written without a script")).to_be_visible()
    page.goto(f"{analysed['study']}run/options/")
    page.get_by_label("Protocol").select_option(label="Written without a script, version 1")
    page.get_by_label("All slices, rest: One frame every (s)").fill("0.05")
    page.get_by_role("button", name="Analyse again").click()
    expect(page.get_by_role("alert")).to_contain_text("All slices, rest: one frame every (s): 0.05")
    # What was chosen is still there.
    expect(page.get_by_label("Protocol").locator("option:checked")).to_have_text(
        "Written without a script, version 1"
    )


def tab_to(page: Page, selector: str, *, back: bool = False) -> None:
    """Press Tab until the control has the focus, as somebody would who sees where it is."""
    for _ in range(MOST_TABS):
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            assert _shows_focus(page)
            return
        page.keyboard.press("Shift+Tab" if back else "Tab")
    raise AssertionError(f"The keyboard does not reach {selector}.")


def _shows_focus(page: Page) -> bool:
    """Whether the focused control, or what stands for it, looks different without the focus."""
    return page.evaluate(
        """() => {
            const control = document.activeElement;
            const parts = [control, control.nextElementSibling, ...control.querySelectorAll('*')];
            const look = () => parts.filter(Boolean).flatMap((part) => ['', '::before', '::after']
                .map((pseudo) => getComputedStyle(part, pseudo))
                .map((style) => [style.outline, style.boxShadow, style.backgroundColor,
                    style.color, style.stroke, style.strokeWidth, style.textDecorationLine,
                    style.clipPath].join())).join('|');
            const focused = look();
            control.blur();
            const plain = look();
            control.focus({ focusVisible: true, preventScroll: true });
            return focused !== plain;
        }"""
    )

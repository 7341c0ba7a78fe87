"""A film of the phantom's way through the portal: `make walkthrough` writes var/walkthrough.mp4.

Taken from a demo of its own in headless Chromium, as the pictures of README.md are.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import imageio.v2 as imageio
import numpy as np
from numpy.typing import NDArray
from playwright.sync_api import Page, sync_playwright

from scripts.pictures import CHROMIUM, FLAGS, Site, await_ready, decoded, own_folder
from scripts.steps import CHECKOUT, StepError, Steps, told_to_stop

WIDTH, HEIGHT = 1280, 800
FRAMES_PER_SECOND = 4
#: So long a reader looks at each step.
SECONDS_A_STEP = 3
Frame = NDArray[np.uint8]


def main() -> int:
    if not CHROMIUM.exists():
        print("Chromium is needed: apt-get install chromium", file=sys.stderr)
        return 1
    target = Path(os.environ.get("CORECMR_VAR_DIR") or CHECKOUT / "var") / "walkthrough.mp4"
    steps = Steps(2)
    try:
        with told_to_stop(), own_folder() as folder:
            with steps.step("Demo") as step:
                site = await_ready(folder, step)
            with steps.step("Film"):
                count = _write(target, _frames(site))
            print(f"{target}: {count / FRAMES_PER_SECOND:.0f} s")
    except StepError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _write(target: Path, frames: Iterator[Frame]) -> int:
    """Write frames (height, width, 3) as H.264; says how many."""
    count = 0
    with imageio.get_writer(
        target, format="FFMPEG", mode="I", fps=FRAMES_PER_SECOND, codec="libx264",
        pixelformat="yuv420p", quality=7, macro_block_size=2, ffmpeg_log_level="error",
    ) as writer:  # fmt: skip
        for frame in frames:
            writer.append_data(frame)  # type: ignore[attr-defined]  # typed as its base
            count += 1
    return count


def _frames(site: Site) -> Iterator[Frame]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        for act in _acts(site):
            moving = act(page)
            if moving:
                yield from moving
            else:
                yield from [_seen(page)] * (SECONDS_A_STEP * FRAMES_PER_SECOND)
        browser.close()


def _seen(page: Page) -> Frame:
    return np.asarray(decoded(page.screenshot()).convert("RGB"))


def _acts(site: Site) -> list[Callable[[Page], Iterator[Frame] | None]]:
    """What is done, one thing after the other; some give the frames of what moves."""

    def sign_in(page: Page) -> None:
        page.goto(f"{site.address}/accounts/login/")
        page.fill("[name=login]", site.email)
        page.fill("[name=password]", site.password)

    def home(page: Page) -> None:
        page.click("main button[type=submit]")
        page.wait_for_url(f"{site.address}/")

    def study(page: Page) -> None:
        page.goto(site.study)
        page.wait_for_selector("#run-card.app-run--succeeded")

    def at(selector: str) -> Callable[[Page], None]:
        def scroll(page: Page) -> None:
            page.locator(selector).scroll_into_view_if_needed()
            page.evaluate("s => document.querySelector(s).scrollIntoView()", selector)
            page.wait_for_load_state("networkidle")

        return scroll

    def workspace(page: Page) -> Iterator[Frame]:
        page.goto(f"{site.study}workspace/")
        page.locator("#workspace[data-ready]").wait_for()
        page.evaluate("document.querySelector('.ws-bar').scrollIntoView()")
        for frame in range(0, 60, 2):
            page.evaluate("n => document.getElementById('workspace').workspace.goTo(n)", frame)
            page.evaluate("() => new Promise((done) => requestAnimationFrame(() => done()))")
            yield _seen(page)

    def explain(page: Page) -> None:
        page.locator("[data-segment='5']").click()
        page.locator("#ws-curve canvas").wait_for()
        page.evaluate("document.getElementById('ws-explained').scrollIntoView()")

    def draw(page: Page) -> None:
        page.evaluate("document.querySelector('.ws-bar').scrollIntoView()")
        page.locator("#ws-tool").select_option("edit")
        page.locator("#panel-0").focus()
        for _number in range(3):
            page.keyboard.press("n")
        for _number in range(4):
            page.keyboard.press("Shift+ArrowUp")

    def report(page: Page) -> None:
        page.goto(f"{site.study}report/")

    def share(page: Page) -> None:
        page.goto(f"{site.study}share/")
        page.fill("[name=question]", "Is flow in the lateral wall believable?")

    return [
        sign_in, home, study, at("#segments-title"), at("#maps-title"), at("#cines-title"),
        workspace, explain, draw, report, share,
    ]  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())

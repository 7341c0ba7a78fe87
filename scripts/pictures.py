"""The README's pictures, taken by a browser from a demo that is started for them alone.

    .venv/bin/python -m scripts.pictures

The demo beside it, if one runs, is left alone: it may hold other studies, or an older result.
"""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from scripts.steps import CHECKOUT, Step, StepError, Steps, run, told_to_stop

IMAGES = CHECKOUT / "docs" / "images"
CHROMIUM = Path("/usr/bin/chromium")
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
LARGEST_BYTES = 250_000
_STOP_SECONDS = 60
_PAPER, _GAP = (255, 255, 255), 16


@dataclass(frozen=True)
class Site:
    """A running demo: its address, its study's address, and who signs in."""

    address: str
    study: str
    email: str
    password: str


def main() -> int:
    """Take all pictures; 0 if they are there, 1 with a sentence otherwise."""
    steps = Steps(2)
    try:
        if not CHROMIUM.exists():
            raise StepError("The pictures need Chromium. On Debian, as root: apt install chromium")
        with told_to_stop(), own_folder() as folder:
            with steps.step("Demo for the pictures") as step:
                site = await_ready(folder, step)
            with steps.step("Pictures") as step:
                IMAGES.mkdir(parents=True, exist_ok=True)
                for name, picture in _pictures(site):
                    size = save(picture, IMAGES / f"{name}.png")
                    step.note(f"docs/images/{name}.png, {size / 1000:.0f} kB")
    except StepError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


@dataclass
class _Folder:
    """Where the demo's things lie, the environment that says so, and the demo once it runs."""

    path: Path
    environment: dict[str, str]
    demo: subprocess.Popen[str] | None = None


@contextmanager
def own_folder() -> Iterator[_Folder]:
    """A folder for one demo; at the end the demo, its database and the folder are gone."""
    path = Path(tempfile.mkdtemp(prefix="corecmr-pictures-"))
    unwanted = {"DATABASE_URL", "PORT", "DEMO_EXIT_WHEN_READY"}
    environment = {name: value for name, value in os.environ.items() if name not in unwanted}
    folder = _Folder(path, environment | {"CORECMR_VAR_DIR": str(path)})
    try:
        yield folder
    finally:
        if folder.demo is not None:
            folder.demo.terminate()
            try:
                folder.demo.communicate(timeout=_STOP_SECONDS)
            finally:
                folder.demo.kill()
        run(_demo("--reset"), environment=folder.environment | {"DATABASE_URL": ""})
        shutil.rmtree(path)


def _demo(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "scripts.demo", *arguments]


def await_ready(folder: _Folder, step: Step) -> Site:
    """Start the demo and read what it says until its study is analysed."""
    folder.demo = subprocess.Popen(
        [sys.executable, "-m", "scripts.tied", *_demo()],
        cwd=CHECKOUT, env=folder.environment, text=True, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    assert folder.demo.stdout is not None  # noqa: S101
    said = []
    study = ""
    for line in folder.demo.stdout:
        said.append(line)
        if title := re.match(r"\[\d+/\d+\] [\w ]+", line):
            step.note(title[0].strip(), passing=True)
        if found := re.match(r"The study: (\S+)", line):
            study = found[1]
        if found := re.match(r"CoreCMR is ready:\s+(\S+)", line):
            people = json.loads((folder.path / "demo.json").read_text())["people"]
            reader = next(person for person in people if person["key"] == "consultant")
            return Site(found[1], study, reader["email"], reader["password"])
    raise StepError("The demo did not start. It said:\n" + "".join(said[-25:]))


def _pictures(site: Site) -> Iterator[tuple[str, Image.Image]]:
    """Each picture with its name."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = _open_study(browser, site, width=1280, height=900, scale=1)
        yield "study", _part(page, "#segments-title")
        yield "flow-maps", _beside(_files(page, ("Stress", "Rest"), "Mid"))
        page.set_viewport_size({"width": 1060, "height": 720})
        page.goto(f"{site.study}workspace/")
        page.locator("#workspace[data-ready]").wait_for()
        page.evaluate(
            """() => {
                const { panels } = document.getElementById('workspace').workspace;
                panels[1].canvas.focus();
            }"""
        )
        page.locator("[data-segment='11']").click()
        page.locator("#ws-curve canvas").wait_for()
        page.evaluate("document.querySelector('.ws-bar').scrollIntoView()")
        yield "workspace", decoded(page.screenshot())
        page = _open_study(browser, site, width=390, height=844, scale=2)
        page.evaluate("document.getElementById('segments-title').scrollIntoView()")
        yield "phone", decoded(page.screenshot())
        browser.close()


def _open_study(browser: Browser, site: Site, *, width: int, height: int, scale: int) -> Page:
    """Sign in and open the study's page; all that it fetches is there when this returns."""
    context = browser.new_context(
        viewport={"width": width, "height": height}, device_scale_factor=scale
    )
    page = context.new_page()
    page.goto(f"{site.address}/accounts/login/")
    page.fill("[name=login]", site.email)
    page.fill("[name=password]", site.password)
    page.click("main button[type=submit]")
    page.wait_for_url(f"{site.address}/")
    page.goto(site.study)
    page.wait_for_selector("#run-card.app-run--succeeded")
    return page


def _part(page: Page, heading: str) -> Image.Image:
    """The page from its top to the end of the section below ``heading``."""
    section = page.locator(f"section:has({heading})").bounding_box()
    assert section is not None  # noqa: S101
    size = page.viewport_size
    assert size is not None  # noqa: S101
    end = round(section["y"] + section["height"])
    whole = decoded(page.screenshot(full_page=True))
    return whole.crop((0, 0, size["width"], end))


def _files(page: Page, states: tuple[str, ...], level: str) -> list[Image.Image]:
    """Flow maps as files, as the site hands them out."""
    maps = []
    for state in states:
        alt = f"Map of blood flow, {state.lower()}, {level.lower()}."
        source = page.locator(f'img[alt^="{alt}"]').first.get_attribute("src")
        answer = page.request.get(page.url.split("/studies/")[0] + str(source))
        maps.append(decoded(answer.body()))
    return maps


def decoded(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data)).convert("RGB")


def _beside(pictures: list[Image.Image]) -> Image.Image:
    """Pictures in a row, on white."""
    width = sum(one.width for one in pictures) + _GAP * (len(pictures) - 1)
    row = Image.new("RGB", (width, max(one.height for one in pictures)), _PAPER)
    left = 0
    for one in pictures:
        row.paste(one, (left, 0))
        left += one.width + _GAP
    return row


def save(picture: Image.Image, path: Path) -> int:
    """Write a PNG small enough for a README; gives its size in bytes.

    Colours stay as they are if the file is then small enough, and are brought down to 256 if not.
    """
    content = _png(picture)
    if len(content) > LARGEST_BYTES:
        few = picture.quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
        content = _png(few)
    if len(content) > LARGEST_BYTES:
        raise StepError(f"{path.name} would have {len(content)} bytes; at most {LARGEST_BYTES}.")
    path.write_bytes(content)
    return len(content)


def _png(picture: Image.Image) -> bytes:
    content = io.BytesIO()
    picture.save(content, "PNG", optimize=True)
    return content.getvalue()


if __name__ == "__main__":
    sys.exit(main())

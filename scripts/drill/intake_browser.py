"""A folder of many small files dropped on the page: all listed and stored, the page never stuck.

A phantom study of 1,500 images, dropped as the desktop hands a folder to the browser. While they
are read, listed, packed and sent, the page is asked every few milliseconds whether it is there.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright

from processing.mcaq.phantom import make_study
from processing.phantom_dicom import write_study
from scripts.bench.table import Figure
from scripts.drill.database import server
from tests.browser.conftest import CHROMIUM, FLAGS
from tests.browser.people import sign_in
from tests.browser.server import Site, running_site
from tests.waiting import wait_for

FRAMES = 250  # of six series
#: Without an answer for longer a page feels stuck.
MOST_MS = 100
_PATIENCE_MS = 120_000

#: Asks the page whether it answers; what it found survives the way to the next page.
_PULSE = """() => {
    let last = performance.now();
    window.longestGap = 0;
    window.pulse = setInterval(() => {
        const now = performance.now();
        window.longestGap = Math.max(window.longestGap, now - last);
        last = now;
    }, 4);
    addEventListener('pagehide', () => {
        sessionStorage.setItem('gap', String(window.longestGap));
        sessionStorage.setItem('told', document.getElementById('upload-count').textContent);
    });
}"""


def measure(said: Callable[[str], None]) -> list[Figure]:
    with server(), tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        said("a study of 1,500 images")
        export = Path(folder) / "export"
        phantom = make_study(5, frames=FRAMES, rows=112, cols=96, pixel_mm=2.8)
        count = len(write_study(phantom, export))
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        said("the site")
        with running_site(Path(folder) / "var") as site:
            seen = drop_and_send(browser, site, export, said)
        browser.close()
    where = f"{count} files dropped"
    return [
        Figure("files listed before sending", where, seen["listed"], count, count, True),
        Figure("files stored", where, seen["stored"], count, count, True),
        Figure("files judged as they were sent", where, seen["judged"], count, count, True),
        Figure("longest time without an answer of the page, ms", where, seen["gap"], MOST_MS, 50),
        Figure("longest task of the page, ms of the processor", where, seen["busy"], MOST_MS, 50),
    ]


def drop_and_send(
    browser: Browser, site: Site, export: Path, said: Callable[[str], None]
) -> dict[str, float]:
    """Drop, list and send; what was counted on the way, and the longest gap in milliseconds."""
    context = browser.new_context(base_url=site.address)
    context.set_default_timeout(_PATIENCE_MS)
    page = context.new_page()
    person = site.people["consultant"]
    sign_in(page, person.email, person.password)
    page.wait_for_load_state("networkidle")
    page.evaluate(_PULSE)
    browser.start_tracing(page=page, categories=["toplevel"])
    said("dropped")
    drop(page, export)
    heading = page.locator("#upload-chosen")
    expect(heading).to_contain_text("files chosen", timeout=_PATIENCE_MS)
    listed = _number(heading.inner_text())
    said("sending")
    page.locator("#upload-send").click()
    page.wait_for_url("**/uploads/*/")
    gap = float(page.evaluate("() => sessionStorage.getItem('gap')"))
    busy = _longest_task_ms(browser.stop_tracing())
    upload = page.url.removeprefix(site.address)
    said("checking")
    told = str(page.evaluate("() => sessionStorage.getItem('told')"))
    stored = _number(told) if told.endswith("stored") else 0

    def ended() -> dict[str, object] | None:
        site.children.check()
        now = context.request.get(f"{upload}status.json").json()
        return now if now["state"] in {"done", "failed", "asked"} else None

    judged = wait_for(ended, "the upload is checked", 300)["total"]
    context.close()
    return {"listed": listed, "stored": stored, "judged": judged, "gap": gap, "busy": busy}


def _longest_task_ms(trace: bytes) -> float:
    """Of the pages' main threads, in time of the processor: what other programs take is no part."""
    events = json.loads(trace)["traceEvents"]
    mains = {
        (event["pid"], event["tid"])
        for event in events
        if event.get("name") == "thread_name" and event["args"]["name"] == "CrRendererMain"
    }
    tasks = [
        event["tdur"]
        for event in events
        if event.get("name", "").endswith("RunTask")
        and (event["pid"], event["tid"]) in mains
        and "tdur" in event
    ]
    return max(tasks) / 1000


def drop(page: Page, folder: Path) -> None:
    """As the desktop hands a folder to the browser."""
    session = page.context.new_cdp_session(page)
    data = {"items": [], "files": [str(folder)], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        session.send("Input.dispatchDragEvent", {"type": kind, "x": 200, "y": 300, "data": data})


def _number(text: str) -> int:
    found = re.match(r"[\d,]+", text)
    return int(found[0].replace(",", "")) if found else 0

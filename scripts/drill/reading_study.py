"""A study of six films of sixty frames: how soon it is seen, how it is worked and how it leaves.

The first loop is asked for over a line of 10 Mbit/s, as Chromium's developer tools make one.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from processing.mcaq.phantom import make_study
from processing.phantom_dicom import write_study
from scripts.bench.table import Figure
from scripts.drill.database import server
from scripts.drill.memory import growth
from scripts.visitor import Visitor
from tests.browser.conftest import CHROMIUM, FLAGS
from tests.browser.server import Site, running_site
from tests.waiting import wait_for

_PATIENCE_MS, _PATIENCE_SECONDS = 120_000, 300
_LINE_BITS, _LINE_LATENCY_MS = 10_000_000, 20
_FRAMES = """() => {
    const { panels, view, paint } = document.getElementById('workspace').workspace;
    Object.assign(view, { overlay: 'mbf', linked: true });
    const start = performance.now();
    for (let k = 0; k < 60; k += 1) {
        for (const panel of panels) {
            panel.goTo(k % panel.count);
            panel.window = { low: k, high: 300 + k };
            paint(panel);
        }
    }
    for (const panel of panels) panel.context.getImageData(0, 0, 1, 1);
    return [60000 / (performance.now() - start), panels.length, panels[0].count];
}"""
#: Milliseconds from a move of the pointer that pulls an outline until the numbers are others.
_PULL = """() => new Promise((told) => {
    const place = document.getElementById('ws-segments');
    window.moved = 0;
    addEventListener('pointermove', () => { window.moved = performance.now(); }, { capture: true });
    new MutationObserver((_all, watch) => {
        watch.disconnect();
        window.followed = performance.now() - window.moved;
    }).observe(place, { childList: true, characterData: true, subtree: true });
    told();
})"""


def measure(said: Callable[[str], None]) -> Iterator[Figure]:
    with server(), tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        folder = Path(name)
        said("a study of 360 images")
        write_study(make_study(5), folder / "export")
        with running_site(folder / "var") as site:
            said("analysed")
            visitor, study = _analysed(site, folder / "export")
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
            said("read")
            yield from _read(browser, site, study)
            browser.close()
            said("downloaded")
            yield from _downloaded(site, visitor, study, folder / "everything.zip")


def _analysed(site: Site, export: Path) -> tuple[Visitor, str]:
    """Somebody who is signed in, and the path of the study with its result."""
    person, visitor = site.people["consultant"], Visitor(site.address)
    visitor.sign_in(person.email, person.password)
    begun = visitor.post_form("/uploads/", {})
    files = [path for path in export.rglob("*") if path.is_file()]
    received = list(visitor.send_files(begun["files_url"], files, export))[-1]
    upload = visitor.post_form(begun["complete_url"], {"sent": str(received)})["url"]

    def study() -> str | None:
        site.children.check()
        told = visitor.get_json(f"{upload}status.json")
        return next((one["url"] for one in told.get("studies", [])), None)

    path = str(wait_for(study, "the upload is checked", _PATIENCE_SECONDS))

    def done() -> bool:
        site.children.check()
        return bool(visitor.get_json(f"{path}status.json")["has_result"])

    wait_for(done, "the study is analysed", _PATIENCE_SECONDS)
    return visitor, path


def _read(browser: Browser, site: Site, study: str) -> Iterator[Figure]:
    context = browser.new_context(base_url=site.address, viewport={"width": 1280, "height": 900})
    context.set_default_timeout(_PATIENCE_MS)
    page = context.new_page()
    person = site.people["consultant"]
    page.goto("/accounts/login/")
    page.fill("[name=login]", person.email)
    page.fill("[name=password]", person.password)
    page.click("main form button[type=submit]")
    page.wait_for_url(lambda url: "/login/" not in url)
    where = "10 Mbit/s, nothing kept by the browser"
    first, playing = _first_loop(context, study)
    yield Figure("first film's first frame is there, s", where, first, reach=2)
    yield Figure("all six films play, s", where, playing)
    page.goto(f"{study}workspace/")
    page.wait_for_selector("#workspace[data-ready]")
    rate, films, frames = page.evaluate(_FRAMES)
    where = f"{films:.0f} films of {frames:.0f} frames, no graphics card"
    yield Figure("frames/s, each with another window", where, rate, reach=30, larger_is_better=True)
    yield Figure("numbers follow a pulled outline, ms", where, _follows(page), reach=100)
    context.close()


def _first_loop(context: BrowserContext, study: str) -> tuple[float, float]:
    """Seconds from asking for the page until one film shows a frame, and until all of them play."""
    page = context.new_page()
    session = context.new_cdp_session(page)
    session.send("Network.enable")
    session.send("Network.setCacheDisabled", {"cacheDisabled": True})
    session.send("Network.emulateNetworkConditions", {
        "offline": False, "latency": _LINE_LATENCY_MS,
        "downloadThroughput": _LINE_BITS / 8, "uploadThroughput": _LINE_BITS / 8,
    })  # fmt: skip
    begun = time.monotonic()
    page.goto(study, wait_until="commit")
    page.wait_for_function(
        "() => [...document.querySelectorAll('video')].some((film) => film.readyState >= 2)"
    )
    first = time.monotonic() - begun
    page.wait_for_selector("#cine-play:visible")
    page.click("#cine-play")
    page.wait_for_function(
        "() => [...document.querySelectorAll('video[data-cine]')].every((film) => film.currentTime)"
    )
    seconds = time.monotonic() - begun
    page.close()
    return first, seconds


def _follows(page: Page) -> float:
    page.locator("#ws-tool").select_option("edit")
    x, y = page.evaluate(
        """() => {
            const { panels, drawing } = document.getElementById('workspace').workspace;
            const panel = panels[0];
            const [x, y] = panel.toScreen(drawing.of(panel.series.folder).endocardium[0]);
            const box = panel.canvas.getBoundingClientRect();
            const ratio = box.width / panel.canvas.width;
            return [box.x + x * ratio, box.y + y * ratio];
        }"""
    )
    page.mouse.move(x, y)
    page.mouse.down()
    page.evaluate(_PULL)
    page.mouse.move(x + 9, y + 4)
    page.wait_for_function("() => window.followed !== undefined")
    page.mouse.up()
    return float(page.evaluate("window.followed"))


def _downloaded(site: Site, visitor: Visitor, study: str, target: Path) -> Iterator[Figure]:
    """Everything as ZIP: how soon it begins, what it costs the server, whether its hashes hold."""
    with growth(_web_processes(site)) as grown:
        begun = time.monotonic()
        connection = http.client.HTTPConnection(urlsplit(site.address).netloc, timeout=120)
        connection.request("GET", f"{study}everything.zip", headers=visitor.credentials())
        answer = connection.getresponse()
        first = answer.read(1)
        begins = time.monotonic() - begun
        with target.open("wb") as out:
            out.write(first)
            while piece := answer.read(2**20):
                out.write(piece)
        seconds = time.monotonic() - begun
        connection.close()
    wrong, files = _wrong_hashes(target)
    where = f"{files} files, {target.stat().st_size / 2**20:.0f} MB, {seconds:.1f} s"
    yield Figure("ZIP begins, s", where, begins, reach=1)
    yield Figure(
        "memory of the web process meanwhile, MB", where, max(grown.values()) / 2**20, reach=50
    )
    yield Figure("hashes of its manifest that are not true", where, wrong, reach=0)


def _wrong_hashes(target: Path) -> tuple[int, int]:
    with zipfile.ZipFile(target) as archive:
        (name,) = (one for one in archive.namelist() if one.endswith("/manifest.json"))
        root = name.removesuffix("manifest.json")
        told = json.loads(archive.read(name))["files"]
        held = {one.removeprefix(root) for one in archive.namelist()} - {"manifest.json"}
        wrong = sum(
            hashlib.sha256(archive.read(root + one["path"])).hexdigest() != one["sha256"]
            for one in told
        )
        return wrong + len(held ^ {one["path"] for one in told}), len(told)


def _web_processes(site: Site) -> Iterator[int]:
    for path in Path("/proc").glob("[0-9]*"):
        try:
            environment = (path / "environ").read_bytes()
            command = (path / "cmdline").read_bytes()
        except OSError:
            continue
        if f"CORECMR_VAR_DIR={site.var}".encode() in environment and b"gunicorn" in command:
            yield int(path.name)

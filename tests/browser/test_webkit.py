"""The main pages in WebKit, as Safari has it, by Debian's driver."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.server import Site
from tests.waiting import wait_for

DRIVER = Path("/usr/bin/WebKitWebDriver")
BROWSERS = Path("/usr/lib")
PATIENCE_SECONDS = 60

Ask = Callable[..., Any]


class Session:
    """One window, asked by the WebDriver protocol."""

    def __init__(self, port: int, browser: Path) -> None:
        self._base = f"http://127.0.0.1:{port}/session"
        options = {"binary": str(browser), "args": ["--automation"]}
        told = self._send("POST", "", capabilities={
            "alwaysMatch": {"webkitgtk:browserOptions": options}
        })  # fmt: skip
        self._base += f"/{told['sessionId']}"

    def _send(self, method: str, path: str, **body: Any) -> Any:
        request = urllib.request.Request(  # noqa: S310  (http)
            self._base + path, method=method, headers={"Content-Type": "application/json"},
            data=json.dumps(body).encode() if method == "POST" else None,
        )  # fmt: skip
        with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:  # noqa: S310
            return json.load(answer)["value"]

    def open(self, url: str) -> None:
        self._send("POST", "/url", url=url)

    def run(self, script: str) -> Any:
        return self._send("POST", "/execute/sync", script=script, args=[])

    def until(self, script: str, what: str) -> Any:
        return wait_for(lambda: self.run(f"return {script}"), what, PATIENCE_SECONDS)

    def end(self) -> None:
        self._send("DELETE", "")


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _listens(port: int) -> bool:
    with socket.socket() as asker:
        return asker.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def webkit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    """A window on a screen that nobody sees."""
    browser = next(BROWSERS.glob("*/webkit2gtk-4.1/MiniBrowser"), None)
    if browser is None or not DRIVER.exists():
        pytest.skip("needs Debian package webkit2gtk-driver")
    if not Path("/usr/bin/Xvfb").exists():
        pytest.skip("needs Debian package xvfb")
    home = tmp_path_factory.mktemp("webkit")
    read, write = os.pipe()
    screen = subprocess.Popen(
        ["/usr/bin/Xvfb", "-displayfd", str(write), "-screen", "0", "1400x1000x24",
         "-nolisten", "tcp"],
        pass_fds=[write], stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(write)
    with os.fdopen(read) as told:
        display = f":{told.readline().strip()}"
    port = _free_port()
    environment = {
        **os.environ, "DISPLAY": display, "HOME": str(home), "NO_AT_BRIDGE": "1",
        # Without a language the browser tells its pages one that is none.
        "LANG": "en_GB.UTF-8", "LC_ALL": "en_GB.UTF-8",
        # Its sandbox needs rights that a container or root does not give.
        "WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS": "1", "WEBKIT_DISABLE_COMPOSITING_MODE": "1",
    }  # fmt: skip
    driver = subprocess.Popen(
        [DRIVER, f"--port={port}"], env=environment,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_for(lambda: _listens(port), "the driver", PATIENCE_SECONDS)
        session = Session(port, browser)
        yield session
        session.end()
    finally:
        driver.kill()
        driver.wait()
        screen.kill()
        screen.wait()


def test_the_main_pages_work_in_webkit(webkit: Session, site: Site, analysed: dict[str, str]):
    person = site.people["consultant"]
    webkit.open(f"{site.address}/accounts/login/")
    webkit.run(
        f"document.querySelector('[name=login]').value = {json.dumps(person.email)};"
        f"document.querySelector('[name=password]').value = {json.dumps(person.password)};"
        "document.querySelector('main form').requestSubmit();"
    )
    webkit.until("document.querySelector('#worklist') !== null", "the list of studies")
    # The page's own scripts ran: what needs them is shown, what they replace is not.
    webkit.until(
        "document.querySelector('#choose-files').checkVisibility()"
        " && !document.querySelector('#plain-files').checkVisibility()",
        "the upload's buttons",
    )
    webkit.open(site.address + analysed["study"])
    webkit.until("document.querySelectorAll('.app-bullseye__segment').length === 48", "diagrams")
    assert webkit.run("return document.querySelector('#cine-play').checkVisibility()")
    assert webkit.run("return document.documentElement.scrollWidth <= innerWidth")
    webkit.run("document.querySelector('.app-curves').open = true")
    webkit.until("document.querySelector('.app-curves canvas') !== null", "a curve")
    webkit.open(f"{site.address}{analysed['study']}workspace/")
    webkit.until("document.querySelector('#workspace[data-ready]') !== null", "the workspace")
    coloured = """(() => {
        const canvas = document.querySelector('#workspace canvas');
        const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
        let found = 0;
        for (let at = 0; at < data.length; at += 4) {
            found += Number(Math.abs(data[at] - data[at + 2]) > 8);
        }
        return found;
    })()"""
    assert webkit.run(f"return {coloured}") > 100
    webkit.run("document.querySelector('[data-segment=\"1\"]').click()")
    webkit.until(
        "document.getElementById('ws-sentence').textContent.includes('The fitted curve leaves')",
        "what a segment's number comes from",
    )
    for path in (analysed["report"], f"{analysed['study']}segments/", f"{analysed['study']}share/"):
        webkit.open(site.address + path)
        assert webkit.run("return document.querySelectorAll('h1').length") == 1
        assert webkit.run("return document.documentElement.scrollWidth <= innerWidth")

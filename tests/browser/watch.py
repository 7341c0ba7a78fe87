"""What a page asked for and what the browser complained of while it was open."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

from playwright.sync_api import ConsoleMessage, Page, Request

#: What the fixture ``open_page`` gives.
OpenPage = Callable[..., Page]


class Watch:
    """Listens to one page from its beginning."""

    def __init__(self, page: Page, address: str, answers: tuple[int, ...] = ()) -> None:
        self._answers = answers
        self._host = urlsplit(address).netloc
        self.elsewhere: list[str] = []
        self.complaints: list[str] = []
        page.on("request", self._asked)
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def assert_quiet(self) -> None:
        """Nothing outside the site was asked for, and no script, policy or file gave trouble."""
        assert not self.elsewhere, f"Asked of other hosts: {self.elsewhere}"
        assert not self.complaints, "\n".join(self.complaints)

    def _asked(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme in {"http", "https", "ws", "wss"} and parts.netloc != self._host:
            self.elsewhere.append(request.url)

    def _said(self, message: ConsoleMessage) -> None:
        """Violations of the content security policy are errors of the console too."""
        if message.type not in {"error", "warning"}:
            return
        here = message.location.get("url", "")
        # A page that is not there is an answer that some tests ask for.
        if "status of 404" in message.text and message.page and here == message.page.url:
            return
        # So is any other that a test says it provokes.
        if any(f"status of {status}" in message.text for status in self._answers):
            return
        self.complaints.append(f"{message.text} ({here})")

"""A person at the site, over HTTP: signs in and sends files through the pages' own addresses."""

from __future__ import annotations

import json
import re
import secrets
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

# What one request may carry; the browser's upload keeps to the same.
_FILES_A_REQUEST = 50
_BYTES_A_REQUEST = 8 * 1024**2
_TIMEOUT = 60


class SiteError(Exception):
    """What the site refused, with its own words where it gave some."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class MoreIsAskedError(SiteError):
    """The password was right, and the site asks this person for something else before the rest."""


class Visitor:
    """One browser session."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._cookies = CookieJar()
        self._open = urllib.request.build_opener(
            urllib.request.ProxyHandler({}),  # this machine's own address is behind no proxy
            urllib.request.HTTPCookieProcessor(self._cookies),
        ).open

    def sign_in(self, email: str, password: str) -> None:
        """Fill in the form of the sign-in page."""
        page = self._request("/accounts/login/").decode()
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
        if token is None:
            raise SiteError("The sign-in page has no form.")
        form = {"login": email, "password": password, "csrfmiddlewaretoken": token[1]}
        page = self._request("/accounts/login/", urlencode(form).encode()).decode()
        if 'name="password"' in page:
            raise SiteError(f"The site did not let {email} sign in.")
        if "/accounts/2fa/" in page:
            raise MoreIsAskedError(f"The site asks {email} for a second factor.")
        if 'name="accept"' in page:
            raise MoreIsAskedError(f"The site asks {email} to accept a new version of a policy.")

    def get_json(self, path: str) -> dict[str, Any]:
        """Read one of the site's JSON addresses."""
        return _object(self._request(path, accept="application/json"))

    def post_form(self, path: str, fields: dict[str, str]) -> dict[str, Any]:
        """Send fields, as a script of a page does."""
        return _object(self._request(path, urlencode(fields).encode(), accept="application/json"))

    def post_page(self, path: str, fields: dict[str, str]) -> str:
        """Send a page's form; gives the page that follows."""
        return self._request(path, urlencode(fields).encode()).decode()

    def send_files(self, path: str, files: Sequence[Path], root: Path) -> Iterator[int]:
        """Send files in parts; yields how many the site has after each part."""
        for part in _parts(files):
            boundary = secrets.token_hex(16)
            body = b"".join(_field(file, root, boundary) for file in part)
            answer = self._request(
                path, body + f"--{boundary}--\r\n".encode(), accept="application/json",
                kind=f"multipart/form-data; boundary={boundary}",
            )  # fmt: skip
            yield int(_object(answer)["received"])

    def credentials(self) -> dict[str, str]:
        """Headers that let another program of the same person speak to the site."""
        cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in self._cookies)
        return {"Cookie": cookies, "X-CSRFToken": self._csrf_token()}

    def _request(
        self,
        path: str,
        body: bytes | None = None,
        *,
        accept: str = "text/html",
        kind: str = "application/x-www-form-urlencoded",
    ) -> bytes:
        headers = {"Accept": accept}
        if body is not None:
            headers |= {"Content-Type": kind, "X-CSRFToken": self._csrf_token()}
        request = urllib.request.Request(self._address + path, body, headers)  # noqa: S310  (http)
        try:
            with self._open(request, timeout=_TIMEOUT) as response:
                answer: bytes = response.read()
                return answer
        except urllib.error.HTTPError as error:
            with error:
                said = error.read()
            raise SiteError(_message(said, path, error.code), error.code) from None
        except (urllib.error.URLError, OSError) as error:
            raise SiteError(f"The site does not answer: {error}") from None

    def _csrf_token(self) -> str:
        return next((c.value or "" for c in self._cookies if c.name.endswith("csrftoken")), "")


def _object(answer: bytes) -> dict[str, Any]:
    try:
        value = json.loads(answer)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise SiteError("The site sent a page where data were expected.")
    return value


def _message(said: bytes, path: str, status: int) -> str:
    try:
        return str(_object(said)["message"])
    except (SiteError, KeyError):
        return f"The site answered {path} with status {status}."


def _parts(files: Sequence[Path]) -> Iterator[list[Path]]:
    part: list[Path] = []
    size = 0
    for file in files:
        length = file.stat().st_size
        if part and (len(part) == _FILES_A_REQUEST or size + length > _BYTES_A_REQUEST):
            yield part
            part, size = [], 0
        part.append(file)
        size += length
    if part:
        yield part


def _field(file: Path, root: Path, boundary: str) -> bytes:
    name = file.relative_to(root).as_posix().replace("\\", "\\\\").replace('"', '\\"')
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    )
    return head.encode() + file.read_bytes() + b"\r\n"

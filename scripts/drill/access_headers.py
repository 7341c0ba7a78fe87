"""MDN's HTTP Observatory on every page that can be reached by links, over TLS, as in production.

Needs the npm registry: the Observatory is fetched into a folder that is gone afterwards.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit, urlunsplit

from scripts import frontend, postgres
from scripts.bench.table import Figure
from scripts.drill.database import scene
from scripts.steps import CHECKOUT

PACKAGE = "@mdn/mdn-http-observatory@1.4.8"
#: What the strictest set of headers scored; A+ begins at 100.
LEAST_SCORE = 130
MOST_PAGES = 250
HOST = "localhost"
_HERE = Path(__file__).parent


def measure(said: Callable[[str], None]) -> list[Figure]:
    """The least score of all pages, of a visitor, a consultant and an administrator."""
    with tempfile.TemporaryDirectory(prefix="corecmr-drill-") as name, scene():
        folder = Path(name)
        package = _fetch(folder)
        certificate = _certificate(folder)
        environment = _environment(folder)
        cookies = _people(environment["SECRET_KEY"])
        with _served(folder, environment, certificate) as port, _redirecting(port) as plain:
            pages = _crawl(port, certificate[0], cookies, said)
            cases = {"host": HOST, "httpPort": plain, "httpsPort": port, "pages": pages}
            (folder / "cases.json").write_text(json.dumps(cases))
            results = _observe(package, folder / "cases.json", certificate[0], said)
    worst = min(results, key=lambda one: one["score"])
    short = [one for one in results if one["grade"] != "A+" or one["score"] < LEAST_SCORE]
    kinds = sorted({failed for one in results for failed in one["failed"]})
    return [
        Figure(
            "pages that do not get A+ with 130 or more", "HTTP Observatory", len(short), reach=0,
            note=f"{len(results)} pages{': ' if short else ''}"
            + ", ".join(f"{one['path']} {one['grade']} {one['score']}" for one in short[:5]),
        ),
        Figure(
            "least score", "HTTP Observatory", worst["score"], reach=LEAST_SCORE,
            larger_is_better=True, note=", ".join(kinds),
        ),
    ]  # fmt: skip


def _fetch(folder: Path) -> Path:
    """The Observatory's package; the two lists that it downloads as it is installed stay empty."""
    node = frontend.find_node()
    subprocess.run(
        [*node.npm, "install", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error",
         "--prefix", str(folder), PACKAGE],
        check=True, env={**os.environ, **node.environment()},
    )  # fmt: skip
    package = folder / "node_modules" / "@mdn" / "mdn-http-observatory"
    (package / "conf" / "hsts-preload.json").write_text("{}")
    (package / "conf" / "tld-list.json").write_text("[]")
    return package


def _certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate of this drill's own for ``localhost``, and its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, HOST)])
    now = datetime.now(UTC)
    names = [x509.DNSName(HOST), x509.IPAddress(ip_address("127.0.0.1"))]
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    public, private = folder / "certificate.pem", folder / "key.pem"
    public.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return public, private


def _environment(folder: Path) -> dict[str, str]:
    """Production's settings on the drill's database."""
    from django.conf import settings
    from django.db import connection

    server = urlsplit(postgres.database_url(test=True))
    name = connection.settings_dict["NAME"]
    return {
        "DJANGO_SETTINGS_MODULE": "corecmr.settings.production",
        "DATABASE_URL": urlunsplit(server._replace(path=f"/{name}")),
        "SECRET_KEY": settings.SECRET_KEY,
        "CORECMR_DEIDENTIFICATION_KEY": settings.DEIDENTIFICATION_KEY,
        "CORECMR_IDENTITY_KEYS": settings.IDENTITY_KEYS[0],
        "CORECMR_MFA_KEY": secrets.token_hex(32),
        "CORECMR_TRUSTED_PROXIES": "0",
        "CORECMR_VAR_DIR": str(folder / "var"),
        "ALLOWED_HOSTS": HOST,
        "EMAIL_HOST": "127.0.0.1",
    }


def _people(secret: str) -> dict[str, str]:
    """Cookies of a visitor, and of a consultant and an administrator who have a second factor."""
    from allauth.mfa.models import Authenticator
    from django.test import Client

    from tests.people import make_administrator, make_result, make_study, make_trust, make_user

    trust = make_trust()
    consultant = make_user(trust)
    make_result(make_study(trust))
    cookies = {"visitor": ""}
    for who, user in (("consultant", consultant), ("administrator", make_administrator())):
        Authenticator.objects.create(user=user, type=Authenticator.Type.TOTP, data={})
        client = Client()
        client.force_login(user)
        cookies[who] = f"__Host-sessionid={client.cookies['sessionid'].value}"
    return cookies


@contextmanager
def _served(
    folder: Path, environment: dict[str, str], certificate: tuple[Path, Path]
) -> Iterator[int]:
    """gunicorn with production's settings behind the certificate; gives its port."""
    whole = {**os.environ, **environment}
    manage = [sys.executable, str(CHECKOUT / "manage.py")]
    (folder / "var").mkdir()
    subprocess.run([*manage, "collectstatic", "--no-input", "-v", "0"], check=True, env=whole)
    with socket.socket() as listener, (folder / "web.log").open("w") as log:
        listener.bind(("127.0.0.1", 0))
        listener.listen(128)
        web = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "corecmr.wsgi", "--bind",
             f"fd://{listener.fileno()}", "--threads", "4", "--no-control-socket",
             "--certfile", str(certificate[0]), "--keyfile", str(certificate[1])],
            cwd=CHECKOUT, env=whole, pass_fds=[listener.fileno()], stdout=log, stderr=log,
        )  # fmt: skip
        try:
            yield listener.getsockname()[1]
        finally:
            web.terminate()
            web.wait()


@contextmanager
def _redirecting(to: int) -> Iterator[int]:
    """Plain HTTP answered by a redirect to TLS, as the server before the site does it."""

    class Redirect(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(301)
            self.send_header("Location", f"https://{HOST}:{to}{self.path}")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Redirect)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.found += [value for name, value in attrs if name == "href" and value]


def _crawl(
    port: int, certificate: Path, cookies: dict[str, str], said: Callable[[str], None]
) -> list[dict[str, str]]:
    """Every page of the site that a link leads to, as each of the people sees it."""
    context = ssl.create_default_context(cafile=str(certificate))
    site = f"https://{HOST}:{port}"
    pages: list[dict[str, str]] = []
    for who, cookie in cookies.items():
        waiting, seen = ["/", "/admin/"], set[str]()
        while waiting and len(seen) < MOST_PAGES:
            path = waiting.pop(0)
            # One page of each kind: lists in another order, and the next object, are no other.
            kind = re.sub(r"\d\w*", "*", path.split("?")[0])
            if kind in seen:
                continue
            seen.add(kind)
            said(f"{who}: {path}")
            request = urllib.request.Request(site + path, headers={"Cookie": cookie})  # noqa: S310
            try:
                answer = urllib.request.urlopen(request, context=context, timeout=60)  # noqa: S310
            except urllib.error.HTTPError as error:
                answer = error
            with answer:
                if not answer.headers.get("Content-Type", "").startswith("text/html"):
                    continue
                links = _Links()
                links.feed(answer.read().decode())
            if answer.status < 400 or answer.status in (401, 403):
                pages.append({"path": path, "cookie": cookie})
            for link in links.found:
                target = urlsplit(urljoin(answer.url, link))
                if f"{target.scheme}://{target.netloc}" == site and "logout" not in target.path:
                    waiting.append(target.path + (f"?{target.query}" if target.query else ""))
    return pages


def _observe(
    package: Path, cases: Path, certificate: Path, said: Callable[[str], None]
) -> list[dict[str, Any]]:
    node = frontend.find_node()
    child = subprocess.Popen(
        [node.node, str(_HERE / "observatory.mjs"), str(package), str(cases)],
        env={**os.environ, "NODE_EXTRA_CA_CERTS": str(certificate)},
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    results = []
    for line in child.stdout or ():
        results.append(json.loads(line))
        said(f"{results[-1]['path']}: {results[-1]['grade']}")
    if child.wait():
        raise RuntimeError(f"the Observatory ended with status {child.returncode}")
    return results

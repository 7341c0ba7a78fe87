"""The static checks, all of them, with what each one found."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import time
from pathlib import Path

from scripts import postgres
from scripts.steps import CHECKOUT

_BIN = Path(sys.executable).parent
_ROOMS = ("accounts", "corecmr", "deploy", "processing", "scripts", "studies")
_MANAGE = [sys.executable, "-W", "error", "manage.py"]


def _production() -> dict[str, str]:
    """Complete settings of a site that nobody will start."""
    return {
        "DJANGO_SETTINGS_MODULE": "corecmr.settings.production",
        "SECRET_KEY": secrets.token_urlsafe(60),
        "CORECMR_DEIDENTIFICATION_KEY": secrets.token_urlsafe(60),
        "CORECMR_IDENTITY_KEYS": secrets.token_urlsafe(60),
        "CORECMR_MFA_KEY": secrets.token_urlsafe(60),
        "CORECMR_TRUSTED_PROXIES": "1",
        "DATABASE_URL": "postgresql://corecmr@localhost/corecmr",
        "ALLOWED_HOSTS": "corecmr.example",
        "EMAIL_HOST": "mail.example",
    }


def _checks() -> list[tuple[str, list[str], dict[str, str]]]:
    migrations = {"DJANGO_SETTINGS_MODULE": "corecmr.settings.test"}
    return [
        ("lint", [str(_BIN / "ruff"), "check", "--no-cache", "."], {}),
        ("format", [str(_BIN / "ruff"), "format", "--no-cache", "--check", "."], {}),
        ("types", [str(_BIN / "mypy")], {}),
        ("imports", [str(_BIN / "lint-imports"), "--no-cache"], {}),
        ("dependencies", [str(_BIN / "deptry"), "."], {}),
        (
            "deployment",
            [*_MANAGE, "check", "--deploy", "--fail-level", "WARNING"],
            _production(),
        ),
        ("migrations", [*_MANAGE, "makemigrations", "--check", "--dry-run"], migrations),
        ("locks", [*_MANAGE, "lintmigrations", "--quiet", "ok", "ignore"], migrations),
        # ruff's own rules look for the rest, each exception with its reason beside it.
        ("code", [str(_BIN / "bandit"), "-q", "-r", "-lll", *_ROOMS], {}),
        *[
            (name, [sys.executable, "-m", "scripts.supply", name], {})
            for name in ("advisories", "bill", "secrets")
        ],
    ]


def main() -> int:
    """Run every check, also after one has failed; 1 if any did."""
    failed = []
    started = postgres.ensure_started(test=True)  # migrations are compared with a database's
    try:
        for name, command, environment in _checks():
            begun = time.monotonic()
            outcome = subprocess.run(
                command, cwd=CHECKOUT, env={**os.environ, **environment}, check=False,
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            )  # fmt: skip
            seconds = time.monotonic() - begun
            passed = outcome.returncode == 0
            print(f"{name}: {'passed' if passed else 'FAILED'} ({seconds:.0f} s)", flush=True)
            if not passed:
                failed.append(name)
                print(outcome.stdout.decode(errors="replace"), flush=True)
    finally:
        if started:
            postgres.stop(postgres.server(test=True))
    if failed:
        print(f"Failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

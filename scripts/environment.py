"""The checkout's Python environment: made once, from hashed lock files."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

from scripts.steps import CHECKOUT, StepError, run

VENV = CHECKOUT / ".venv"
PYTHON = VENV / "bin" / "python"
_STAMP = VENV / "corecmr.json"


def ensure_venv(*, chosen: bool) -> None:
    """Make .venv where there is none, or where it no longer fits.

    It fits if it was made in this place by a Python that is still there; if the person has
    ``chosen`` a Python, then also if it was made by that one.
    """
    if VENV.is_symlink():
        raise StepError(".venv is a symbolic link. Remove it, and run this command again.")
    if VENV.exists():
        if _fits(chosen=chosen):
            return
        shutil.rmtree(VENV)
    if importlib.util.find_spec("ensurepip") is not None:
        run([sys.executable, "-m", "venv", VENV])
        return
    # Debian puts ensurepip into a package of its own; a pip of the machine can stand in.
    if _machine_pip() is None:
        raise StepError(
            f"The Python at {sys.executable} cannot make environments: it has neither ensurepip "
            "nor pip.\nOn Debian or Ubuntu, as root: apt install python3-venv\n"
            "Or name another Python: make setup PYTHON=/path/to/python3"
        )
    run([sys.executable, "-m", "venv", "--without-pip", VENV])


def is_installed(name: str) -> bool:
    """Whether the packages of requirements/NAME.txt are there as the file is now."""
    return _stamp().get(name) == _digest(name)


def install(name: str) -> None:
    """Install the packages of requirements/NAME.txt, each checked against its hash."""
    pip: list[str | Path] = [PYTHON, "-m", "pip"]
    if not (VENV / "bin" / "pip").exists():
        pip = [*(_machine_pip() or []), "--python", PYTHON]
    run(
        [
            *pip, "install", "--disable-pip-version-check", "--no-input", "--quiet",
            "--require-hashes", "--no-deps", "--only-binary", ":all:",
            "-r", _lock_file(name),
        ],
        advice="Set-up needs a package index of Python, such as pypi.org, the first time.",
    )  # fmt: skip
    stamp = _stamp() | {name: _digest(name)}
    held = _pins(name)
    for other in ("base", "demo"):
        if _pins(other) <= held:
            stamp[other] = _digest(other)
    _STAMP.write_text(json.dumps(stamp))


def _machine_pip() -> list[str | Path] | None:
    if importlib.util.find_spec("pip") is None:
        return None
    return [sys.executable, "-m", "pip"]


def _fits(*, chosen: bool) -> bool:
    try:
        # Programs such as bin/pip name their Python by its full path, which a move breaks.
        if str(VENV) not in (VENV / "bin" / "activate").read_text():
            return False
        ask = "import sys; print(sys.version_info[:3], sys.base_prefix)"
        inside = subprocess.run(
            [PYTHON, "-c", ask], capture_output=True, text=True, check=True
        ).stdout.strip()
        configured = (VENV / "pyvenv.cfg").read_text()
    except (OSError, subprocess.CalledProcessError):
        return False
    made_by = re.search(r"^version\s*=\s*(\d+)\.(\d+)\.", configured, re.MULTILINE)
    if made_by is None or not inside.startswith(f"({made_by[1]}, {made_by[2]},"):
        return False
    if chosen:
        return inside == f"{sys.version_info[:3]} {sys.base_prefix}"
    return (3, 11) <= (int(made_by[1]), int(made_by[2])) < (3, 14)


def _stamp() -> dict[str, str]:
    try:
        stamp = json.loads(_STAMP.read_text())
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def _lock_file(name: str) -> Path:
    return CHECKOUT / "requirements" / f"{name}.txt"


def _digest(name: str) -> str:
    return hashlib.sha256(_lock_file(name).read_bytes()).hexdigest()


def _pins(name: str) -> set[str]:
    return set(re.findall(r"^[A-Za-z0-9._-]+==[^\s;\\]+", _lock_file(name).read_text(), re.M))

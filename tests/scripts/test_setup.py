"""Set-up: which Python is taken, when the environment is remade, what a failure says."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from scripts import environment, frontend, steps

FINDER = Path(environment.__file__).with_name("python.sh")


def find_python(*arguments: str, path: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", str(FINDER), *arguments], env={"PATH": path},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def program(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_a_python_too_old_and_a_broken_shim_are_passed_over(tmp_path):
    program(tmp_path, "python3", "exit 1")  # answers the question for its version with no
    program(tmp_path, "python3.13", "exit 127")  # a version manager's shim with nothing behind it
    good = program(tmp_path, "python3.12", f'exec {sys.executable} "$@"')
    found = find_python("", "setup", path=str(tmp_path))
    assert found.stdout.strip() == str(good)


def test_without_a_python_that_fits_a_sentence_says_what_to_install(tmp_path):
    found = find_python("", "demo", path=str(tmp_path))
    assert found.returncode == 1
    assert "needs Python 3.11, 3.12 or 3.13" in found.stderr
    assert "make demo PYTHON=/path/to/python3" in found.stderr


def test_a_named_python_that_does_not_fit_is_refused(tmp_path):
    old = program(tmp_path, "old", "exit 1")
    found = find_python(str(old), "setup", path=os.environ["PATH"])
    assert found.returncode == 1
    assert f"PYTHON={old} is no Python 3.11, 3.12 or 3.13." in found.stderr


def test_an_environment_is_kept_until_it_moves(tmp_path, monkeypatch):
    here = tmp_path / "here" / ".venv"
    monkeypatch.setattr(environment, "VENV", here)
    monkeypatch.setattr(environment, "PYTHON", here / "bin" / "python")
    venv.create(here, with_pip=False, symlinks=True)
    kept = here / "kept"
    kept.touch()
    environment.ensure_venv(chosen=False)
    environment.ensure_venv(chosen=True)
    assert kept.exists()

    here.parent.rename(tmp_path / "there")
    moved = tmp_path / "there" / ".venv"
    monkeypatch.setattr(environment, "VENV", moved)
    monkeypatch.setattr(environment, "PYTHON", moved / "bin" / "python")
    assert not environment._fits(chosen=False)

    (moved / "bin" / "activate").write_text(f"VIRTUAL_ENV={moved}")
    assert environment._fits(chosen=False)
    (moved / "pyvenv.cfg").write_text("version = 3.10.1\n")
    assert not environment._fits(chosen=False), "made by another Python than the one inside"


def test_the_larger_set_holds_the_pins_of_the_smaller():
    assert environment._pins("base") < environment._pins("demo") < environment._pins("dev")


def test_lock_files_name_no_index():
    folder = steps.CHECKOUT / "requirements"
    locks = [*folder.glob("*.txt"), steps.CHECKOUT / "package-lock.json"]
    assert len(locks) >= 4
    for lock in locks:
        text = lock.read_text()
        assert "--index-url" not in text
        assert '"resolved"' not in text
        assert "--find-links" not in text


@pytest.mark.parametrize(
    ("said", "major"), [("v18.19.0", 18), ("v22.1.0", 22), ("nonsense", 0)]
)  # fmt: skip
def test_the_version_of_node_is_read(tmp_path, said, major):
    assert frontend._major(str(program(tmp_path, "node", f"echo {said}"))) == major


def test_a_failing_command_is_shown_with_all_it_said():
    with pytest.raises(steps.StepError) as failure:
        steps.run(["/bin/sh", "-c", "echo first; echo second >&2; exit 3"], advice="Try again.")
    text = str(failure.value)
    assert text.startswith("first\nsecond\n")
    assert "ended with status 3" in text
    assert text.endswith("Try again.")

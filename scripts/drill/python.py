"""A Python with the packages of this one and, installed beside them, engines of one's own."""

from __future__ import annotations

import sysconfig
import venv
from collections.abc import Iterable
from pathlib import Path


def python_with(folder: Path, package: str, engines: Iterable[type]) -> Path:
    """Made in ``folder``; engines: classes with a ``name``, found as those of a package are."""
    venv.create(folder, with_pip=False, symlinks=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    shared = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (packages / "shared.pth").write_text("\n".join(sorted(shared)))
    about = packages / f"{package.replace('-', '_')}-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    points = [f"{one.name} = {one.__module__}:{one.__name__}" for one in engines]  # type: ignore[attr-defined]
    (about / "entry_points.txt").write_text("\n".join(["[corecmr.engines]", *points, ""]))
    return folder / "bin" / "python"

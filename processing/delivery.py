"""An output folder that appears whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def delivered(target: Path) -> Iterator[Path]:
    """Give a folder to write to; what is in it is moved to ``target`` if all went well.

    target: absent or empty. Otherwise nothing is left behind.
    """
    made = [place for place in (target.parent, *target.parent.parents) if not place.exists()]
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = os.access(target.parent, os.W_OK)
    work = Path(tempfile.mkdtemp(prefix=".partial-", dir=target.parent if beside else target))
    try:
        # Made for this user alone; a result is as readable as any new folder.
        mask = os.umask(0)
        os.umask(mask)
        work.chmod(0o777 & ~mask)
        yield work
        _move(work, target)
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        for place in made:
            if not any(place.iterdir()):
                place.rmdir()
        raise


def _move(work: Path, target: Path) -> None:
    if work.parent == target or target.is_symlink() or target.is_mount():
        target.mkdir(exist_ok=True)
        for child in list(work.iterdir()):
            shutil.move(child, target / child.name)
        work.rmdir()
    else:
        work.rename(target)  # over an empty folder too

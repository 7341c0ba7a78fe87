"""The parent's side of the check: one child judges many files, and a new one goes on where it ends.

A file that ends its child (memory, time, a crash in a decoder) is set aside with a sentence; what
was judged before is kept, and the rest is judged by the next child. The parent itself never reads
what was sent.
"""

from __future__ import annotations

import errno
import json
import logging
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.conf import settings
from django.utils.translation import gettext_lazy

from corecmr import sandbox
from studies.object_classes import MR_CLASSES

log = logging.getLogger(__name__)

CHILD = "studies.dicom.intake"
#: So many files of one upload may end their child; then the rest is left unread.
MOST_DEATHS = 40
#: A file that is in hand for longer ends its child, whatever its processor time.
FILE_WALL_SECONDS = 60.0
#: What the child ends with where its folder is full; see studies/dicom/intake.py.
_EXIT_NO_ROOM = 28

_TOO_SLOW = gettext_lazy(
    "Reading it took too long: it is damaged, or made to do harm. Leave it out, or export it again "
    "from the scanner or the archive."
)
_DEADLY = gettext_lazy(
    "It is damaged in a way that stops the reader. Leave it out, or export it again from the "
    "scanner or the archive."
)
_REST = gettext_lazy(
    "It was not read: too many other files of this upload had stopped the reader. Send it again "
    "without them."
)


#: What asks which object classes are taken in; engines are known to the app above this one.
accepting: list[Callable[[], frozenset[str]]] = []


class Stopped(Exception):
    """The caller said to stop."""


class TookTooLong(Exception):
    """The check of all files together took longer than it may."""


class BrokeDown(Exception):
    """The child cannot work, and no file is at fault; the text says how it ended, for the log."""


@dataclass
class Judged:
    """What was understood; ``manifest`` as studies.dicom.intake writes it."""

    manifest: dict[str, Any]
    deaths: int = 0
    #: The longest that one file was in hand, in s.
    slowest_s: float = 0.0


@dataclass
class _Watch:
    """What the child tells of its progress."""

    done: int = 0
    total: int = 0
    in_hand: str | None = None
    since: float = field(default_factory=time.monotonic)
    slowest_s: float = 0.0
    stuck: bool = False
    stopped: bool = False

    def hear(self, line: str) -> None:
        said = sandbox.parse_json_line(line)
        if "file" in said:
            self.let_go()
            self.in_hand = str(said["file"]) if said["file"] is not None else None
            self.since = time.monotonic()
        done, total = said.get("done"), said.get("total")
        if isinstance(done, int) and isinstance(total, int):
            self.done, self.total = done, total

    def let_go(self) -> None:
        if self.in_hand is not None:
            self.slowest_s = max(self.slowest_s, time.monotonic() - self.since)
        self.in_hand = None


def judge(
    files: Sequence[tuple[str, Path]],
    out: Path,
    key: bytes,
    *,
    beat: Callable[[int, int], bool] = lambda done, total: True,
) -> Judged:
    """Let children read ``files``, given as (id, path), and write the good ones into ``out``.

    ``beat`` is called about every second with how many files are done and of how many, and ends
    the work by answering False. Raises Stopped, TookTooLong, BrokeDown, and OSError where the
    disk is full.
    """
    request: dict[str, Any] = {
        "files": [{"id": name, "path": str(path)} for name, path in files],
        "out": str(out),
        "key_hex": key.hex(),
        "classes": sorted(MR_CLASSES.union(*(classes() for classes in accepting))),
        "member_bytes": settings.UPLOAD_MAX_FILE_BYTES,
        "total_bytes": settings.UPLOAD_MAX_TOTAL_BYTES,
        "aside": {},
    }
    watch = _Watch(total=len(files))

    def keep_going() -> bool:
        watch.stopped = not beat(watch.done, watch.total)
        in_hand = watch.in_hand is not None
        watch.stuck = in_hand and time.monotonic() - watch.since > FILE_WALL_SECONDS
        return not (watch.stopped or watch.stuck)

    end = time.monotonic() + settings.INTAKE_WALL_SECONDS
    while True:
        left = end - time.monotonic()
        if left <= 0:
            raise TookTooLong
        outcome = sandbox.run(
            CHILD,
            [],
            sandbox.Limits(
                memory_bytes=settings.INTAKE_MEMORY_BYTES,
                wall_seconds=left,
                cpu_seconds=int(left) + 1,
            ),
            stdin=json.dumps(request),
            on_line=watch.hear,
            keep_going=keep_going,
        )
        deadly = watch.in_hand
        watch.let_go()
        aside = request["aside"]
        manifest = out / "manifest.json"
        if outcome.returncode == 0 and manifest.exists():
            return Judged(json.loads(manifest.read_text()), len(aside), watch.slowest_s)
        if outcome.returncode == _EXIT_NO_ROOM:
            raise OSError(errno.ENOSPC, "no room for the rebuilt files")
        if watch.stopped:
            raise Stopped
        if outcome.ended_by == "wall":
            raise TookTooLong
        how = f"{outcome.ended_by} with {outcome.returncode}: {_last_line(outcome.stderr)}"
        if deadly is None or deadly in aside:
            raise BrokeDown(how)
        log.warning("a file ended its intake child, by %s", how)
        slow = watch.stuck or outcome.returncode == -signal.SIGXCPU
        aside[deadly] = str(_TOO_SLOW) if slow else str(_DEADLY)
        if len(aside) >= MOST_DEATHS:
            request["rest"] = str(_REST)


def _last_line(text: str) -> str:
    """The kind of error only: its message may hold something read from a file."""
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].split(":", 1)[0][:80] if lines else ""

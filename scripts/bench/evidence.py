"""What findings about motion are worth: frames of another slice among those of a patient's film.

As if the heart had left the plane for a beat, a few frames of a mid slice are exchanged for those
of the basal slice of the same patient and state, taken in the same beats.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from processing.mcaq import pipeline
from processing.mcaq.series import Series
from scripts.bench.real import Labelled, studies
from scripts.bench.table import Figure

#: Where in the film frames are exchanged, as shares of its length: from the first pass onwards.
_PLACES = (0.35, 0.5, 0.51, 0.7)
_OF_MOTION = frozenset({"frames_left_out", "folds", "film_rougher", "heart_not_still"})


@dataclass
class Found:
    """Frames left out of those exchanged and of all others; overlaps of untouched films."""

    exchanged: int = 0
    exchanged_left_out: int = 0
    own: int = 0
    own_left_out: int = 0
    overlaps: list[float] = field(default_factory=list)
    red: int = 0


def measure(root: Path, said: Callable[[str], None]) -> Found:
    found = Found()
    for case, labelled in studies(root):
        said(f"{case}, frames of another slice")
        series = [one.series for one in labelled]
        for result in pipeline.analyse(series, {}, lambda stage, done: None).series:
            found.own += len(result.used)
            found.own_left_out += int((~result.used).sum())
            if result.motion is not None and np.isfinite(result.motion.overlap).any():
                found.overlaps.append(float(np.nanmedian(result.motion.overlap)))
            found.red += any(
                flag.severity == "error" and flag.name in _OF_MOTION for flag in result.quality
            )
        changed = list(_exchanged(labelled))
        for result in pipeline.analyse(changed, {}, lambda stage, done: None).series:
            places = _places(len(result.used))
            found.exchanged += len(places)
            found.exchanged_left_out += int((~result.used[places]).sum())
            found.own += len(result.used) - len(places)
            found.own_left_out += int((~np.delete(result.used, places)).sum())
    return found


def _places(frames: int) -> list[int]:
    return sorted({int(share * frames) for share in _PLACES})


def _exchanged(labelled: list[Labelled]) -> Iterator[Series]:
    basal = {one.series.state: one.series for one in labelled if one.series.level == "basal"}
    for mid in (one.series for one in labelled if one.series.level == "mid"):
        other = basal.get(mid.state)
        if other is None or other.signal.shape != mid.signal.shape:
            continue
        film = mid.signal.copy()
        places = _places(len(film))
        film[places] = other.signal[places]
        yield replace(mid, signal=film)


def figures(found: Found) -> Iterator[Figure]:
    where = "real patients"
    yield Figure(
        "frames of another slice that are left out, share", where,
        found.exchanged_left_out / max(found.exchanged, 1), 0.8, 0.95, True,
    )  # fmt: skip
    yield Figure(
        "frames of the film itself left out, share", where,
        found.own_left_out / max(found.own, 1), 0.005, 0.001,
    )  # fmt: skip
    yield Figure(
        "LV blood on its usual place, Dice, least series", where, min(found.overlaps), 0.88, None,
        True,
    )  # fmt: skip
    yield Figure("films called red for their motion", where, float(found.red), 0)

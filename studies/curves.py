"""Signal over time of blood and heart muscle in the corrected film, as lines to be drawn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from studies.models import StoredFile

#: Of the drawing; its margins hold the ticks.
WIDTH, HEIGHT = 260.0, 130.0
LEFT, RIGHT, TOP, BOTTOM = 24.0, 6.0, 8.0, 22.0
_MUSCLE, _LV_BLOOD = 1, 2
_BASELINE_FRAMES = 3


@dataclass(frozen=True)
class Curves:
    """Points of two SVG lines, and where the ticks of time stand, as (x, text)."""

    blood: str
    muscle: str
    ticks: tuple[tuple[float, str], ...]


def of_series(
    entry: Mapping[str, Any], files: Mapping[tuple[str, str], StoredFile]
) -> Curves | None:
    """The curves of one entry of report.json; ``None`` where the film or its outlines are missing.

    Both lines are the mean signal above that of the first frames, on one scale; frames that the
    fit left out are left out here.
    """
    film = files.get((entry["folder"], "corrected.npy"))
    outlines = files.get((entry["folder"], "segmentation.npy"))
    if film is None or outlines is None:
        return None
    frames, labels = _array(film), _array(outlines)
    times = np.asarray(entry["frame_times_s"], np.float64)
    kept = np.array([one["used"] and one["role"] == "dynamic" for one in entry["frames"]])
    if len(kept) != len(frames) or kept.sum() <= _BASELINE_FRAMES:
        return None
    regions = [labels == _LV_BLOOD, labels == _MUSCLE]
    if not all(region.any() for region in regions):
        return None
    signals = [np.nanmean(frames[kept][:, region], axis=1) for region in regions]
    signals = [signal - signal[:_BASELINE_FRAMES].mean() for signal in signals]
    times, top = times[kept], max(float(signals[0].max()), 1e-9)
    low = min(0.0, *(float(signal.min()) / top for signal in signals))
    across = (WIDTH - LEFT - RIGHT) / max(float(times[-1]), 1e-9)
    blood, muscle = (_line(times * across, (s / top - low) / (1 - low)) for s in signals)
    step = 10 if times[-1] <= 60 else 20
    ticks = [(LEFT + at * across, str(at)) for at in range(0, int(times[-1]) + 1, step)]
    return Curves(blood, muscle, tuple(ticks))


def _array(stored: StoredFile) -> np.ndarray:
    with stored.file.open("rb") as handle:
        return np.load(handle, allow_pickle=False)


def _line(x: np.ndarray, y: np.ndarray) -> str:
    down = HEIGHT - BOTTOM - y * (HEIGHT - TOP - BOTTOM)
    return " ".join(f"{LEFT + a:.1f},{b:.1f}" for a, b in zip(x, down, strict=True))

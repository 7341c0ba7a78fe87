"""A film and its maps as one compressed object, which the workspace draws without asking again.

gzip of: the length of the header (4 bytes, little-endian), the header (JSON, UTF-8), then the
arrays one after the other, little-endian and C-ordered, each at a multiple of 4 bytes as the
header tells. Signal is kept in 12 of 16 bits, as scanners keep it: value = low + step · number.
"""

from __future__ import annotations

import gzip
import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

FORMAT = 1
_MOST = 4095


def write_film(path: Path, film: NDArray[np.floating], offset: tuple[int, int]) -> None:
    """Write a film (T, r, c) of signal; offset: its crop's place on the source grid."""
    _write(path, film, offset, {})


def write_result(
    path: Path,
    film: NDArray[np.floating],
    offset: tuple[int, int],
    *,
    mbf: NDArray[np.floating],
    segmentation: NDArray[np.uint8],
    aha: NDArray[np.uint8],
) -> None:
    """Write a corrected film (T, r, c) with its maps (r, c); flow is kept as it is, NaN too."""
    maps = {
        "mbf": mbf.astype("<f4"),
        "segmentation": segmentation.astype(np.uint8),
        "aha": aha.astype(np.uint8),
    }
    _write(path, film, offset, maps)


def _counted(film: NDArray[np.floating]) -> tuple[NDArray[np.uint16], float, float]:
    """Whole numbers (T, r, c) for signal, with what zero and one of them stand for."""
    finite = film[np.isfinite(film)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    step = max((high - low) / _MOST, 1e-12)
    numbers = np.round((np.nan_to_num(film, nan=low) - low) / step)
    return np.clip(numbers, 0, _MOST).astype("<u2"), low, step


def _write(
    path: Path,
    film: NDArray[np.floating],
    offset: tuple[int, int],
    maps: Mapping[str, NDArray[Any]],
) -> None:
    numbers, low, step = _counted(film)
    header = {"offset": [int(place) for place in offset], "low": low, "step": step}
    arrays = {"film": numbers, **maps}
    places, at = [], 0
    for name, array in arrays.items():
        places.append({"name": name, "type": array.dtype.str, "shape": list(array.shape), "at": at})
        at += -(-array.nbytes // 4) * 4
    told = json.dumps({"format": FORMAT, **header, "arrays": places}, separators=(",", ":"))
    # Padded, so that each array begins at a multiple of 4 bytes.
    text = told.encode() + b" " * (-len(told.encode()) % 4)
    # No time and no name in the gzip header: the same result makes the same bytes.
    with path.open("wb") as raw, gzip.GzipFile("", "wb", 6, raw, mtime=0) as packed:
        packed.write(struct.pack("<I", len(text)) + text)
        for array in arrays.values():
            packed.write(array.tobytes() + b"\0" * (-array.nbytes % 4))

"""The colour scale of flow maps: 0 to 6 ml/min/g in viridis, which is even to the eye."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MBF_LOW, MBF_HIGH = 0.0, 6.0
MBF_UNIT = "ml/min/g"

#: Viridis (van der Walt and Smith 2015, CC0) at twenty even steps.
_ANCHORS = """
    440154 481567 482677 453781 404788 39568c 33638d 2d708e 287d8e 238a8d
    1f968b 20a387 29af7f 3cbb75 55c667 73d055 95d840 b8de29 dce319 fde725
"""
_TABLE = np.array([list(bytes.fromhex(a)) for a in _ANCHORS.split()], dtype=np.float64)


def table_hex(steps: int) -> str:
    """The scale from low to high in even steps, six hexadecimal digits for each colour."""
    return bytes(colours(np.linspace(0, 1, steps), 0.0, 1.0).ravel().tolist()).hex()


def colours(values: NDArray[np.floating], low: float, high: float) -> NDArray[np.uint8]:
    """RGB of ``values``, in a last axis of 3; what lies outside the scale gets its end colours."""
    place = np.clip((np.nan_to_num(values) - low) / (high - low), 0, 1) * (len(_TABLE) - 1)
    steps = np.arange(len(_TABLE))
    channels = [np.interp(place, steps, _TABLE[:, channel]) for channel in range(3)]
    return np.stack(channels, axis=-1).round().astype(np.uint8)

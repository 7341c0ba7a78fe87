"""What is measured when a result is held against its truth. Arrays as in the engine's types."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
Mask = NDArray[np.bool_]


def dice(one: Mask, other: Mask) -> float:
    """Overlap of two masks, 0 to 1 (Dice 1945)."""
    return 2.0 * float((one & other).sum()) / max(1.0, float(one.sum() + other.sum()))


def nrmse(found: F64, true: F64) -> float:
    """Root mean square error as a share of the true mean."""
    return float(np.sqrt(np.mean((found - true) ** 2)) / np.mean(true))


def bias(found: F64, true: F64) -> float:
    """Mean error as a share of the true mean."""
    return float(found.mean() / true.mean() - 1)


def slope(found: F64, true: F64) -> float:
    """Slope of the straight line through (true, found)."""
    return float(np.polyfit(true, found, 1)[0])


def auc(score: F64, positive: Mask) -> float:
    """Area under the ROC curve of a score that is higher where ``positive`` holds."""
    if positive.all() or not positive.any():
        return float("nan")
    above = score[positive][:, None] - score[~positive][None]
    return float(((above > 0) + 0.5 * (above == 0)).mean())


def scatter(places: F64) -> float:
    """Root mean square distance of places (n, 2) from their mean."""
    return float(np.sqrt(((places - places.mean(axis=0)) ** 2).sum(axis=1).mean()))

"""Two results of one study, or two engines over a cohort: differences, limits of agreement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from studies.models import Result, SegmentFlow, StoredFile

F64 = NDArray[np.float64]
#: Ends of the scale of difference maps, ml/min/g.
MOST_DIFFERENCE = 1.0
_ZOOM = 4
#: Blue where the second is lower, red where it is higher, white between (after ColorBrewer RdBu).
_LOW, _MIDDLE, _HIGH = (33, 102, 172), (247, 247, 247), (178, 24, 43)
_BACKGROUND = (33, 43, 50)


@dataclass(frozen=True)
class Agreement:
    """Bland and Altman 1986: mean of second − first, 95 % limits, and Pearson's correlation.

    points: (mean of the two, second − first). None where fewer than three pairs are known.
    """

    pairs: int
    bias: float | None
    low: float | None
    high: float | None
    correlation: float | None
    points: tuple[tuple[float, float], ...]


def agreement(first: Sequence[float], second: Sequence[float]) -> Agreement:
    """Of pairs of numbers in the same unit."""
    one, other = np.asarray(first, float), np.asarray(second, float)
    apart = other - one
    points = tuple(zip(((one + other) / 2).tolist(), apart.tolist(), strict=True))
    if one.size < 3:
        return Agreement(int(one.size), None, None, None, None, points)
    bias, spread = float(apart.mean()), float(apart.std(ddof=1))
    varied = one.std() > 0 and other.std() > 0
    return Agreement(
        int(one.size), bias, bias - 1.96 * spread, bias + 1.96 * spread,
        float(np.corrcoef(one, other)[0, 1]) if varied else None, points,
    )  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One segment of one series in both results, ml/min/g."""

    folder: str
    segment: int
    first: SegmentFlow
    second: SegmentFlow

    @property
    def difference(self) -> float | None:
        if self.first.mbf is None or self.second.mbf is None:
            return None
        return self.second.mbf - self.first.mbf


def rows(first: Result, second: Result) -> list[Row]:
    """The segments that both results know, in their order."""
    flows = [
        {(one.folder, one.segment): one for one in result.segment_flows.all()}
        for result in (first, second)
    ]
    return [
        Row(*place, flows[0][place], flows[1][place])
        for place in sorted(flows[0].keys() & flows[1].keys(), key=lambda one: (one[0], one[1]))
    ]


def agreement_of(found: Sequence[Row]) -> Agreement:
    known = [row for row in found if row.difference is not None]
    return agreement(
        [row.first.mbf or 0.0 for row in known], [row.second.mbf or 0.0 for row in known]
    )


# --- maps ---------------------------------------------------------------------------------------


def difference_map(first: Result, second: Result, folder: str) -> bytes | None:
    """PNG of second − first at each pixel; ``None`` where one has no map of this series.

    Each map lies on a crop of the source grid; where only one of them has flow nothing is drawn.
    """
    maps = [_placed(result, folder) for result in (first, second)]
    if maps[0] is None or maps[1] is None:
        return None
    (one, at), (other, there) = maps[0], maps[1]
    top, left = min(at[0], there[0]), min(at[1], there[1])
    bottom = max(at[0] + one.shape[0], there[0] + other.shape[0])
    right = max(at[1] + one.shape[1], there[1] + other.shape[1])
    grids = np.full((2, bottom - top, right - left), np.nan)
    for grid, (flow, offset) in zip(grids, ((one, at), (other, there)), strict=True):
        row, col = offset[0] - top, offset[1] - left
        grid[row : row + flow.shape[0], col : col + flow.shape[1]] = flow
    return _png(grids[1] - grids[0])


def _placed(result: Result, folder: str) -> tuple[F64, tuple[int, int]] | None:
    entry = next((one for one in result.report["series"] if one["folder"] == folder), None)
    stored = StoredFile.objects.filter(result=result, folder=folder, name="mbf.npy").first()
    if entry is None or stored is None:
        return None
    with stored.file.open("rb") as handle:
        flow = np.load(BytesIO(handle.read()), allow_pickle=False).astype(np.float64)
    if flow.ndim != 2:
        return None
    row, col = entry.get("offset") or (0, 0)
    return flow, (int(row), int(col))


def _png(difference: F64) -> bytes:
    share = np.clip(difference / MOST_DIFFERENCE, -1, 1)
    low, middle, high = (np.array(colour, float) for colour in (_LOW, _MIDDLE, _HIGH))
    towards = np.where((share < 0)[..., None], low, high)
    weight = np.abs(np.nan_to_num(share))[..., None]
    picture = np.where(
        np.isnan(share)[..., None],
        np.array(_BACKGROUND, float),
        middle + weight * (towards - middle),
    )
    large = picture.round().astype(np.uint8).repeat(_ZOOM, axis=0).repeat(_ZOOM, axis=1)
    out = BytesIO()
    Image.fromarray(large).save(out, "PNG", optimize=True)
    return out.getvalue()


# --- drawings -----------------------------------------------------------------------------------

WIDTH, HEIGHT = 320.0, 200.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 34.0, 8.0, 8.0, 24.0


def plot(found: Agreement) -> Mapping[str, Any] | None:
    """The points and lines of a Bland–Altman plot as places in a box of WIDTH × HEIGHT."""
    if found.bias is None or found.low is None or found.high is None:
        return None
    means = [point[0] for point in found.points]
    most_x = max(*means, 1e-6) * 1.05
    reach = max(abs(found.low), abs(found.high), *(abs(point[1]) for point in found.points)) * 1.1

    def x(value: float) -> float:
        return round(_LEFT + value / most_x * (WIDTH - _LEFT - _RIGHT), 1)

    def y(value: float) -> float:
        middle = (HEIGHT - _TOP - _BOTTOM) / 2
        return round(_TOP + middle - value / max(reach, 1e-6) * middle, 1)

    return {
        "points": [(x(mean), y(apart)) for mean, apart in found.points],
        "bias": y(found.bias),
        "low": y(found.low),
        "high": y(found.high),
        "zero": y(0.0),
        "left": _LEFT,
        "right": WIDTH - _RIGHT,
        "bottom": HEIGHT - _BOTTOM,
        "most_x": most_x,
        "reach": reach,
    }

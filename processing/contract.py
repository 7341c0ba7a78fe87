"""What an engine's result must be, before anything of it is written. Knows nothing of Django."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from processing.mcaq.series import Series, SeriesResult, StudyResult


class BrokenContract(Exception):
    """An engine's result is not what it must be; the text names the series and the part."""


def require(series: Sequence[Series], result: StudyResult) -> None:
    """Raise BrokenContract, with the first few of what is wrong."""
    wrong = list(faults(series, result))
    if wrong:
        more = f" (and {len(wrong) - 3} more)" if len(wrong) > 3 else ""
        raise BrokenContract("; ".join(wrong[:3]) + more)


def faults(series: Sequence[Series], result: StudyResult) -> Iterator[str]:
    """What is wrong with ``result``, one sentence for each part; nothing where all is right."""
    given = {one.uid: one for one in series}
    seen: set[str] = set()
    for one in result.series:
        if one.uid not in given or one.uid in seen:
            yield "a series in the result was not given, or stands there twice"
            continue
        seen.add(one.uid)
        yield from (f"series {len(seen)}: {fault}" for fault in _of_series(given[one.uid], one))
    for refusal in result.refused:
        if refusal.uid not in given or refusal.uid in seen:
            yield "a series that was refused was not given, or is among the results too"
    for number, value in result.reserve.items():
        if number not in range(1, 17) or not np.isfinite(value) or value < 0:
            yield f"the reserve of segment {number} is no number of zero or more"


def _of_series(given: Series, one: SeriesResult) -> Iterator[str]:
    frames, rows, cols = given.signal.shape
    if one.mbf.ndim != 2:
        yield "mbf has not two dimensions"
        return
    r, c = one.mbf.shape
    shapes = {
        "corrected": (one.corrected, (frames, r, c)),
        "displacement": (one.displacement, (frames, 2, r, c)),
        "segmentation": (one.segmentation, (r, c)),
        "aha": (one.aha, (r, c)),
        "aif_mmol_l": (one.aif_mmol_l, (frames,)),
        "used": (one.used, (frames,)),
    }
    for name, (array, shape) in shapes.items():
        if array.shape != shape:
            yield f"{name} has the shape {array.shape} and should have {shape}"
    if len(one.reasons) != frames:
        yield f"there are {len(one.reasons)} reasons for {frames} frames"
    top, left = one.offset
    if top < 0 or left < 0 or top + r > rows or left + c > cols:
        yield "the crop does not lie within the picture"
    if one.segmentation.size and one.segmentation.max() > 3:
        yield "segmentation holds another label than 0 to 3"
    if one.aha.size and one.aha.max() > 16:
        yield "aha holds another segment than 0 to 16"
    known = one.mbf[~np.isnan(one.mbf)]
    if not np.isfinite(known).all() or (known < 0).any():
        yield "mbf holds a value below zero or without end"
    for name, array in (("corrected", one.corrected), ("displacement", one.displacement)):
        if not np.isfinite(array).all():
            yield f"{name} holds values that are no numbers"
    for number, flow in one.segments.items():
        # An end that is not known is left out of the comparison.
        values = [value for value in (flow.low, flow.mbf, flow.high) if value is not None]
        if number not in range(1, 17):
            yield f"there is no AHA segment {number}"
        elif (
            not np.isfinite(values).all() or values != sorted(values) or min(values, default=0) < 0
        ):
            yield f"segment {number}: low, mbf and high are not in this order, or no numbers"

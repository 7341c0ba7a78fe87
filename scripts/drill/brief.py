"""An engine for drills: it takes half a second, tells its stages, and finds the same each time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from processing.mcaq.series import SegmentFlow, Series, SeriesResult, StudyResult

_STAGES = ("motion", "segmentation", "flow")
_STEPS, _STEP_S = 4, 0.04


class Brief:
    """Numbers of no meaning, in the form of real ones."""

    name, version = "brief", "1"

    def analyse(
        self,
        series: Sequence[Series],
        parameters: Mapping[str, object],
        progress: Callable[[str, float], None],
    ) -> StudyResult:
        pause = threading.Event()
        for stage in _STAGES:
            for step in range(_STEPS):
                progress(stage, step / _STEPS)
                pause.wait(_STEP_S)
        return StudyResult(tuple(_found(one) for one in series), (), {}, {"flow": 0.5}, {})


def _found(one: Series) -> SeriesResult:
    frames, rows, cols = one.signal.shape
    aha = np.zeros((rows, cols), np.uint8)
    aha[rows // 3 : rows // 2, cols // 3 : cols // 2] = 7
    flow = {number: SegmentFlow(1.5, 1.2, 1.8, None) for number in range(7, 13)}
    return SeriesResult(
        uid=one.uid,
        offset=(0, 0),
        corrected=one.signal.astype(np.float32),
        displacement=np.zeros((frames, 2, rows, cols), np.float32),
        segmentation=(aha > 0).astype(np.uint8),
        aha=aha,
        mbf=np.where(aha > 0, 1.5, np.nan).astype(np.float32),
        aif_mmol_l=np.zeros(frames),
        used=np.ones(frames, bool),
        reasons=(None,) * frames,
        mbf_global=1.5,
        segments=flow,
        quality=(),
        seconds=0.5,
    )

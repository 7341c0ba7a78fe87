"""MCAQ's motion correction, outlines and concentrations with flow by dcmri's deconvolution.

An engine is a class with ``name``, ``version`` and ``analyse``; see ``processing/engines.py`` of
CoreCMR. It may use as much or as little of MCAQ as it likes. This one lets MCAQ do all and puts
another flow into its result: the maximum of the impulse response, by truncated singular values.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import dcmri
import numpy as np

from processing.mcaq import signal
from processing.mcaq.engine import Mcaq
from processing.mcaq.series import MYOCARDIUM, SegmentFlow, Series, SeriesResult, StudyResult

#: Singular values below this share of the largest one are left out.
TOLERANCE = 0.1
#: Curves are resampled to this interval, s: the deconvolution needs even times.
INTERVAL_S = 0.5


class Dcmri:
    name = "dcmri"
    version = "0.1.0"

    def analyse(
        self,
        series: Sequence[Series],
        parameters: Mapping[str, object],
        progress: Callable[[str, float], None],
    ) -> StudyResult:
        found = Mcaq().analyse(series, parameters, progress)
        given = {one.uid: one for one in series}
        own = [_with_own_flow(given[one.uid], one) for one in found.series]
        flows: dict[tuple[str, int], float] = {
            (given[one.uid].state, number): flow.mbf
            for one in own
            for number, flow in one.segments.items()
            if flow.mbf is not None
        }
        reserve = {
            number: flow / flows["rest", number]
            for (state, number), flow in flows.items()
            if state == "stress" and flows.get(("rest", number), 0.0) > 0
        }
        # What MCAQ says of the whole study is of its own flow, so it is left out.
        return dataclasses.replace(
            found,
            series=tuple(own),
            reserve=reserve,
            summary=None,
            model_reserve={},
            parameters={"model": "dcmri deconvolution", "tolerance": TOLERANCE},
        )


def _with_own_flow(series: Series, one: SeriesResult) -> SeriesResult:
    known = np.isfinite(one.aif_mmol_l) & one.used
    times = np.asarray(series.times_s, float)[known]
    even = np.arange(times[0], times[-1], INTERVAL_S)
    blood = np.interp(even, times, one.aif_mmol_l[known])
    # Concentration by what MCAQ knows of the sequence; before contrast comes there is none.
    how = signal.physics(series.acquisition)
    before = signal.baseline_frames(one.aif_mmol_l[known], times)
    native = float(how.recovery(how.r1_muscle(np.zeros(1)))[0])
    gain = one.corrected[known][before].mean(axis=0) / native
    tissue = signal.muscle_concentration(one.corrected[known], gain, how)
    flow = np.full(one.mbf.shape, np.nan, np.float32)
    for row, col in np.argwhere(one.segmentation == MYOCARDIUM):
        flow[row, col] = _flow(np.interp(even, times, tissue[:, row, col]), blood)
    segments = {
        number: SegmentFlow(mbf=float(np.nanmean(flow[one.aha == number])), low=None, high=None,
                            ischaemic=None)
        for number in one.segments
        if (one.aha == number).any() and np.isfinite(flow[one.aha == number]).any()
    }  # fmt: skip
    whole = flow[np.isfinite(flow)]
    return dataclasses.replace(
        one,
        mbf=flow,
        segments=segments,
        mbf_global=float(whole.mean()) if whole.size else None,
        models={},
        spread={},
        endo_epi={},
    )


def _flow(tissue: np.ndarray, blood: np.ndarray) -> float:
    """Flow in ml/min/g: the response's maximum is ml/s/ml of tissue, at 1.05 g/ml."""
    response = dcmri.deconv(tissue, blood, INTERVAL_S, tol=TOLERANCE)
    return max(0.0, 60 * float(np.max(response)) / 1.05)

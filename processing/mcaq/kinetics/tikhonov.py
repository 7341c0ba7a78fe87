"""Deconvolution without a model: the smoothest residue function that explains the curve.

The flow-scaled residue function h is laid on nodes, straight lines between them, and minimises
‖A h − q‖² + λ² ‖L h‖², L being first differences and the last node against zero. λ is chosen for
each curve by generalised cross-validation. The jump at the arrival of contrast must not be
smoothed, so the curve is fitted at each delay, h beginning there. Flow is the maximum of h, which
lies at its beginning.

Sources: Jerosch-Herold 2002 (Med Phys 29:886), Golub 1979 (cross-validation). The blood
expected in the curve is taken off beforehand: as a free term it is not apart from h's beginning.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from processing.mcaq.kinetics.curves import (
    DELAYS_S,
    Curves,
    Estimate,
    Passage,
    ml_per_min_per_g,
    where_known,
)

F64 = NDArray[np.float64]

_NODE_S = 1.0
#: Nodes among which the maximum lies: later ones can only be higher by noise.
_BEGINNING = 3
#: What a degree of freedom costs: plain cross-validation follows noise now and then (Kim and Gu
#: 2004 recommend 1.4).
_DEAR = 1.4
#: λ as a share of the largest singular value. Any fixed share from 0.01 to 0.15 reads high flow too
#: low, on simulated curves and on the phantom's, by 20 to 70 %; cross-validation by a few per cent.
_LAMBDAS = np.geomspace(1e-3, 1.0, 25)


def fit(curves: Curves) -> Estimate:
    """Flow of all curves, ml/min/g whole blood, and their delay."""
    return where_known(curves, _fit)


@dataclass(frozen=True)
class _Inverse:
    """Of one delay: singular values (k,), left (U, k), and nodes (n, k) of each component."""

    values: F64
    left: F64
    nodes: F64


def _fit(curves: Curves) -> Estimate:
    times = curves.times_s[curves.used]
    spill = curves.expected
    data = np.asarray(curves.tissue[:, curves.used], dtype=np.float64)
    data = data - spill.share[:, None] * curves.blood[curves.used]
    passage = Passage(curves.times_s, curves.blood)
    at = np.arange(0, passage.fine_s[-1] + _NODE_S, _NODE_S)
    hats = np.maximum(0, 1 - np.abs(passage.fine_s[None] - at[:, None]) / _NODE_S)
    through = passage.through(hats)
    inverses = [
        _inverse(passage.seen(through, times, np.full(len(at), delay)).T) for delay in DELAYS_S
    ]
    flows, scores = np.empty((len(DELAYS_S), len(data))), np.empty((len(DELAYS_S), len(data)))
    for n, inverse in enumerate(inverses):
        flows[n], scores[n] = _solved(inverse, data)
    which = scores.argmin(axis=0)
    if curves.one_delay and len(data) > 1:
        middle = float(np.median(DELAYS_S[which]))
        which = np.full(len(data), int(np.abs(DELAYS_S - middle).argmin()))
    flow = flows[which, np.arange(len(data))]
    return Estimate(ml_per_min_per_g(np.maximum(flow, 0), curves.density_g_per_ml), DELAYS_S[which])


def _inverse(forward: F64) -> _Inverse:
    """``forward``: (U, n), data of each node."""
    size = forward.shape[1]
    # L's inverse: each node is the sum of all steps down that come after it.
    sums = np.triu(np.ones((size, size)))
    left, values, right = np.linalg.svd(forward @ sums, full_matrices=False)
    return _Inverse(values, left, sums @ right.T)


def _solved(inverse: _Inverse, data: F64) -> tuple[F64, F64]:
    """Maximum of h (P,), 1/s, at the λ of least cross-validation error, and that error (P,)."""
    seen = data @ inverse.left
    outside = (data**2).sum(axis=1) - (seen**2).sum(axis=1)
    count = data.shape[1]
    square = inverse.values**2
    kept = square[None] / (square[None] + (_LAMBDAS[:, None] * inverse.values[0]) ** 2)
    left_over = ((1 - kept[None]) ** 2 * seen[:, None] ** 2).sum(axis=2)
    misfit = np.maximum(outside, 0)[:, None] + left_over
    free = np.maximum(count - _DEAR * kept.sum(axis=1), 1e-3)
    error = misfit / free[None] ** 2
    which = error.argmin(axis=1)
    components = kept[which] / (inverse.values + 1e-12) * seen
    residue = components @ inverse.nodes.T
    return residue[:, :_BEGINNING].max(axis=1), error[np.arange(len(data)), which]

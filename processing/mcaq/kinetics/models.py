"""The models by name, see ``names``. Each is a pure function from ``Curves`` to ``Estimate``."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from processing.mcaq.kinetics import exchange, fermi, posterior, tikhonov, two_compartment, upslope
from processing.mcaq.kinetics.curves import Curves, Estimate, where_known

Fit = Callable[[Curves], Estimate]


def exchange_fit(curves: Curves) -> Estimate:
    """The exchange model on a few good curves, as segments are fitted without further knowledge."""

    def fit(some: Curves) -> Estimate:
        dictionary = exchange.build(
            some.times_s, some.blood, some.haematocrit, some.density_g_per_ml
        )
        tissue = np.asarray(some.tissue, dtype=np.float32)
        rough = exchange.fit(dictionary, tissue, some.used, some.noise, spill=some.expected)
        delay = float(np.median(rough.parameters[:, exchange.DELAY]))
        found = posterior.refine(
            dictionary, tissue, some.used, some.noise, delay_s=delay, spill=some.expected
        )
        return Estimate(found.mbf, found.parameters[:, exchange.DELAY])

    return where_known(curves, fit)


MODELS: dict[str, Fit] = {
    "exchange": exchange_fit,
    "fermi": fermi.fit,
    "tikhonov": tikhonov.fit,
    "two_compartment": two_compartment.fit,
    "upslope": upslope.fit,
}

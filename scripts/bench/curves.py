"""The kinetic model on simulated curves of known flow that it was not made from."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from processing.mcaq.kinetics import exchange, posterior
from scripts.bench.table import Figure

F64 = NDArray[np.float64]


def read(root: Path) -> Iterator[tuple[str, float, F64, F64, F64]]:
    """Of each curve: name, true flow, times (s), inflow and tissue (T,)."""
    for path in sorted((root / "jsim").glob("*.csv")):
        head = path.read_text().splitlines()[0]
        name = re.match(r"# (.*?) \(", head)
        true = re.search(r"F=([\d.]+)", head)
        if name is None or true is None:
            continue
        times, inflow, _, tissue = np.loadtxt(path, delimiter=",", skiprows=2).T[:4]
        yield name[1], float(true[1]), times, inflow, tissue


def flows(root: Path) -> list[tuple[str, float, float]]:
    """Of each curve of the exchange simulator: its name, true flow and what is found, ml/min/g."""
    found = []
    for name, true, times, inflow, tissue in read(root):
        # The simulator speaks of flow of the very fluid that carries the tracer, per g.
        dictionary = exchange.build(times, inflow, 0.0, 1.0)
        curve = tissue[None].astype(np.float32)
        used, noise = np.ones(len(times), dtype=bool), np.array([0.003 * tissue.max()])
        rough = exchange.fit(dictionary, curve, used, noise)
        fitted = posterior.refine(
            dictionary, curve, used, noise,
            delay_s=float(rough.parameters[0, exchange.DELAY]), spill=exchange.no_spill(1),
        )  # fmt: skip
        found.append((name, true, float(fitted.mbf[0])))
    return found


def figures(found: list[tuple[str, float, float]]) -> Iterator[Figure]:
    where = "exchange simulator"
    for name, true, flow in found:
        yield Figure(f"  {name}: found over true", where, flow / true)
    within = sum(abs(flow / true - 1) <= 0.1 for _, true, flow in found)
    yield Figure(
        f"curves within 10 % of the true flow, of {len(found)}", where, float(within), 8, 10, True
    )

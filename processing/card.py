"""The accuracy card of an engine: what it finds on phantoms whose flow is known.

``python -m processing.card`` is the child's side: a request on standard input, one line of JSON for
each phantom. The parent sets limits, so an engine that crashes, hangs or eats memory costs that
phantom alone. The phantoms are those of ``KINDS``; their seeds are none that an engine of ours was
tuned on.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from processing import contract
from processing.engines import get_engine
from processing.mcaq.phantom import make_study
from processing.mcaq.series import StudyResult

FIRST_SEED = 5_000
KINDS: dict[str, dict[str, Any]] = {
    "usual": {},
    "without a defect": {"defect": None},
    "deep breaths": {"breathing_mm": 18.0},
    "one slice": {"levels": ("mid",)},
}
#: A segment whose true stress flow is below this, ml/min/g, counts as ischaemic (Kotecha 2019).
_ISCHAEMIC = 1.94


@dataclass
class Card:
    """What was measured. segments: state, true flow, found, low and high end, ml/min/g."""

    engine: str
    version: str = ""
    studies: int = 0
    series: int = 0
    refused: int = 0
    ended: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    segments: list[tuple[str, float, float, float | None, float | None]] = field(
        default_factory=list
    )
    seconds: list[float] = field(default_factory=list)
    peak_bytes: int = 0

    def take(self, told: dict[str, Any]) -> None:
        """Add what the child told of one phantom."""
        self.version = told["version"]
        self.series += told["series"]
        self.refused += told["refused"]
        self.faults += told["faults"]
        self.segments += [tuple(one) for one in told["segments"]]
        self.seconds.append(told["seconds"])
        self.peak_bytes = max(self.peak_bytes, told["peak_bytes"])

    @property
    def conforms(self) -> bool:
        """Whether every phantom was analysed without a fault of form."""
        return not self.ended and not self.faults and self.series > 0

    def figures(self) -> dict[str, float | None]:
        """The figures of the card; None where there is nothing to reckon them from."""
        true = np.array([one[1] for one in self.segments])
        found = np.array([one[2] for one in self.segments])
        known = [one for one in self.segments if one[3] is not None and one[4] is not None]
        stress = [one for one in self.segments if one[0] == "stress"]
        return {
            "bias": float(found.mean() / true.mean() - 1) if true.size else None,
            "nrmse": float(np.sqrt(np.mean((found - true) ** 2)) / true.mean())
            if true.size
            else None,
            "slope": float(np.polyfit(true, found, 1)[0]) if true.size > 2 else None,
            "coverage": float(np.mean([one[3] <= one[1] <= one[4] for one in known]))  # type: ignore[operator]
            if known
            else None,
            "half_width": float(
                np.median([(one[4] - one[3]) / 2 / one[2] for one in known if one[2]])  # type: ignore[operator]
            )
            if known
            else None,
            "auc": _auc([(-one[2], one[1] < _ISCHAEMIC) for one in stress]),
            "seconds_per_study": float(np.median(self.seconds)) if self.seconds else None,
            "peak_mb": self.peak_bytes / 2**20 if self.peak_bytes else None,
        }


def _auc(scored: list[tuple[float, bool]]) -> float | None:
    """Area under the ROC curve of a score that is higher where the second is true."""
    yes = np.array([score for score, positive in scored if positive])
    no = np.array([score for score, positive in scored if not positive])
    if not yes.size or not no.size:
        return None
    above = yes[:, None] - no[None]
    return float(((above > 0) + 0.5 * (above == 0)).mean())


def wanted(studies: int) -> Iterable[tuple[int, dict[str, Any]]]:
    """Seeds and kinds of the phantoms, the kinds in turn."""
    kinds = list(KINDS.values())
    for number in range(studies):
        yield FIRST_SEED + number, kinds[number % len(kinds)]


def measure(engine_name: str, seed: int, how: dict[str, Any]) -> dict[str, Any]:
    """Let the engine analyse one phantom; gives what the card takes of it."""
    engine = get_engine(engine_name)
    study = make_study(seed, **how)
    begun = time.perf_counter()
    result: StudyResult = engine.analyse(study.series, {}, lambda stage, done: None)
    seconds = time.perf_counter() - begun
    truths = {truth.uid: truth for truth in study.truth}
    segments = [
        (truths[one.uid].state, truths[one.uid].segment_mbf[number], flow.mbf, flow.low, flow.high)
        for one in result.series
        if one.uid in truths
        for number, flow in one.segments.items()
        if flow.mbf is not None and number in truths[one.uid].segment_mbf
    ]
    return {
        "version": str(engine.version),
        "series": len(result.series),
        "refused": len(result.refused),
        "faults": list(contract.faults(study.series, result))[:5],
        "segments": segments,
        "seconds": seconds,
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


def lines(card: Card, say: Callable[[str], str] = str) -> Iterable[str]:
    """The card as text."""
    figures = card.figures()

    def show(name: str, form: str = "{:.3f}") -> str:
        value = figures[name]
        return "not known" if value is None else form.format(value)

    verdict = "conforms" if card.conforms else "does not conform"
    yield f"Engine {card.engine} {card.version}: {verdict}"
    yield f"phantom studies              {card.studies}"
    yield f"series analysed, refused     {card.series}, {card.refused}"
    for fault in dict.fromkeys(card.faults):
        yield f"fault                        {fault}"
    for end, number in Counter(card.ended).items():
        yield f"ended, {number} phantoms            {end}"
    yield f"segments with a flow         {len(card.segments)}"
    yield f"bias of flow                 {show('bias', '{:+.1%}')}"
    yield f"error of flow (NRMSE)        {show('nrmse')}"
    yield f"slope, found on true         {show('slope')}"
    yield f"90 % interval holds truth    {show('coverage', '{:.1%}')}"
    yield f"half width of the interval   {show('half_width', '{:.1%}')}"
    yield f"ischaemic segments, AUC      {show('auc')}"
    yield f"seconds a study              {show('seconds_per_study', '{:.1f}')}"
    yield f"memory at the peak, MB       {show('peak_mb', '{:.0f}')}"


def main() -> None:
    request = json.loads(sys.stdin.read())
    print(json.dumps(measure(request["engine"], request["seed"], request["how"])), flush=True)


if __name__ == "__main__":
    main()

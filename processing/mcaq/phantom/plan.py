"""Everything that all series of one phantom study share."""

from __future__ import annotations

from dataclasses import dataclass

from processing.mcaq.phantom.anatomy import Cutting, Person
from processing.mcaq.phantom.flow import Amount, Defect
from processing.mcaq.phantom.imaging import Grid
from processing.mcaq.phantom.motion import Breathing


@dataclass(frozen=True)
class Plan:
    """The arguments of ``make_study``, settled; see there for their meaning."""

    seed: int
    frames: int
    pd_frames: int
    grid: Grid
    who: Person
    defects: tuple[Defect, ...]
    breathing: Breathing
    breathing_mm: float
    noise: float
    field: float
    dual: bool
    two_echoes: bool
    residual: float
    dose: float
    usual_cut: Cutting
    deep_breaths: int
    mistriggered: int
    corrupted: int
    switch_off: bool
    normalised: float
    dark_rim: bool
    amount: Amount

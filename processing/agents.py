"""Contrast agents and their relaxivity, for protocols that name the agent and not the number.

r1 in whole blood at 37 °C, l/mmol/s, at 1.5 and 3 T (Shen 2015). For gadopiclenol, which is
younger, the values that the open library dcmri has. Measured in plasma, numbers differ by 10 to
40 %, and so do those of other laboratories: a site that knows its own should give it.
"""

from __future__ import annotations

#: By name: at 1.5 T and at 3 T.
AGENTS: dict[str, tuple[float, float]] = {
    "gadobutrol": (4.6, 4.5),
    "gadoterate": (3.9, 3.4),
    "gadoteridol": (4.4, 3.5),
    "gadobenate": (6.2, 5.4),
    "gadopentetate": (4.3, 3.8),
    "gadodiamide": (4.5, 3.9),
    "gadopiclenol": (12.8, 11.6),
}
STRESSORS = ("adenosine", "regadenoson", "dipyridamole", "dobutamine", "none", "other")
#: As where nothing is known of the scanner: see ``processing.mcaq.signal``.
_USUAL_FIELD_T, _BETWEEN_T = 1.5, 2.2


def relaxivity(agent: str, field_t: float | None) -> float:
    """r1 of ``agent``, l/mmol/s, at the nearer of 1.5 and 3 T. Raises KeyError."""
    at_1_5, at_3 = AGENTS[agent]
    return at_1_5 if (field_t or _USUAL_FIELD_T) < _BETWEEN_T else at_3

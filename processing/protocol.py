"""What a site knows of its sequence and DICOM does not say: the keys of a protocol, checked."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from processing.mcaq.agents import RELAXIVITIES

if TYPE_CHECKING:
    # The site's pages know the keys of a protocol too, and never load numerics.
    from processing.mcaq.series import Acquisition

#: A frame each beat, or each second or third beat: as in ``studies.dicom.order``.
SHORTEST_INTERVAL_S, LONGEST_INTERVAL_S = 0.2, 6.0
#: Key: smallest and largest value that makes sense.
NUMBERS: dict[str, tuple[float, float]] = {
    "field_t": (0.05, 12),
    "saturation_time_ms": (1, 2000),
    "flip_angle_deg": (0.1, 180),
    "pd_flip_angle_deg": (0.1, 180),
    "repetition_time_ms": (0.1, 1000),
    "echo_time_ms": (0.01, 100),
    "relaxivity_l_per_mmol_s": (0.1, 50),
    "t1_myocardium_ms": (100, 5000),
    "t1_blood_ms": (100, 5000),
    "haematocrit": (0, 0.8),
    "tissue_density_g_per_ml": (0.5, 2),
    "dose_mmol_per_kg": (0.001, 0.5),
    "frame_interval_s": (SHORTEST_INTERVAL_S, LONGEST_INTERVAL_S),
}
WHOLE_NUMBERS: dict[str, tuple[int, int]] = {
    "pulses_to_centre": (0, 1000),
    "pd_frames": (0, 100),
}
#: What may be given at stress.
STRESSORS = ("adenosine", "regadenoson", "dipyridamole", "dobutamine", "none", "other")
#: Key: the words it may be.
WORDS: dict[str, tuple[str, ...]] = {
    "sequence": ("flash", "bssfp"),
    "agent": tuple(RELAXIVITIES),
    "stressor": STRESSORS,
}
KEYS = (*NUMBERS, *WHOLE_NUMBERS, *WORDS)
#: Not of the signal: how many frames are what, when they came, and what was given.
_BESIDE_THE_SIGNAL = frozenset({"pd_frames", "frame_interval_s", "dose_mmol_per_kg", "stressor"})
#: Of the sequence: the input series has its own in its header. The others are of the patient, the
#: scanner and the agent, and the same for both.
_OF_THE_SEQUENCE = frozenset(
    {
        "saturation_time_ms",
        "flip_angle_deg",
        "pd_flip_angle_deg",
        "repetition_time_ms",
        "echo_time_ms",
        "pulses_to_centre",
        "sequence",
    }
)


class BadProtocol(Exception):
    """A protocol that cannot be used; the text says which key and what it may be."""


@dataclass(frozen=True)
class Protocol:
    """Values that override DICOM; ``aif`` for the low-resolution input series, if given."""

    values: Mapping[str, float | str]
    aif: Mapping[str, float | str] | None = None

    def acquisition(self, header: Acquisition) -> Acquisition:
        """The header's values, overridden."""
        return _override(header, self.values)

    def aif_acquisition(self, header: Acquisition) -> Acquisition:
        """As ``acquisition``, for an input series.

        With a part ``aif`` what is absent in it is inherited from the other part. Without one the
        header of the input series is believed where the sequences may differ.
        """
        if self.aif is not None:
            return _override(header, {**self.values, **self.aif})
        return _override(
            header,
            {
                key: value
                for key, value in self.values.items()
                if key not in _OF_THE_SEQUENCE or getattr(header, key) is None
            },
        )

    @property
    def pd_frames(self) -> int | None:
        """How many frames at the start are proton-density frames; ``None`` where not said."""
        found = self.values.get("pd_frames")
        return None if found is None else int(found)

    @property
    def aif_pd_frames(self) -> int | None:
        found = {**self.values, **(self.aif or {})}.get("pd_frames")
        return None if found is None else int(found)

    @property
    def frame_interval_s(self) -> float | None:
        """One frame every so many seconds, whatever the files say; ``None`` where not said."""
        found = self.values.get("frame_interval_s")
        return None if found is None else float(found)

    @property
    def aif_frame_interval_s(self) -> float | None:
        found = {**self.values, **(self.aif or {})}.get("frame_interval_s")
        return None if found is None else float(found)


def _override(header: Acquisition, values: Mapping[str, float | str]) -> Acquisition:
    known = {key: value for key, value in values.items() if key not in _BESIDE_THE_SIGNAL}
    return replace(header, **known)  # type: ignore[arg-type]


def load(path: Path) -> Mapping[str, Any]:
    """Read a protocol file. Raises BadProtocol; the values are checked by ``check``."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise BadProtocol(f"The protocol {path.name} could not be opened.") from None
    except (ValueError, RecursionError):
        raise BadProtocol(
            f"The protocol {path.name} is not valid JSON. Check its commas, quotes and brackets."
        ) from None
    if not isinstance(found, dict):
        raise BadProtocol(
            f'The protocol {path.name} must be one JSON object, such as {{"field_t": 3}}.'
        )
    check(found)
    return found


def check(given: Mapping[str, Any] | None) -> Protocol:
    """Check each key and value. Raises BadProtocol."""
    given = dict(given or {})
    aif = given.pop("aif", None)
    if aif is not None and not isinstance(aif, Mapping):
        raise BadProtocol('The protocol\'s "aif" must be an object with the same keys.')
    return Protocol(_values(given, ""), None if aif is None else _values(aif, "aif."))


def _values(given: Mapping[str, Any], prefix: str) -> dict[str, float | str]:
    values: dict[str, float | str] = {}
    for key, value in given.items():
        if key not in KEYS:
            known = ", ".join(KEYS if prefix else (*KEYS, "aif"))
            raise BadProtocol(f"The protocol has an unknown key {prefix}{key}. Known are {known}.")
        if value is None:
            continue
        values[key] = _value(key, value, f"{prefix}{key}")
    return values


def _value(key: str, value: Any, shown: str) -> float | str:
    if key in WORDS:
        if value not in WORDS[key]:
            raise BadProtocol(f"The protocol's {shown} must be one of {', '.join(WORDS[key])}.")
        return str(value)
    low, high = WHOLE_NUMBERS.get(key) or NUMBERS[key]
    kind = "a whole number" if key in WHOLE_NUMBERS else "a number"
    usable = (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and math.isfinite(value)
        and low <= value <= high
        and (key not in WHOLE_NUMBERS or value == int(value))
    )
    if not usable:
        raise BadProtocol(f"The protocol's {shown} must be {kind} from {low:g} to {high:g}.")
    return int(value) if key in WHOLE_NUMBERS else float(value)

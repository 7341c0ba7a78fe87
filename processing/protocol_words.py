"""What the values of a protocol are called, in which unit, and a hint for who fills them in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext_lazy as _


@dataclass(frozen=True)
class Word:
    """A value's name for the reader, its unit, an example and a hint of a line."""

    label: Any
    unit: str
    example: str
    hint: Any

    @property
    def label_with_unit(self) -> str:
        return f"{self.label} ({self.unit})" if self.unit else str(self.label)


WORDS: dict[str, Word] = {
    "sequence": Word(
        _("Sequence"), "", "flash",
        _("Only if the files do not tell it: the signal is computed otherwise for each."),
    ),
    "saturation_time_ms": Word(
        _("Time from saturation to the image"), "ms", "100",
        _("From the saturation pulse to the centre of k-space. Usually 80 to 150. 100 is assumed "
          "where the files do not say."),
    ),
    "flip_angle_deg": Word(
        _("Flip angle"), "degrees", "12",
        _("Usually 8 to 20 for a spoiled gradient echo, about 50 for balanced SSFP."),
    ),
    "pd_flip_angle_deg": Word(
        _("Flip angle of proton-density frames"), "degrees", "5",
        _("Usually 5 to 8. 5 is assumed where the files do not say."),
    ),
    "pd_frames": Word(
        _("Proton-density frames at the start"), "", "2",
        _("How many frames come before the saturation pulses begin. Usually 0 to 5."),
    ),
    "repetition_time_ms": Word(
        _("Time between two pulses"), "ms", "2.2",
        _("Usually 1.5 to 3. Some files give the time of the whole shot instead."),
    ),
    "echo_time_ms": Word(_("Echo time"), "ms", "1.1", _("Usually 0.5 to 1.5.")),
    "pulses_to_centre": Word(
        _("Pulses to the centre of k-space"), "", "30",
        _("About half the lines of a shot, if they are taken in order."),
    ),
    "frame_interval_s": Word(
        _("One frame every"), "s", "1.0",
        _("Only for a sequence that does not follow the heart beat and whose files hold no true "
          "times: it replaces the times of the files in every study."),
    ),
    "relaxivity_l_per_mmol_s": Word(
        _("Relaxivity r1 of the agent"), "l/mmol/s", "4.6",
        _("In blood, at your field strength. Empty: taken from a list for the agent above."),
    ),
    "dose_mmol_per_kg": Word(
        _("Dose of each injection"), "mmol/kg", "0.05",
        _("Usually 0.03 to 0.1. Kept with each result; flow is not computed from it."),
    ),
    "field_t": Word(
        _("Field strength"), "T", "1.5", _("Only if the files do not state it, or wrongly."),
    ),
    "t1_blood_ms": Word(
        _("T1 of blood before contrast"), "ms", "1700",
        _("1700 is assumed at 1.5 T, 2000 at 3 T."),
    ),
    "t1_myocardium_ms": Word(
        _("T1 of heart muscle before contrast"), "ms", "1100",
        _("1100 is assumed at 1.5 T, 1300 at 3 T."),
    ),
    "haematocrit": Word(
        _("Haematocrit"), "", "0.42",
        _("As a fraction, not in percent. 0.42 is assumed."),
    ),
    "tissue_density_g_per_ml": Word(
        _("Density of heart muscle"), "g/ml", "1.05", _("1.05 is assumed."),
    ),
    "agent": Word(
        _("Contrast agent"), "", "gadobutrol",
        _("Its relaxivity follows from it and the field strength, unless you give the number."),
    ),
    "stressor": Word(
        _("Stressor"), "", "adenosine",
        _("Kept with each result; flow is not computed from it."),
    ),
}  # fmt: skip
SEQUENCE = (
    "sequence", "saturation_time_ms", "flip_angle_deg", "pd_flip_angle_deg", "pd_frames",
    "repetition_time_ms", "echo_time_ms", "pulses_to_centre", "frame_interval_s",
)  # fmt: skip
GIVEN = ("agent", "relaxivity_l_per_mmol_s", "dose_mmol_per_kg", "stressor")
TISSUE = ("field_t", "t1_blood_ms", "t1_myocardium_ms", "haematocrit", "tissue_density_g_per_ml")


def rows(values: Mapping[str, Any]) -> list[dict[str, str]]:
    """The values that a protocol gives, each with its name and unit, in the order of the form."""
    told = [_row(WORDS[key], values[key]) for key in (*SEQUENCE, *GIVEN, *TISSUE) if key in values]
    aif = values.get("aif") or {}
    also = str(_("input series"))
    return told + [
        _row(WORDS[key], aif[key], f", {also}") for key in (*SEQUENCE, *TISSUE) if key in aif
    ]


def _row(word: Word, value: Any, more: str = "") -> dict[str, str]:
    shown = value if isinstance(value, str) else f"{value:g}"
    return {"label": f"{word.label}{more}", "value": f"{shown} {word.unit}".rstrip()}

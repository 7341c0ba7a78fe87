"""Contrast agents and their relaxivity in blood."""

from __future__ import annotations

#: r1, l/mmol/s, at 1.5 and 3 T: whole blood at 37 °C (Shen 2015). Gadobutrol is 4.6 there, and 4.78
#: in plasma (Szomolanyi 2019); gadopiclenol as the open library dcmri tables it. Numbers of other
#: laboratories differ by 10 to 40 %: a site that knows its own should give it.
RELAXIVITIES = {
    "gadobutrol": {1.5: 4.7, 3.0: 4.5},
    "gadoterate": {1.5: 3.9, 3.0: 3.4},
    "gadoteridol": {1.5: 4.4, 3.0: 3.5},
    "gadobenate": {1.5: 6.2, 3.0: 5.4},
    "gadopentetate": {1.5: 4.3, 3.0: 3.8},
    "gadodiamide": {1.5: 4.5, 3.0: 3.9},
    "gadopiclenol": {1.5: 12.8, 3.0: 11.6},
}
USUAL_AGENT = "gadobutrol"

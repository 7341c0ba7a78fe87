"""The 16 AHA segments by name."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

AHA_NAMES = {
    1: _("Basal anterior"),
    2: _("Basal anteroseptal"),
    3: _("Basal inferoseptal"),
    4: _("Basal inferior"),
    5: _("Basal inferolateral"),
    6: _("Basal anterolateral"),
    7: _("Mid anterior"),
    8: _("Mid anteroseptal"),
    9: _("Mid inferoseptal"),
    10: _("Mid inferior"),
    11: _("Mid inferolateral"),
    12: _("Mid anterolateral"),
    13: _("Apical anterior"),
    14: _("Apical septal"),
    15: _("Apical inferior"),
    16: _("Apical lateral"),
}

"""The digital phantom: perfusion studies whose truth is known. See ``make_study``."""

from processing.mcaq.phantom.flow import Defect
from processing.mcaq.phantom.study import DEFAULT_LEVELS, DEFAULT_STATES, Orientation, make_study
from processing.mcaq.phantom.truth import PhantomStudy, Placement, SeriesTruth

__all__ = [
    "DEFAULT_LEVELS",
    "DEFAULT_STATES",
    "Defect",
    "Orientation",
    "PhantomStudy",
    "Placement",
    "SeriesTruth",
    "make_study",
]

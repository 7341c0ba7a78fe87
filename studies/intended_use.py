"""Intended use, in one place: pages, files and reports take it from here."""

INTENDED_USE = "For research and evaluation. Not for diagnosis."

"""Makers and models of scanners as the rebuilt files name them: nothing else survives there."""

from __future__ import annotations

#: How a maker's name begins in capitals, and what is written for it.
MAKERS = (
    ("SIEMENS", "SIEMENS"),
    ("GE ", "GE MEDICAL SYSTEMS"),
    ("PHILIPS", "Philips"),
    ("CANON", "CANON"),
    ("TOSHIBA", "TOSHIBA"),
    ("UIH", "UIH"),
    ("UNITED IMAGING", "UIH"),
    ("HITACHI", "HITACHI"),
)
MAKER_NAMES = tuple(dict.fromkeys(name for _, name in MAKERS))
MODELS = (
    "Avanto", "Aera", "Espree", "Sola", "Altea", "Amira", "Symphony", "Sonata", "Skyra", "Trio",
    "TrioTim", "Verio", "Prisma", "Vida", "Lumina", "Biograph_mMR", "Free.Max", "Achieva", "Intera",
    "Ingenia", "Ambition", "Elition", "SIGNA", "Signa", "GENESIS_SIGNA", "Optima", "Discovery",
    "Artist", "Premier", "Voyager", "Vantage", "Titan", "Galan", "Orian",
)  # fmt: skip

"""Measure the engine against truths that are known; 1 if a figure falls short of its mark.

.venv/bin/python -m scripts.bench [--seeds N]
    [--only typical,hard,real,evidence,curves,models,speed,classic]
"""

from __future__ import annotations

import argparse
import os
import sys

# As in manage.py, and before numpy is imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from scripts.bench import classic, curves, evidence, models, phantoms, real, speed
from scripts.bench.table import Figure, lines

PARTS = ("typical", "hard", "real", "evidence", "curves", "models", "speed", "classic")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.bench", description=__doc__)
    parser.add_argument("--seeds", type=int, default=2, help="phantoms of each kind")
    parser.add_argument("--only", default=",".join(PARTS), help=f"some of {', '.join(PARTS)}")
    chosen = parser.parse_args(arguments)
    parts = chosen.only.split(",")
    unknown = set(parts) - set(PARTS)
    if unknown:
        print(f"There is no part {', '.join(sorted(unknown))}.", file=sys.stderr)
        return 2
    figures: list[Figure] = []
    if "typical" in parts:
        found = phantoms.measure(phantoms.TYPICAL, chosen.seeds, _said)
        figures += phantoms.figures(found, "typical phantoms", hard=False)
    if "hard" in parts:
        found = phantoms.measure(phantoms.HARD, chosen.seeds, _said)
        figures += phantoms.figures(found, "hard phantoms", hard=True)
    root = real.data_root()
    if root is None and {"real", "evidence", "curves", "models", "classic"} & set(parts):
        print("The shared test data are not on this machine; real patients and the simulator's "
              "curves are left out.", file=sys.stderr)  # fmt: skip
    if root is not None and "real" in parts:
        figures += real.figures(*real.measure(root, _said))
    if root is not None and "evidence" in parts:
        figures += evidence.figures(evidence.measure(root, _said))
    if root is not None and "curves" in parts:
        figures += curves.figures(curves.flows(root))
    if "models" in parts:
        figures += models.figures(root, chosen.seeds, _said)
    if "speed" in parts:
        figures += speed.figures(_said)
    if "classic" in parts:
        figures += classic.figures(classic.measure(min(chosen.seeds, 2), root, _said))
    _said("")
    print("\n".join(lines(figures)))
    short = [one for one in figures if one.falls_short]
    if short:
        print(f"{len(short)} of {sum(f.reach is not None for f in figures)} figures fall short.")
    return 1 if short else 0


def _said(what: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{what}")
        sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())

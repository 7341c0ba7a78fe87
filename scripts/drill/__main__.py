"""Run a drill: 1 if a figure falls short of its mark.

.venv/bin/python -m scripts.drill NAME [--only part,part]

A drill's parts are the modules NAME_PART.py in this folder; each has ``measure(said)``, which
gives its figures and tells ``said`` how far it is.
"""

from __future__ import annotations

import argparse
import os
import sys

# As in manage.py, and before numpy is imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from scripts.bench.table import Figure, show
from scripts.drill.parts import measured, parts_of


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.drill", description=__doc__)
    parser.add_argument("drill")
    parser.add_argument("--only", default="", help="some of its parts, with commas between")
    chosen = parser.parse_args(arguments)
    there = parts_of(chosen.drill)
    if not there:
        print(f"There is no drill {chosen.drill}.", file=sys.stderr)
        return 2
    parts = chosen.only.split(",") if chosen.only else there
    unknown = set(parts) - set(there)
    if unknown:
        print(f"There is no part {', '.join(sorted(unknown))}.", file=sys.stderr)
        return 2
    figures: list[Figure] = []
    for part in parts:
        figures += measured(chosen.drill, part)
    return show(figures)


if __name__ == "__main__":
    sys.exit(main())

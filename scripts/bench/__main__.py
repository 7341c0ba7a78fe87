"""Measure the engine against truths that are known; 1 if a figure falls short of its mark.

.venv/bin/python -m scripts.bench [--seeds N]
    [--only typical,hard,real,evidence,curves,models,speed,classic,peers]
    [--peers-python PYTHON] [--peers-limit SECONDS]

The part "peers" takes minutes and programs that the project does not need: it runs only when named.
"""

from __future__ import annotations

import argparse
import os
import sys

# As in manage.py, and before numpy is imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from scripts.bench import classic, curves, evidence, models, peers, phantoms, real, speed
from scripts.bench.table import Figure, said, show

PARTS = ("typical", "hard", "real", "evidence", "curves", "models", "speed", "classic")
ONLY_NAMED = ("peers",)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.bench", description=__doc__)
    parser.add_argument("--seeds", type=int, default=2, help="phantoms of each kind")
    parser.add_argument(
        "--only", default=",".join(PARTS), help=f"some of {', '.join((*PARTS, *ONLY_NAMED))}"
    )
    parser.add_argument("--peers-python", default=sys.executable,
                        help="a Python that has mdreg, itk-elastix, dcmri")  # fmt: skip
    parser.add_argument("--peers-limit", type=float, default=peers.LIMIT_S,
                        help="seconds a peer may take for a slice")  # fmt: skip
    chosen = parser.parse_args(arguments)
    parts = chosen.only.split(",")
    unknown = set(parts) - {*PARTS, *ONLY_NAMED}
    if unknown:
        print(f"There is no part {', '.join(sorted(unknown))}.", file=sys.stderr)
        return 2
    figures: list[Figure] = []
    if "typical" in parts:
        found = phantoms.measure(phantoms.TYPICAL, chosen.seeds, said)
        figures += phantoms.figures(found, "typical phantoms", hard=False)
    if "hard" in parts:
        found = phantoms.measure(phantoms.HARD, chosen.seeds, said)
        figures += phantoms.figures(found, "hard phantoms", hard=True)
    root = real.data_root()
    if root is None and {"real", "evidence", "curves", "models", "classic", "peers"} & set(parts):
        print("The shared test data are not on this machine; real patients and the simulator's "
              "curves are left out.", file=sys.stderr)  # fmt: skip
    if root is not None and "real" in parts:
        figures += real.figures(*real.measure(root, said))
    if root is not None and "evidence" in parts:
        figures += evidence.figures(evidence.measure(root, said))
    if root is not None and "curves" in parts:
        figures += curves.figures(curves.flows(root))
    if "models" in parts:
        figures += models.figures(root, chosen.seeds, said)
    if "speed" in parts:
        figures += speed.figures(said)
    if "classic" in parts:
        figures += classic.figures(classic.measure(min(chosen.seeds, 2), root, said))
    if "peers" in parts:
        figures += peers.figures(root, chosen.peers_python, chosen.peers_limit, said)
    return show(figures)


if __name__ == "__main__":
    sys.exit(main())

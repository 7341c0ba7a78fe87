"""One analysis of a phantom, for drills that need a processor at work."""

from __future__ import annotations

from processing.engines import get_engine
from processing.mcaq.phantom import make_study

if __name__ == "__main__":
    get_engine("mcaq").analyse(make_study(9).series, {}, lambda stage, done: None)

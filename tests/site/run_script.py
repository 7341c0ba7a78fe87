"""Runs a script by its path: children are started by a module's name."""

import runpy
import sys

if __name__ == "__main__":
    runpy.run_path(sys.argv[1])

"""Compile requirements/*.in to lock files with hashes and without any address of an index.

    .venv/bin/python -m scripts.lock [--upgrade]

They are resolved for the oldest Python that is supported, and hold for the newer ones.
"""

from __future__ import annotations

import sys

from scripts import environment
from scripts.steps import CHECKOUT, StepError, Steps, run

# "3.11" would mean 3.11.0 and bring a package that only its first patches need.
_OLDEST = "3.11.7"
# The larger sets keep to the pins of the smaller ones.
_SETS = (
    ("base", None), ("azure", "base"), ("demo", "base"), ("dev", "demo"), ("node", None),
    ("lock", None),
)  # fmt: skip


def main(arguments: list[str]) -> int:
    """Compile all sets; keeps the pins there are unless asked to upgrade."""
    steps = Steps(len(_SETS) + 1)
    try:
        with steps.step("uv"):
            if not environment.is_installed("lock"):
                environment.install("lock")
        for name, smaller in _SETS:
            with steps.step(f"requirements/{name}.txt"):
                folder = CHECKOUT / "requirements"
                constraint = ["-c", f"requirements/{smaller}.txt"] if smaller else []
                run(
                    [
                        environment.VENV / "bin" / "uv", "pip", "compile", "--quiet",
                        "--generate-hashes", "--no-emit-index-url", "--no-emit-find-links",
                        "--python-version", _OLDEST, "--custom-compile-command", "make lock",
                        *constraint, *arguments, f"requirements/{name}.in",
                        "--output-file", folder / f"{name}.txt",
                    ],
                )  # fmt: skip
    except StepError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

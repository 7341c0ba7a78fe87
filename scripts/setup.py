"""Make what the commands need: Python environment, packages, front end. Quick when all is there.

    python3 -m scripts.setup base|demo|dev [--chosen] [--more N]

Runs on the machine's Python with its standard library only.
"""

from __future__ import annotations

import argparse
import fcntl
import sys

from scripts import environment, frontend
from scripts.steps import CHECKOUT, StepError, Steps, told_to_stop

STEPS = 3


def main(arguments: list[str] | None = None) -> int:
    """Set up for a site (base), the demo with its own database, or tests and checks too (dev)."""
    parser = argparse.ArgumentParser(prog="python3 -m scripts.setup")
    parser.add_argument("packages", choices=["base", "demo", "dev"])
    parser.add_argument("--chosen", action="store_true", help="the person has named this Python")
    parser.add_argument("--more", type=int, default=0, help="steps of the command that follows")
    options = parser.parse_args(arguments)
    steps = Steps(STEPS + options.more)
    folder = CHECKOUT / "var"
    folder.mkdir(exist_ok=True)
    try:
        with told_to_stop(), (folder / "setup.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # two commands at once: the second waits
            _set_up(steps, options.packages, chosen=options.chosen)
    except StepError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped. Run the same command again to go on.", file=sys.stderr)
        return 130
    return 0


def _set_up(steps: Steps, packages: str, *, chosen: bool) -> None:
    with steps.step("Python environment"):
        environment.ensure_venv(chosen=chosen)
    with steps.step("Python packages"):
        if not environment.is_installed(packages):
            environment.install(packages)
    with steps.step("Front end") as step:
        frontend.ensure_built(step)


if __name__ == "__main__":
    sys.exit(main())

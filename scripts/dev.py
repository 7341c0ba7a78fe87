"""The site for development: server, worker and front end, each anew when its sources change.

    .venv/bin/python -m scripts.dev

Uses the demo's database and people, with Django's error pages.
"""

from __future__ import annotations

import os
import sys
import time

from scripts import frontend, postgres
from scripts.demo import VAR, make_secrets, manage, only_one, stop
from scripts.processes import Child, Children
from scripts.steps import CHECKOUT, StepError, Steps, told_to_stop

_LOOK_SECONDS = 1.0
_PYTHON_FOLDERS = ("corecmr", "accounts", "studies", "processing")


def main() -> int:
    """Run until told to stop."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "corecmr.settings.demo"
    try:
        with told_to_stop(), only_one():
            _run()
    except KeyboardInterrupt:
        return 0
    except (StepError, postgres.LauncherError) as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    return 0


def _run() -> None:
    children = Children(VAR / "logs")
    started_database = False
    try:
        with Steps(1).step("Database"):
            make_secrets()
            started_database = postgres.ensure_started()
            manage("migrate", "--no-input", "--verbosity", "0")
            said = manage("seed_demo")
            manage("seed_cohort")
        print(said, flush=True)
        os.environ["DJANGO_SETTINGS_MODULE"] = "corecmr.settings.dev"
        node = frontend.find_node()
        children.start(
            "front end",
            [node.node, str(CHECKOUT / "frontend" / "build.mjs"), "--watch"],
            environment=node.environment(),
            shown=True,
        )
        port = os.environ.get("PORT") or "8000"
        children.start("web server", _django("runserver", f"127.0.0.1:{port}"), shown=True)
        _keep_worker_fresh(children)
    finally:
        stop(children, stop_database=started_database)


def _keep_worker_fresh(children: Children) -> None:
    worker, seen = _worker(children), _newest()
    while True:
        children.check()
        time.sleep(_LOOK_SECONDS)
        if (newest := _newest()) != seen:
            seen = newest
            print("Python sources changed: starting the worker anew.", flush=True)
            children.end(worker, patience=40)
            worker = _worker(children)


def _worker(children: Children) -> Child:
    return children.start("worker", _django("runworker"), shown=True)


def _django(*arguments: str) -> list[str]:
    return [sys.executable, str(CHECKOUT / "manage.py"), *arguments]


def _newest() -> tuple[int, float]:
    """How many Python files there are, and when one was last changed."""
    times = [
        path.stat().st_mtime for name in _PYTHON_FOLDERS for path in (CHECKOUT / name).rglob("*.py")
    ]
    return len(times), max(times)


if __name__ == "__main__":
    sys.exit(main())

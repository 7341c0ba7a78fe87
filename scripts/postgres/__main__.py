"""The launcher's command line."""

from __future__ import annotations

import argparse
import os
import sys

from scripts import postgres


def main(arguments: list[str] | None = None) -> int:
    """Do one command; 0 if done, 1 if it failed, 3 for the status of a server that is not up."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.postgres", description="The checkout's own PostgreSQL server."
    )
    parser.add_argument("command", choices=["start", "stop", "status", "url", "reset"])
    parser.add_argument("--test", action="store_true", help="the tests' server: quick, not durable")
    options = parser.parse_args(arguments)
    try:
        return _do(options.command, test=options.test)
    except postgres.LauncherError as error:
        print(error, file=sys.stderr)
        return 1


def _do(command: str, *, test: bool) -> int:
    if command == "url":
        url = postgres.database_url(test=test)
        if not url:
            raise postgres.LauncherError("No server was started here yet. Use the command start.")
        print(url)
        return 0
    if os.environ.get("DATABASE_URL"):
        print("DATABASE_URL is set: that server is used, and it is not controlled from here.")
        return 0
    this = postgres.server(test=test)
    if command == "start":
        print("started" if postgres.start(this) else "running already")
    elif command == "stop":
        print("stopped" if postgres.stop(this) else "not running")
    elif command == "status":
        running = postgres.running(this)
        print("running" if running else "not running")
        return 0 if running else 3
    else:
        postgres.reset(this)
        print("deleted")
    return 0


if __name__ == "__main__":
    sys.exit(main())

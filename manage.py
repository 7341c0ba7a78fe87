#!/usr/bin/env python
"""The command line of the site. Without DJANGO_SETTINGS_MODULE it uses the demo settings."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "corecmr.settings.demo")
    # The engine solves many small systems: threads wait for each other longer than they compute.
    # It must be said before numpy is imported.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from django.core.management import execute_from_command_line

    # A command is a module, whose name has no hyphen; people write one.
    command = [word.replace("-", "_") for word in sys.argv[1:2] if not word.startswith("-")]
    execute_from_command_line([sys.argv[0], *command, *sys.argv[1 + len(command) :]])


if __name__ == "__main__":
    main()

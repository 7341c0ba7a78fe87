"""A database and folders for a drill: the tests' server, and a database of the drill's own."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def server() -> Iterator[None]:
    """The tests' database server, stopped afterwards if it did not run before."""
    from scripts import postgres

    started = postgres.ensure_started(test=True)
    try:
        yield
    finally:
        if started:
            postgres.stop(postgres.server(test=True))


@contextmanager
def scene() -> Iterator[None]:
    """Django with the tests' settings and a fresh database, which is deleted afterwards."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "corecmr.settings.test"
    import django

    django.setup()
    from django.conf import settings
    from django.db import connection
    from django.test.utils import setup_test_environment, teardown_test_environment

    from scripts import postgres

    logging.getLogger("django.request").setLevel(logging.ERROR)  # refusals are what is drilled
    setup_test_environment(debug=False)
    before = connection.settings_dict["NAME"]
    connection.settings_dict["TEST"]["NAME"] = f"drill_{os.getpid()}"
    connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    try:
        yield
    finally:
        connection.creation.destroy_test_db(before, verbosity=0)
        teardown_test_environment()
        if settings.DATABASE_STARTED:
            postgres.stop(postgres.server(test=True))

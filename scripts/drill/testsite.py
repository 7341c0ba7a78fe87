"""A site with a database of its own for a drill, as tests have it; all of it goes afterwards."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def test_site() -> Iterator[None]:
    """Settings of the tests, an empty database, mail that stays in memory."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "corecmr.settings.test"
    import django

    django.setup()
    from django.conf import settings
    from django.test.utils import (
        setup_databases,
        setup_test_environment,
        teardown_databases,
        teardown_test_environment,
    )

    from scripts import postgres

    setup_test_environment()
    try:
        made = setup_databases(verbosity=0, interactive=False)
        try:
            yield
        finally:
            teardown_databases(made, verbosity=0)
    finally:
        teardown_test_environment()
        if settings.DATABASE_STARTED:
            postgres.stop(postgres.server(test=True))

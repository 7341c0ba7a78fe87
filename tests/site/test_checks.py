"""The checks that keep a wrongly set up site from starting, and those that it passes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.checks import run_checks
from django.core.management import CommandError, call_command

from corecmr import checks, queue
from processing.checks import default_engine_exists
from tests.conftest import CHECKOUT


def messages(found) -> list[str]:
    return [message.msg for message in found]


def test_the_site_as_it_is_passes():
    assert run_checks() == []


def test_a_job_that_leads_nowhere_is_named(monkeypatch):
    monkeypatch.setitem(queue.JOBS, "dream", "processing.tasks.dream")
    assert messages(checks.jobs_resolve()) == [
        "The job 'dream' names processing.tasks.dream, which does not exist."
    ]


def test_the_queue_must_not_give_out_work_that_is_still_being_done(settings):
    """Messages wait for workers and then run, up to the timeout each time."""
    cluster = settings.Q_CLUSTER
    for queue_limit, waits in ((cluster["workers"], 1), (3 * cluster["workers"], 3)):
        shortest = cluster["timeout"] * (2 + waits)
        settings.Q_CLUSTER = {**cluster, "queue_limit": queue_limit, "retry": shortest}
        assert "retry must exceed timeout" in messages(checks.queue_clock())[0]
        settings.Q_CLUSTER = {**cluster, "queue_limit": queue_limit, "retry": shortest + 1}
        assert checks.queue_clock() == []


def test_a_run_must_end_before_the_queue_ends_its_worker(settings):
    settings.RUN_WALL_SECONDS = settings.Q_CLUSTER["timeout"]
    assert messages(checks.queue_clock()) == [
        "RUN_WALL_SECONDS must lie below the queue's timeout."
    ]


@pytest.mark.parametrize("place", [".", "media", ".."])
def test_stored_files_must_not_lie_among_public_ones(settings, place):
    media = (Path(settings.STATIC_ROOT) / place).resolve()
    files = {"BACKEND": "django.core.files.storage.FileSystemStorage"}
    settings.STORAGES = {
        **settings.STORAGES, "default": {**files, "OPTIONS": {"location": str(media)}},
    }  # fmt: skip
    (message,) = messages(checks.media_is_private())
    assert f"Stored files lie in {media}" in message


def test_files_in_a_bucket_have_no_place_on_this_disk(settings):
    settings.STORAGES = {
        **settings.STORAGES, "default": {"BACKEND": "storages.backends.s3.S3Storage"},
    }  # fmt: skip
    assert checks.media_is_private() == []


def test_the_engine_of_record_must_be_installed(settings):
    settings.DEFAULT_ENGINE = "dream"
    (message,) = messages(default_engine_exists())
    assert "DEFAULT_ENGINE is 'dream'" in message
    assert "mcaq" in message


def test_a_command_stops_at_such_a_mistake(settings):
    settings.DEFAULT_ENGINE = "dream"
    with pytest.raises(Exception, match="DEFAULT_ENGINE is 'dream'") as failure:
        call_command("check")
    assert isinstance(failure.value, CommandError)


def test_setting_the_site_up_loads_nothing_heavy():
    """Web processes are light, and numpy must be told of its threads before it is imported."""
    program = (
        "import sys, django; django.setup(); "
        "print([name for name in ('numpy', 'pydicom', 'scipy', 'pandas') if name in sys.modules])"
    )
    said = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=CHECKOUT,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "corecmr.settings.test"},
    )  # fmt: skip
    assert said.stdout.strip() == "[]"

"""Worker, reaper and watchdog: runs the queue's cluster and never trusts it to be alive."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import Error, close_old_connections, transaction
from django.db.models import Q
from django.utils import timezone

from accounts import chain
from corecmr.queue import enqueue, take_back
from processing import runs, truth
from processing.models import Pulse, Run
from studies import erasure, uploads
from studies.models import Upload

log = logging.getLogger(__name__)

REAP_SECONDS = 0.5
PING_SECONDS = 2.0
DRAIN_SECONDS = 30.0
SWEEP_SECONDS = 3600.0
HEAD_SECONDS = 3600.0


class Command(BaseCommand):
    help = "Run the worker: the queue's cluster, its watchdog and the reaper of lapsed work."

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument(
            "--silence", type=float, default=15.0,
            help="seconds without an answer after which the cluster is started anew",
        )  # fmt: skip

    def handle(self, *args: Any, silence: float, **options: Any) -> None:
        self.stopping = False
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        name = f"{socket.gethostname()[:24]}-{os.getpid()}"
        self.orphans = settings.VAR_DIR / "worker.pgid"
        self._end_orphans()
        self._start()
        last_ping = last_sweep = 0.0
        last_head = -HEAD_SECONDS
        try:
            while not self.stopping:
                time.sleep(REAP_SECONDS)
                try:
                    close_old_connections()
                    runs.reap()
                    uploads.reap()
                    if time.monotonic() - last_sweep > SWEEP_SECONDS:
                        last_sweep = time.monotonic()
                        uploads.sweep()
                        truth.due()
                    erasure.reap()
                    if time.monotonic() - last_head > HEAD_SECONDS:
                        last_head = time.monotonic()
                        self._keep_head()
                    if time.monotonic() - last_ping > PING_SECONDS:
                        last_ping = time.monotonic()
                        self._ping(name)
                    frozen = self._silent_for(name) > silence
                    if frozen or self.cluster.poll() is not None:
                        log.error(
                            "the cluster %s; starting it anew", "froze" if frozen else "ended"
                        )
                        self._kill()
                        Pulse.objects.filter(cluster=name).update(rung_at=None)
                        self._start()
                except Error as error:
                    # The database is away: the cluster reconnects by itself, and so do we.
                    log.warning("database not available: %s", type(error).__name__)
        finally:
            self._drain()
            with suppress(Error):
                Pulse.objects.filter(cluster=name).delete()

    def _stop(self, *args: Any) -> None:
        self.stopping = True

    def _start(self) -> None:
        """Start a cluster where none lives, after clearing up behind the one before."""
        # Attempts that were killed leave their folders, with images as they came from outside.
        for folder in settings.SCRATCH_DIR.glob("*"):
            shutil.rmtree(folder, ignore_errors=True)
        with suppress(Error):
            take_back()
        self.cluster = subprocess.Popen(
            [sys.executable, str(settings.BASE_DIR / "manage.py"), "qcluster"],
            start_new_session=True,
        )
        self.started = timezone.now()
        self.orphans.parent.mkdir(parents=True, exist_ok=True)
        self.orphans.write_text(str(self.cluster.pid))

    def _keep_head(self) -> None:
        """The record's head outside the database; a full disk is no reason to stop working."""
        try:
            chain.keep_head()
        except OSError as error:
            log.error("the head of the record was not kept: %s", type(error).__name__)

    def _ping(self, name: str) -> None:
        """One question at a time: unanswered ones would pile up behind long work."""
        with transaction.atomic():
            pulse, _ = Pulse.objects.get_or_create(cluster=name)
            if pulse.rung_at and (pulse.answered_at is None or pulse.answered_at < pulse.rung_at):
                return
            pulse.rung_at = timezone.now()
            pulse.save(update_fields=["rung_at"])
            enqueue("ping", pulse.pk)

    def _silent_for(self, name: str) -> float:
        """Seconds in which nothing shows that the cluster lives, while a question is open."""
        pulse = Pulse.objects.filter(cluster=name).first()
        if pulse is None or pulse.rung_at is None:
            return 0
        if pulse.answered_at and pulse.answered_at >= pulse.rung_at:
            return 0
        now = timezone.now()
        # Work in hand renews its lease; then the question just waits behind it.
        if Run.objects.filter(state=Run.State.RUNNING, lease_until__gt=now).exists():
            return 0
        if Upload.objects.filter(
            Q(state=Upload.State.CHECKING),
            lease_until__gt=now + uploads.LEASE - timedelta(seconds=15),
        ).exists():
            return 0
        return (now - max(pulse.rung_at, self.started)).total_seconds()

    def _drain(self) -> None:
        """Let running work end; what does not end in time is taken up again elsewhere."""
        if self.cluster.poll() is None:
            # Only the cluster's first process: a signal to the whole group makes it hang.
            self.cluster.terminate()
            try:
                self.cluster.wait(timeout=DRAIN_SECONDS)
            except subprocess.TimeoutExpired:
                log.warning("the cluster did not end in %s seconds", DRAIN_SECONDS)
        self._kill()
        self.orphans.unlink(missing_ok=True)

    def _kill(self) -> None:
        _kill_group(self.cluster.pid)
        self.cluster.wait()

    def _end_orphans(self) -> None:
        """Workers of a cluster whose watchdog was killed keep working: two clusters at once."""
        try:
            group = int(self.orphans.read_text())
        except (FileNotFoundError, ValueError):
            return
        for status in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = status.read_text().rsplit(")", 1)[1].split()
                command = (status.parent / "cmdline").read_bytes()
            except OSError:
                continue
            if int(fields[2]) == group and b"qcluster" in command:
                log.warning("ending the workers that an earlier watchdog left behind")
                _kill_group(group)
                return


def _kill_group(group: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)

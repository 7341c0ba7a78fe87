"""Whether the site is well: a list of checks, each with a number and a plain sentence."""

from __future__ import annotations

import shutil
import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

from accounts.identifiers import new_public_id
from processing import states
from processing.models import Pulse, Run
from studies.models import SiteCheck, Upload

#: Work that waits longer than this finds no worker.
MOST_WAITING = timedelta(minutes=30)
#: A worker that lives answers within its watchdog's pace.
MOST_SILENCE = timedelta(minutes=5)
LEAST_FREE_SHARE, LEAST_FREE_BYTES = 0.05, 2 * 1024**3
LEAST_CERTIFICATE_DAYS = 14
MOST_BACKUP_AGE = timedelta(hours=26)
MOST_TRUTH_AGE = timedelta(hours=50)


@dataclass(frozen=True)
class Check:
    """name: stable, for programs. ok: None where there is nothing to check. value: in ``unit``."""

    name: str
    ok: bool | None
    sentence: str
    value: float | None = None
    unit: str = ""


def ready() -> list[Check]:
    """What must hold before readers are sent here: the database, as this version needs it."""
    return [_guarded("database", _database), _guarded("migrations", _migrations)]


def deep() -> list[Check]:
    """Everything that an administrator should know of."""
    checks = ready()
    if not checks[0].ok:
        return checks
    for name, check in (
        ("queue", _queue), ("worker", _worker), ("storage", _storage), ("disk", _disk),
        ("certificate", _certificate), ("backup", _backup), ("truth", _truth),
    ):  # fmt: skip
        checks.append(_guarded(name, check))
    return checks


def _guarded(name: str, check: Callable[[], Check]) -> Check:
    """A check that cannot be done has failed; its error's kind is told, not its words."""
    try:
        return check()
    except Exception as error:  # whatever a database, a disk or a service can raise
        return Check(name, False, f"It could not be checked ({type(error).__name__}).")


def _database() -> Check:
    begun = timezone.now()
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    seconds = (timezone.now() - begun).total_seconds()
    return Check("database", True, "The database answers.", seconds, "seconds")


def _migrations() -> Check:
    executor = MigrationExecutor(connection)
    missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    sentence = (
        f"{len(missing)} migrations have not been applied: run manage.py migrate."
        if missing
        else "The database is as this version needs it."
    )
    return Check("migrations", not missing, sentence, len(missing), "count")


def _queue() -> Check:
    now = timezone.now()
    times = [
        Run.objects.filter(state=states.QUEUED).order_by("created_at").values_list(
            "created_at", flat=True
        ).first(),
        Upload.objects.filter(state=Upload.State.QUEUED).order_by("created_at").values_list(
            "created_at", flat=True
        ).first(),
    ]  # fmt: skip
    oldest = min((one for one in times if one is not None), default=None)
    age = timedelta(0) if oldest is None else now - oldest
    sentence = (
        f"The oldest waiting work has waited for {int(age.total_seconds() // 60)} minutes."
        if oldest
        else "Nothing waits."
    )
    return Check("queue", age < MOST_WAITING, sentence, age.total_seconds(), "seconds")


def _worker() -> Check:
    last = (
        Pulse.objects.exclude(answered_at=None).order_by("-answered_at")
        .values_list("answered_at", flat=True).first()
    )  # fmt: skip
    busy = Run.objects.filter(state=states.RUNNING, lease_until__gt=timezone.now()).exists()
    if last is None and not busy:
        return Check("worker", False, "No worker has answered. Start manage.py runworker.")
    age = timedelta(0) if busy or last is None else timezone.now() - last
    return Check(
        "worker",
        age < MOST_SILENCE,
        f"A worker answered {int(age.total_seconds())} seconds ago.",
        age.total_seconds(),
        "seconds",
    )


def _storage() -> Check:
    """A small object is written, read and deleted again."""
    store, data = storages["default"], new_public_id().encode()
    key = store.save(f"00/health-{new_public_id()}", ContentFile(data))
    try:
        with store.open(key) as handle:
            same = handle.read() == data
    finally:
        store.delete(key)
    return Check(
        "storage", same, "Files are kept and read again." if same else "A file came back changed."
    )


def _disk() -> Check:
    usage = shutil.disk_usage(settings.VAR_DIR)
    share = usage.free / usage.total
    ok = share > LEAST_FREE_SHARE and usage.free > LEAST_FREE_BYTES
    return Check(
        "disk", ok, f"{usage.free / 1024**3:.1f} GB are free, {share:.0%} of the disk.",
        usage.free, "bytes",
    )  # fmt: skip


def _certificate() -> Check:
    host = settings.WATCH_CERTIFICATE_OF
    if not host:
        return Check("certificate", None, "No host is named to look at.")
    name, _colon, port = host.partition(":")
    context = ssl.create_default_context()
    with (
        socket.create_connection((name, int(port or 443)), timeout=5) as raw,
        context.wrap_socket(raw, server_hostname=name) as wrapped,
    ):
        told = wrapped.getpeercert() or {}
    ends = datetime.fromtimestamp(ssl.cert_time_to_seconds(str(told["notAfter"])), UTC)
    days = (ends - timezone.now()).days
    return Check(
        "certificate", days >= LEAST_CERTIFICATE_DAYS, f"It is valid for {days} more days.", days,
        "days",
    )  # fmt: skip


def _backup() -> Check:
    return _kept("backup", SiteCheck.Kind.BACKUP, MOST_BACKUP_AGE, "No backup has been made yet.")


def _truth() -> Check:
    if not settings.TRUTH_TEST_HOURS:
        return Check("truth", None, "The nightly measurement of a phantom is switched off.")
    return _kept("truth", SiteCheck.Kind.TRUTH, MOST_TRUTH_AGE, "No phantom has been measured yet.")


def _kept(name: str, kind: str, most: timedelta, none: str) -> Check:
    check = SiteCheck.objects.filter(kind=kind).exclude(at=None).first()
    if check is None or check.at is None:
        return Check(name, False, none)
    age = timezone.now() - check.at
    hours = age.total_seconds() / 3600
    sentence = f"Last {hours:.0f} hours ago"
    if check.passed is False:
        return Check(name, False, f"{sentence}: {check.detail.get('problem', 'failed')}.", hours)
    return Check(name, age < most, f"{sentence}.", hours, "hours")


def failing(checks: list[Check]) -> Iterator[Check]:
    return (check for check in checks if check.ok is False)

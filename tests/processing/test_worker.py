"""The worker as it runs: real cluster, real database server; killed, frozen, cut off, told to end.

The tests have a database server of their own, because one of them is restarted under them.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import dj_database_url
import psycopg2
import pytest
from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.db import connections
from django.db.utils import load_backend
from django_q.models import OrmQ  # noqa: TID251  (the test looks into the queue's own table)

from accounts.models import AuditEvent, User
from processing import runs, tasks
from processing.models import Pulse, Run
from scripts import postgres
from scripts.postgres import alive
from scripts.steps import CHECKOUT
from studies import uploads
from studies.models import StoredFile, Study, Upload, UploadItem
from studies.tasks import ingest_upload
from tests.people import make_trust, make_user, store_source
from tests.processing.odd_engines import SECRET
from tests.waiting import wait_for

#: Longer than the worker lets running work end, and than any wait below should take.
PATIENCE = 60


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[postgres.Server]:
    """A database server that these tests may stop."""
    server = postgres.Server(tmp_path_factory.mktemp("database") / "postgres", test=True)
    try:
        postgres.start(server)
        yield server
    finally:
        postgres.reset(server)


@pytest.fixture(scope="module")
def database(server, django_db_blocker) -> Iterator[str]:
    """Tables on that server; the models of this process speak to it for the time being."""
    password = quote(server.password_file.read_text().strip())
    url = f"postgresql://postgres:{password}@/corecmr?host={quote(str(server.socket), safe='')}"
    subprocess.run(
        [sys.executable, CHECKOUT / "manage.py", "migrate", "--no-input", "--verbosity", "0"],
        env={**os.environ, **environment(url)}, check=True,
    )  # fmt: skip
    with django_db_blocker.unblock():
        usual = connections["default"]
        own = {**usual.settings_dict, **dj_database_url.parse(url)}
        connections["default"] = load_backend(own["ENGINE"]).DatabaseWrapper(own, "default")
        try:
            yield url
        finally:
            connections["default"].close()
            connections["default"] = usual


@pytest.fixture(autouse=True)
def _no_files_of_other_tests(database) -> None:
    """Storage holds what this module's rows know, and nothing of tests that rolled back."""
    known = set(StoredFile.objects.values_list("file", flat=True))
    for key in files_in_storage() - known:
        storages["default"].delete(key)


def environment(url: str) -> dict[str, str]:
    return {
        "DJANGO_SETTINGS_MODULE": "corecmr.settings.test",
        "DATABASE_URL": url,
        "CORECMR_VAR_DIR": str(settings.VAR_DIR),
    }


class Worker:
    """One ``manage.py runworker`` with all that it starts."""

    def __init__(self, python: Path, url: str, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "worker.log"
        self._arguments = [str(python), str(CHECKOUT / "manage.py"), "runworker", "--silence", "3"]
        self._environment = {**os.environ, **environment(url), "TMPDIR": str(folder)}
        self.start()

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self._arguments, env=self._environment, stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, start_new_session=True,
            )  # fmt: skip

    @property
    def cluster(self) -> int:
        """The cluster's first process, which leads its group."""

        def noted() -> str:
            try:
                return (settings.VAR_DIR / "worker.pgid").read_text()
            except FileNotFoundError:
                return ""

        return int(wait_for(noted, "a cluster", PATIENCE))

    def family(self) -> list[int]:
        """All living processes of this worker: they alone have its temporary folder."""
        mark = f"TMPDIR={self.folder}".encode()
        return [pid for pid in processes() if mark in environ(pid).split(b"\0")]

    def queue_workers(self) -> list[int]:
        """The cluster's workers: the sentinel starts them first of its children."""
        sentinels = children(self.cluster)
        return sorted(children(sentinels[0]))[: settings.WORKERS] if sentinels else []

    def let_go(self) -> None:
        """Let the engine ``waits`` go on."""
        (self.folder / "go").touch()

    def end(self) -> int:
        self.process.terminate()
        return self.process.wait(PATIENCE)

    def end_all(self) -> None:
        for pid in [self.process.pid, *self.family()]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.process.wait()


def processes() -> list[int]:
    return [int(path.name) for path in Path("/proc").glob("[0-9]*")]


def environ(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""  # it ended meanwhile


def children(pid: int) -> list[int]:
    try:
        return [int(n) for n in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


@pytest.fixture
def worker(database, python, tmp_path) -> Iterator[Worker]:
    shutil.rmtree(settings.SCRATCH_DIR, ignore_errors=True)
    worker = Worker(python, database, tmp_path)
    try:
        yield worker
    except BaseException:
        print(worker.log.read_text())
        raise
    finally:
        worker.end_all()
        OrmQ.objects.all().delete()
        Pulse.objects.all().delete()
        Run.objects.filter(state__in=["queued", "running"]).delete()


@pytest.fixture
def user(database) -> User:
    return make_user(make_trust())


def sent(user: User, files: list[tuple[str, bytes]]) -> Upload:
    return uploads.receive(user, [(name, ContentFile(data)) for name, data in files])


def ended(run: Run) -> Run:
    def look() -> Run | None:
        now = Run.objects.get(pk=run.pk)
        return None if now.is_open else now

    return wait_for(look, f"the end of a run of {run.engine}", PATIENCE)


def computing(run: Run) -> Run:
    def look() -> Run | None:
        return Run.objects.filter(pk=run.pk, state="running", stage="motion").first()

    return wait_for(look, "a run whose engine is at work", PATIENCE)


def files_in_storage() -> set[str]:
    media = settings.VAR_DIR / "media"
    return {str(path.relative_to(media)) for path in media.rglob("*") if path.is_file()}


def assert_one_sound_result(study: Study) -> None:
    """One result, each of its files what its row says, and no file without a row."""
    (result,) = study.results.all()
    files = list(result.files.all())
    assert {"report.json", "mbf.npy", "mbf.png", "cine.mp4"} <= {stored.name for stored in files}
    for stored in files:
        with stored.file.open("rb") as handle:
            assert hashlib.file_digest(handle, "sha256").hexdigest() == stored.sha256
    assert result.segment_flows.count() == 6
    assert files_in_storage() == set(StoredFile.objects.values_list("file", flat=True))


@pytest.fixture
def study(database, phantom_files, user) -> Study:
    """The phantom's images in storage, not yet asked to be analysed."""
    study = Study.objects.create(trust=user.trust, study_uid=f"2.25.{user.pk}")
    store_source(study, phantom_files)
    return study


def test_an_upload_becomes_a_result_and_the_end_leaves_no_process(worker, user, phantom_files):
    """Good and bad files together, beside an engine that crashes each time."""
    bad = [("notes/SMITH^JOHN.txt", b"Dear colleague"), ("empty.dcm", b"")]
    upload = sent(user, [*phantom_files, *bad])
    keys = list(upload.items.values_list("key", flat=True))

    def checked() -> bool:
        upload.refresh_from_db()
        return not upload.is_open

    wait_for(checked, "the end of the check", PATIENCE)
    assert (upload.state, upload.reason, upload.total) == ("done", "", len(phantom_files) + 2)
    (study,) = upload.studies.all()
    crashing = runs.submit(study, engine="crash", by=user)
    run = ended(the_run_of("mcaq", study))
    assert (run.state, run.own_faults) == ("succeeded", 0)
    assert_one_sound_result(study)

    states = sorted(item.state for item in upload.items.all())
    assert states == ["rejected"] * 2 + ["stored"] * len(phantom_files)
    assert study.files.filter(kind="source").count() == len(phantom_files)
    assert not any(storages["quarantine"].exists(key) for key in keys)

    crashed = ended(crashing)
    assert (crashed.state, crashed.own_faults, crashed.attempt) == ("failed", 3, 3)
    assert "the analysis program crashed" in crashed.reason

    assert_the_record_names_no_patient()
    group = worker.cluster
    assert worker.end() == 0
    assert worker.family() == []
    assert not Path(f"/proc/{group}").exists()
    assert not (settings.VAR_DIR / "worker.pgid").exists()
    assert not Pulse.objects.exists()
    assert list(settings.SCRATCH_DIR.glob("*")) == []
    assert b"Traceback" not in worker.log.read_bytes()


def the_run_of(engine: str, study: Study) -> Run:
    return wait_for(study.runs.filter(engine=engine).first, f"a run of {engine}", PATIENCE)


def assert_the_record_names_no_patient() -> None:
    verbs = set(AuditEvent.objects.values_list("verb", flat=True))
    assert {"upload.start", "upload.complete", "upload.ingest", "study.create", "run.submit",
            "run.succeed", "run.fail", "result.create"} <= verbs  # fmt: skip
    rows = repr(list(AuditEvent.objects.values_list()))
    for told in (SECRET, "SMITH", "PHANTOM", "Invented", "Nowhere", "19570"):
        assert told not in rows
    assert not UploadItem.objects.exclude(name="").filter(state="stored").exists()


def test_told_to_end_it_lets_running_work_finish(worker, study, user):
    run = runs.submit(study, engine="waits", by=user)
    computing(run)
    worker.process.send_signal(signal.SIGTERM)
    wait_for(lambda: not takes_work(worker), "a cluster that takes no more work", PATIENCE)
    waiting = runs.submit(study, engine="mcaq", by=user)
    worker.let_go()
    assert worker.process.wait(PATIENCE) == 0
    assert Run.objects.get(pk=run.pk).state == "succeeded"
    assert_one_sound_result(study)
    # What it no longer took on waits for the next worker.
    assert Run.objects.get(pk=waiting.pk).state == "queued"
    assert worker.family() == []


def takes_work(worker: Worker) -> bool:
    """Whether all of the cluster is there; its pusher, which fetches work, goes first."""
    sentinels = children(worker.cluster)
    return bool(sentinels) and len(children(sentinels[0])) == settings.WORKERS + 2


def test_a_killed_cluster_is_started_anew_and_its_run_is_done_once(worker, study, user):
    run = runs.submit(study, engine="waits", by=user)
    first = computing(run)
    cluster = worker.cluster
    folders = set(settings.SCRATCH_DIR.glob("run-*"))
    assert folders
    os.killpg(cluster, signal.SIGKILL)
    again = wait_for(
        lambda: Run.objects.filter(
            pk=run.pk, state="running", attempt__gt=first.attempt, stage="motion"
        ).first(),
        "the second attempt", PATIENCE,
    )  # fmt: skip
    assert worker.cluster != cluster
    assert again.fence > first.fence
    # Nothing of the first attempt is left, not even a folder with its images.
    assert folders.isdisjoint(settings.SCRATCH_DIR.glob("run-*"))
    worker.let_go()
    final = ended(run)
    assert (final.state, final.own_faults) == ("succeeded", 0)
    assert_one_sound_result(study)
    moves = [event.after for event in final.events.all()]
    assert moves[0] == "queued"
    # Between two attempts it is given back, or taken by its own message once its lease ran out.
    tried = [move for move in moves if move != "queued"]
    assert tried == [*["running"] * final.attempt, "succeeded"]


def test_a_killed_watchdogs_workers_are_ended_by_the_next_one(worker, study, user):
    run = runs.submit(study, engine="waits", by=user)
    computing(run)
    orphans = worker.cluster
    worker.process.kill()
    worker.process.wait()
    assert Path(f"/proc/{orphans}").exists(), "a cluster outlives its watchdog"
    worker.start()
    wait_for(lambda: not Path(f"/proc/{orphans}").exists(), "the end of the orphans", PATIENCE)
    worker.let_go()
    final = ended(run)
    assert (final.state, final.own_faults) == ("succeeded", 0)
    assert_one_sound_result(study)


def _answered(worker) -> list[int]:
    """The cluster's idle workers, once it has answered its watchdog."""
    workers = wait_for(
        lambda: idle if len(idle := worker.queue_workers()) == settings.WORKERS else [],
        "the cluster's workers", PATIENCE,
    )  # fmt: skip
    wait_for(
        Pulse.objects.filter(answered_at__isnull=False).exists, "an answer to the watchdog",
        PATIENCE,
    )  # fmt: skip
    return workers


def test_workers_killed_while_they_wait_freeze_nothing(worker, study, user):
    """One of them held the lock of the queue, which another has after its death."""
    workers, cluster = _answered(worker), worker.cluster
    for pid in workers:
        os.kill(pid, signal.SIGKILL)
    final = ended(runs.submit(study, engine="mcaq", by=user))
    assert (final.state, final.attempt, final.own_faults) == ("succeeded", 1, 0)
    assert worker.cluster == cluster
    assert b"the cluster froze" not in worker.log.read_bytes()


def test_a_frozen_cluster_is_started_anew(worker, study, user):
    """All of it stands still, as under a debugger or on a disk that does not answer."""
    _answered(worker)
    frozen = worker.cluster
    os.killpg(frozen, signal.SIGSTOP)
    run = runs.submit(study, engine="mcaq", by=user)
    wait_for(lambda: worker.cluster != frozen, "a new cluster", PATIENCE)
    assert not Path(f"/proc/{frozen}").exists()
    final = ended(run)
    assert (final.state, final.attempt, final.own_faults) == ("succeeded", 1, 0)
    assert b"the cluster froze" in worker.log.read_bytes()


def test_a_run_whose_worker_vanished_is_given_back(database, python, tmp_path, study, user):
    """Its lease ran out before any worker was started; no message tells of it any more."""
    run = runs.submit(study, engine="mcaq", by=user)
    assert runs.claim(run.pk) is not None
    OrmQ.objects.all().delete()
    worker = Worker(python, database, tmp_path)
    try:
        final = ended(run)
    finally:
        worker.end_all()
    assert (final.state, final.attempt, final.own_faults) == ("succeeded", 2, 0)
    assert_one_sound_result(study)


def test_a_restart_of_the_database_is_survived(worker, study, user, server):
    run = runs.submit(study, engine="waits", by=user)
    computing(run)
    watchdog = worker.process.pid
    connections["default"].close()
    os.kill(alive.postmaster(server), signal.SIGQUIT)
    wait_for(lambda: alive.postmaster(server) is None, "the end of the server", PATIENCE)
    wait_for(
        lambda: b"database not available" in worker.log.read_bytes(),
        "a watchdog that notices", PATIENCE,
    )  # fmt: skip
    postgres.start(server)
    worker.let_go()
    final = ended(run)
    assert (final.state, final.own_faults) == ("succeeded", 0)
    assert_one_sound_result(study)
    assert b"lost the database" in worker.log.read_bytes()
    later = ended(runs.submit(study, engine="chatty", by=user))
    assert later.state == "succeeded"
    assert worker.process.pid == watchdog
    assert worker.end() == 0
    assert worker.family() == []


def cut_off(url: str) -> None:
    """End the server's side of this process's connection, as a crash of the server does."""
    mine = connections["default"].connection.info.backend_pid
    with closing(psycopg2.connect(url)) as other, other.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [mine])


def test_an_upload_that_loses_the_database_is_checked_anew(
    database, user, phantom_files, monkeypatch
):
    upload = sent(user, phantom_files)
    locked = uploads.mine_locked

    def cut_off_then_lock(upload):
        cut_off(database)
        return locked(upload)

    with monkeypatch.context() as cut:
        cut.setattr(uploads, "mine_locked", cut_off_then_lock)
        ingest_upload(upload.pk)
    connections["default"].close()
    upload.refresh_from_db()
    assert (upload.state, upload.reason) == ("checking", "")
    assert not upload.studies.exists()
    Upload.objects.update(lease_until=upload.created_at)
    assert uploads.reap() == 1
    ingest_upload(upload.pk)
    upload.refresh_from_db()
    assert (upload.state, upload.attempt) == ("done", 2)
    (study,) = upload.studies.all()
    assert study.files.count() == len(phantom_files)
    assert files_in_storage() == set(StoredFile.objects.values_list("file", flat=True))


def test_a_result_that_loses_the_database_is_computed_anew(database, study, user, monkeypatch):
    run = runs.submit(study, engine="mcaq", by=user)
    locked = runs.lock_mine

    def cut_off_then_lock(run):
        cut_off(database)
        return locked(run)

    with monkeypatch.context() as cut:
        cut.setattr(runs, "lock_mine", cut_off_then_lock)
        tasks.execute_run(run.pk)
    connections["default"].close()
    run.refresh_from_db()
    assert (run.state, run.own_faults) == ("running", 0)
    assert not study.results.exists()
    Run.objects.filter(pk=run.pk).update(lease_until=run.created_at)
    assert runs.reap() == 1
    tasks.execute_run(run.pk)
    run.refresh_from_db()
    assert (run.state, run.attempt, run.own_faults) == ("succeeded", 2, 0)
    assert_one_sound_result(study)

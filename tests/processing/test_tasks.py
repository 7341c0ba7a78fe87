"""What a worker does with a run, with real children: results, sentences and faults."""

from __future__ import annotations

import hashlib
import logging
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings as site
from django.core.files.base import ContentFile
from django.utils import timezone

from accounts.models import AuditEvent
from processing import child, runs, tasks
from processing.mcaq.kinetics.names import UNITS
from processing.models import Run
from studies.models import StoredFile
from tests.people import make_result, make_study, make_trust, make_user, store_source
from tests.processing.odd_engines import SECRET

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def installed(python, tmp_path, monkeypatch):
    """Children run on the Python in which the engines for tests are installed."""
    monkeypatch.setattr(sys, "executable", str(python))
    monkeypatch.setenv("TMPDIR", str(tmp_path))


@pytest.fixture
def study(phantom_files):
    """The phantom as its images lie in storage."""
    study = make_study(make_trust())
    store_source(study, phantom_files)
    return study


def submitted(study, engine: str, **fields: object) -> Run:
    run = runs.submit(study, engine=engine, by=None)
    Run.objects.filter(pk=run.pk).update(**fields)
    return run


def executed(run: Run) -> Run:
    tasks.execute_run(run.pk)
    return Run.objects.get(pk=run.pk)


def last_attempt(study, engine: str) -> Run:
    """A run with two faults behind it: the next one sets it aside with its reason."""
    return submitted(study, engine, own_faults=runs.MOST_OWN_FAULTS - 1)


def scratch_folders() -> list[Path]:
    return list(site.SCRATCH_DIR.glob("run-*"))


def test_a_run_ends_with_its_result_and_its_files(study):
    run = executed(submitted(study, "mcaq"))
    assert (run.state, run.attempt, run.own_faults, run.reason) == ("succeeded", 1, 0, "")
    result = run.result
    assert (result.study, result.number, result.engine) == (study, 1, "mcaq")
    (entry,) = result.report["series"]
    assert (entry["state"], entry["level"]) == ("stress", "mid")
    assert set(entry["models"]) == set(UNITS), "the site computes all models"
    assert set(entry["spread"]) == set(entry["mbf"]["segments"])
    names = {str(stored) for stored in result.files.all()}
    assert {"report.json", "stress_mid/mbf.png", "stress_mid/cine.mp4", "stress_mid/mbf.npy",
            "stress_mid/aif.csv", "stress_mid/motion.png",
            "stress_mid/strip.png"} <= names  # fmt: skip
    kinds = dict(result.files.values_list("name", "kind"))
    assert (kinds["mbf.png"], kinds["cine.mp4"], kinds["mbf.npy"]) == ("map", "cine", "data")
    assert set(
        result.files.filter(name__in=["motion.png", "strip.png"]).values_list(
            "content_type", flat=True
        )
    ) == {"image/png"}
    for stored in result.files.all():
        with stored.file.open("rb") as handle:
            content = handle.read()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (stored.size, stored.sha256)
    flows = {flow.segment: flow.mbf for flow in result.segment_flows.all()}
    assert flows == {int(n): told["mbf"] for n, told in entry["mbf"]["segments"].items()}
    assert set(flows) == {7, 8, 9, 10, 11, 12}
    assert scratch_folders() == []
    # The same message once more, and one for a run that is gone.
    again = executed(run)
    assert (again.attempt, again.fence, study.results.count()) == (1, 1, 1)
    tasks.execute_run(0)
    assert Run.objects.count() == 1


def test_a_second_result_stands_beside_the_first(study):
    first = make_result(study)
    second = executed(submitted(study, "mcaq")).result
    assert (first.number, second.number) == (1, 2)
    assert list(study.results.all()) == [second, first]
    assert first.segment_flows.count() == 4


def test_what_an_engine_prints_besides_progress_does_no_harm(study):
    run = executed(submitted(study, "chatty"))
    assert (run.state, run.result.engine) == ("succeeded", "chatty")


def test_an_engine_that_can_do_nothing_ends_the_run_with_its_sentence(study):
    run = executed(submitted(study, "refuses"))
    assert (run.state, run.own_faults) == ("failed", 0)
    assert run.reason.startswith("No series could be analysed.")
    assert "No contrast arrives in it." in run.reason
    assert scratch_folders() == []


def test_an_engine_that_is_not_installed_is_named(study):
    run = executed(submitted(study, "elsewhere"))
    assert (run.state, run.own_faults) == ("failed", 0)
    assert "There is no engine 'elsewhere'" in run.reason


def test_a_study_without_images_ends_with_a_sentence():
    run = executed(submitted(make_study(make_trust()), "mcaq"))
    assert (run.state, run.own_faults) == ("failed", 0)
    assert "holds no files" in run.reason


def test_an_engine_that_crashes_is_tried_three_times_and_set_aside(study, tmp_path):
    run = submitted(study, "crash")
    states = [executed(run).state for _ in range(runs.MOST_OWN_FAULTS)]
    assert states == ["queued", "queued", "failed"]
    ended = executed(run)
    assert (ended.attempt, ended.own_faults) == (3, 3)
    assert ended.reason.startswith("This study was set aside after 3 attempts: ")
    assert "the analysis program crashed" in ended.reason
    assert not study.results.exists()
    sleeper = Path("/proc", (tmp_path / "sleeper").read_text(), "stat")
    assert not sleeper.exists() or sleeper.read_text().rsplit(")", 1)[1].split()[0] == "Z"
    # The study is not lost with the run: another engine, or the same one mended, may try again.
    assert executed(submitted(study, "mcaq")).state == "succeeded"


def test_an_engine_that_hangs_is_ended_at_the_wall(study, settings):
    settings.RUN_WALL_SECONDS = 3
    run = executed(last_attempt(study, "hang"))
    assert (run.state, run.own_faults) == ("failed", 3)
    assert "the analysis took longer than 3 seconds" in run.reason
    assert scratch_folders() == []


def test_an_engine_that_eats_memory_is_stopped_and_the_cause_is_told(study, settings):
    settings.RUN_MEMORY_BYTES = 1536 * 1024**2
    run = executed(last_attempt(study, "glutton"))
    assert (run.state, run.own_faults) == ("failed", 3)
    assert "the analysis needed more than the 1536 MB of memory that it may use" in run.reason


def test_a_bug_leaves_its_place_in_the_log_and_no_patients_name(study, caplog):
    run = executed(last_attempt(study, "bug"))
    assert (run.state, run.own_faults) == ("failed", 3)
    assert "the analysis program stopped with an error" in run.reason
    (line,) = [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR]
    assert "ValueError" in line
    assert "odd_engines.py" in line
    for text in (run.reason, caplog.text):
        assert SECRET not in text


def test_images_that_are_gone_are_a_fault_with_an_id_for_the_log(study, caplog):
    for stored in study.files.all():
        stored.file.delete(save=False)
    run = executed(last_attempt(study, "mcaq"))
    assert (run.state, run.own_faults) == ("failed", 3)
    (line,) = [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR]
    identifier = line.split("log id ")[1].split(":")[0]
    assert f"log id {identifier}" in run.reason
    assert "FileNotFoundError" in line
    assert scratch_folders() == []


def test_a_run_that_is_cancelled_meanwhile_is_stopped(study, monkeypatch):
    """The worker learns of it at a heartbeat: here at the one that tells of the engine's work."""
    run = submitted(study, "waits")
    person = make_user(study.trust)
    beat = runs.heartbeat

    def cancel_then_beat(claimed, stage, fraction):
        if stage == "motion":
            runs.cancel(claimed, by=person)
        return beat(claimed, stage, fraction)

    monkeypatch.setattr(runs, "heartbeat", cancel_then_beat)
    ended = executed(run)
    assert (ended.state, ended.own_faults) == ("cancelled", 0)
    assert not study.results.exists()
    assert scratch_folders() == []


def test_a_run_that_is_cancelled_while_its_images_are_fetched_is_stopped(tmp_path):
    study = make_study(make_trust())
    for number in range(60):
        stored = StoredFile(
            study=study, kind=StoredFile.Kind.SOURCE, name=f"{number}.dcm", size=1,
            content_type="application/dicom", sha256=f"{number:064x}",
        )  # fmt: skip
        stored.file.save(stored.name, ContentFile(b"x"))
    run = runs.claim(runs.submit(study, engine="mcaq", by=None).pk)
    runs.cancel(run, by=make_user(study.trust))
    folder = tmp_path / "in"
    assert not child.fetch(run, folder, lambda part: runs.heartbeat(run, "fetch", part))
    assert len(list(folder.iterdir())) == 50


def test_a_late_writer_stores_nothing(study, monkeypatch):
    """Its lease ran out while it computed, and the run went to another worker."""
    run = submitted(study, "mcaq")
    stored_before = files_in_storage()
    beat = runs.heartbeat

    def lapse_after_beat(late, stage, fraction):
        """All heartbeats are in time; that the run was lost is seen only at the end."""
        if stage != "store":
            return beat(late, stage, fraction)
        assert len(files_in_storage()) > len(stored_before), "files come before rows"
        if beat(late, stage, fraction):
            past = timezone.now() - timedelta(seconds=1)
            Run.objects.filter(pk=late.pk).update(lease_until=past)
            assert runs.reap() == 1
            assert runs.claim(late.pk).fence > late.fence
        return True

    monkeypatch.setattr(runs, "heartbeat", lapse_after_beat)
    running = executed(run)
    assert (running.state, running.attempt, running.own_faults) == ("running", 2, 0)
    assert not study.results.exists()
    assert files_in_storage() == stored_before
    assert not StoredFile.objects.exclude(kind="source").exists()


def files_in_storage() -> set[Path]:
    return {path for path in (site.VAR_DIR / "media").rglob("*") if path.is_file()}


def test_an_arrived_study_is_submitted_once():
    study = make_study(make_trust())
    for _ in range(2):
        tasks.submit_study(study.pk)
    tasks.submit_study(0)
    run = Run.objects.get()
    assert (run.study, run.engine, run.requested_by) == (study, site.DEFAULT_ENGINE, None)
    event = AuditEvent.objects.get(verb="run.submit")
    assert (event.actor, event.object_id) == ("", run.public_id)


def test_a_study_that_arrives_again_is_analysed_again_only_if_that_may_help(study):
    tasks.submit_study(study.pk)
    run = Run.objects.get()
    assert runs.fail(runs.claim(run.pk), "It could not be analysed.")
    tasks.submit_study(study.pk)
    second = Run.objects.exclude(pk=run.pk).get()
    runs.succeed(runs.claim(second.pk), make_result(study))
    # A message that comes late, or the same images sent again: there is nothing to add.
    tasks.submit_study(study.pk)
    assert Run.objects.count() == 2
    study.files.first().delete()
    tasks.submit_study(study.pk)
    assert Run.objects.count() == 3

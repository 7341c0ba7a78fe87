"""A trust's protocols: versions that stay, rules that choose, what the worker does with them."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from django.db import transaction
from django.http import Http404
from pydicom import dcmread

from accounts.models import AuditEvent, User
from accounts.roles import Role
from processing import protocols, runs, tasks
from processing.analysis import analyse_folder
from processing.mcaq import signal
from processing.mcaq.agents import RELAXIVITIES
from processing.mcaq.series import Acquisition
from processing.models import Protocol, ProtocolVersion, Run
from processing.protocol import check
from studies.dicom.labels import _AGENTS
from studies.models import Series, Study
from tests.people import (
    make_administrator,
    make_study,
    make_trust,
    make_user,
    protocol_content,
    store_source,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def user() -> User:
    return make_user(make_trust())


def made(user: User, **changes: object) -> Protocol:
    return protocols.create(by=user, content=protocol_content(**changes))


def scanned(user: User, **changes: object) -> Study:
    scanner = {
        "manufacturer": "SIEMENS", "scanner_model": "Avanto", "field_t": 1.494,
        "scanner_pseudonym": "AB12CD34EF56",
    }  # fmt: skip
    return make_study(user.trust, **{**scanner, **changes})


def chosen(study: Study) -> str | None:
    version = protocols.fitting(study).version
    return version and version.name


# --- versions ---------------------------------------------------------------------------------


def test_each_change_is_a_new_version_and_the_old_ones_stay(user):
    protocol = made(user)
    content = protocol_content(name="Two sequences", values={"saturation_time_ms": 110.0})
    assert protocols.change(protocol, by=user, content=content, seen=1) == 2
    first, second = protocol.versions.order_by("number")
    assert (first.name, first.values) == ("Dual sequence", {"saturation_time_ms": 105.0})
    assert (second.name, second.values) == ("Two sequences", {"saturation_time_ms": 110.0})
    assert (second.made_by, protocols.newest(Protocol.objects.all()).get()) == (user, second)
    assert list(AuditEvent.objects.order_by("pk").values_list("verb", "object_id", "detail")) == [
        ("protocol.create", protocol.public_id, {"version": 1}),
        ("protocol.change", protocol.public_id, {"version": 2}),
    ]


def test_a_version_is_never_changed_and_never_deleted(user):
    version = made(user).versions.get()
    version.values = {}
    for forbidden in (
        version.save,
        version.delete,
        ProtocolVersion.objects.all().delete,
        lambda: ProtocolVersion.objects.update(values={}),
        lambda: ProtocolVersion.objects.bulk_update([version], ["values"]),
    ):
        with pytest.raises(TypeError), transaction.atomic():
            forbidden()
    assert ProtocolVersion.objects.get().values == {"saturation_time_ms": 105.0}
    # Who leaves takes no protocol along.
    user.memberships.all().delete()
    user.delete()
    assert ProtocolVersion.objects.get().made_by is None


def test_saving_what_is_there_already_makes_no_version(user):
    protocol = made(user)
    assert protocols.change(protocol, by=user, content=protocol_content(), seen=1) == 1
    assert protocol.versions.count() == 1


def test_a_colleagues_version_is_not_overwritten(user):
    protocol = made(user)
    colleague = make_user(user.trust, name="Dr Colleague")
    protocols.change(protocol, by=colleague, content=protocol_content(name="Theirs"), seen=1)
    with pytest.raises(protocols.ProtocolError, match=r"Dr Colleague saved version 2 .* again"):
        protocols.change(protocol, by=user, content=protocol_content(name="Mine"), seen=1)
    assert protocol.versions.count() == 2


def test_two_of_one_name_or_of_one_rule_are_refused(user):
    made(user)
    with pytest.raises(protocols.ProtocolError, match="named DUAL SEQUENCE already") as named:
        made(user, name="DUAL SEQUENCE", use="chosen")
    with pytest.raises(protocols.ProtocolError, match="fits the very same studies") as ruled:
        made(user, name="Another")
    assert (named.value.field, ruled.value.field) == ("name", "use")
    made(user, name="Another", use="chosen")
    made(make_user(make_trust()))


def test_values_that_no_protocol_file_may_hold_are_refused(user):
    with pytest.raises(
        protocols.ProtocolError, match=r"haematocrit must be a number from 0 to 0\.8"
    ):
        made(user, values={"haematocrit": 42})
    assert not Protocol.objects.exists()


# --- who --------------------------------------------------------------------------------------


def test_only_consultants_of_the_trust_see_and_write_its_protocols(user):
    protocol = made(user)
    assert list(protocols.visible_to(make_user(user.trust))) == [protocol]
    others = (
        make_user(make_trust()),
        make_user(user.trust, Role.RESEARCHER),
        make_user(user.trust, status=User.Status.SUSPENDED),
        make_administrator(),
    )
    for other in others:
        assert not protocols.visible_to(other).exists()
        with pytest.raises(Http404):
            protocols.get_visible_or_404(other, protocol.public_id)
        with pytest.raises(Http404):
            protocols.change(protocol, by=other, content=protocol_content(name="x"), seen=1)
    for other in others[1:]:
        with pytest.raises(Http404):
            made(other, name="Theirs")
    assert protocol.versions.count() == 1


# --- the rule ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "fits"),
    [
        ({}, True),
        ({"manufacturer": "SIEMENS"}, True),
        ({"manufacturer": "Philips"}, False),
        ({"scanner_model": "Avanto"}, True),
        ({"scanner_model": "Skyra"}, False),
        ({"field_t": 1.5}, True),
        ({"field_t": 3.0}, False),
        ({"scanner_pseudonym": "AB12CD34EF56"}, True),
        ({"scanner_pseudonym": "0000CD34EF56"}, False),
        ({"input_series": "with"}, False),
        ({"input_series": "without"}, True),
        ({"manufacturer": "SIEMENS", "field_t": 3.0}, False),
        ({"use": "chosen"}, False),
        ({"use": "retired"}, False),
    ],
)
def test_a_rule_fits_if_all_that_it_says_is_true(user, rule, fits):
    made(user, **rule)
    assert chosen(scanned(user)) == ("Dual sequence" if fits else None)


def test_an_input_series_is_told_by_the_studys_series(user):
    made(user, input_series="with")
    study = scanned(user)
    Series.objects.create(study=study, uid="2.25.1", role="aif", frames=40, rows=64, cols=64)
    assert chosen(study) == "Dual sequence"


def test_a_scanner_that_is_not_known_fits_no_rule_about_it(user):
    made(user, field_t=1.5)
    assert chosen(scanned(user, field_t=None)) is None


def test_the_closest_rule_is_taken(user):
    study = scanned(user)
    for name, rule in (
        ("trust", {}),
        ("maker", {"manufacturer": "SIEMENS"}),
        ("maker and field", {"manufacturer": "SIEMENS", "field_t": 1.5}),
        ("model", {"scanner_model": "Avanto"}),
        ("scanner", {"scanner_pseudonym": "AB12CD34EF56"}),
    ):
        made(user, name=name, **rule)
        assert chosen(study) == name


def test_of_two_that_fit_equally_none_is_taken_and_it_is_said(user):
    made(user, name="A", manufacturer="SIEMENS")
    made(user, name="B", field_t=1.5)
    choice = protocols.fitting(scanned(user))
    assert (choice.version, choice.tie) == (None, ("A", "B"))
    assert protocols.parameters(choice) == {"protocol_tie": ["A", "B"]}


def test_another_trusts_protocol_is_neither_taken_nor_to_be_asked_for(user):
    foreign = made(make_user(make_trust()))
    study = scanned(user)
    assert chosen(study) is None
    with pytest.raises(Http404):
        protocols.named(study, foreign.public_id)


def test_a_person_may_choose_one_or_none(user):
    made(user)
    other = made(user, name="By hand", use="chosen")
    retired = made(user, name="Old", use="retired")
    study = scanned(user)
    assert protocols.named(study, other.public_id).version == other.versions.get()
    assert protocols.named(study, "none").version is None
    assert protocols.named(study, "").version.name == "Dual sequence"
    with pytest.raises(Http404):
        protocols.named(study, retired.public_id)


# --- runs -------------------------------------------------------------------------------------


def test_a_study_that_arrives_is_analysed_with_the_protocol_that_fits(user):
    protocol = made(user, manufacturer="SIEMENS")
    study = scanned(user)
    tasks.submit_study(study.pk)
    run = Run.objects.get()
    assert run.protocol_version == protocol.versions.get()
    assert run.parameters["protocol"] == {"saturation_time_ms": 105.0}
    assert run.parameters["protocol_version"] == {
        "name": "Dual sequence", "version": 1, "id": protocol.public_id, "chosen_by": "rule",
    }  # fmt: skip
    other = scanned(user, manufacturer="Philips")
    tasks.submit_study(other.pk)
    run = other.runs.get()
    assert (run.protocol_version, run.parameters) == (None, {})


def test_a_study_sent_again_is_analysed_again_only_if_its_protocol_changed(user):
    protocol, study = made(user), scanned(user)
    tasks.submit_study(study.pk)
    Run.objects.update(state="succeeded")
    tasks.submit_study(study.pk)
    assert Run.objects.count() == 1
    content = protocol_content(values={"saturation_time_ms": 110.0})
    protocols.change(protocol, by=user, content=content, seen=1)
    tasks.submit_study(study.pk)
    assert [run.protocol_version.number for run in Run.objects.order_by("pk")] == [1, 2]


def test_a_version_that_a_run_used_stays_with_it(user):
    protocol, study = made(user), scanned(user)
    choice = protocols.fitting(study)
    run = runs.submit(
        study, engine="mcaq", parameters=protocols.parameters(choice), protocol=choice.version,
        by=user,
    )  # fmt: skip
    content = protocol_content(name="Renamed", values={})
    protocols.change(protocol, by=user, content=content, seen=1)
    run.refresh_from_db()
    assert str(run.protocol_version) == "Dual sequence, version 1"


@pytest.fixture
def installed(python, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", str(python))
    monkeypatch.setenv("TMPDIR", str(tmp_path))


def test_the_worker_gives_the_engine_the_values_and_the_times(user, phantom_files, installed):
    """By an engine that tells what it was given: of the sequence, of the agent, of the times."""
    study = scanned(user)
    store_source(study, phantom_files)
    made(user, values={
        "saturation_time_ms": 104.0, "haematocrit": 0.39, "agent": "gadobenate", "field_t": 3.0,
        "stressor": "adenosine", "aif": {"saturation_time_ms": 24.0},
    })  # fmt: skip
    choice = protocols.fitting(study)
    times = {"stress_mid": {"frame_interval_s": 0.8, "heart_rate_per_min": 75.0,
                            "beats_per_frame": 1}}  # fmt: skip
    runs.submit(
        study, engine="tells", parameters=protocols.parameters(choice, times),
        protocol=choice.version, by=user,
    )  # fmt: skip
    tasks.execute_run(Run.objects.get().pk)
    run = Run.objects.get()
    assert run.state == "succeeded", run.reason
    report = run.result.report
    (entry,) = report["series"]
    told = report["parameters"]["told"]
    assert (told["saturation_time_ms"], told["haematocrit"], told["field_t"]) == (104.0, 0.39, 3.0)
    # Which relaxivity that means, the engine knows.
    assert (told["agent"], told["relaxivity_l_per_mmol_s"]) == ("gadobenate", None)
    assert entry["frame_times_s"] == pytest.approx([0.8 * n for n in range(len(entry["frames"]))])
    assert entry["time_source"] is None
    assert entry["clock"]["given"]["by"] == "person"
    assert entry["clock"]["of_files"]["time_source"] == "AcquisitionTime"
    flags = {flag["flag"]: flag for flag in entry["quality"]}
    assert flags["times_given"]["severity"] == "warning"
    assert "75 beats/min" in flags["times_given"]["sentence"]
    assert entry["light"]["colour"] == "amber"
    assert report["parameters"]["protocol_version"]["name"] == "Dual sequence"
    assert report["parameters"]["protocol"] == choice.version.values


def test_a_run_without_a_protocol_says_so(user, phantom_files, installed):
    study = scanned(user)
    store_source(study, phantom_files)
    runs.submit(study, engine="tells", by=None)
    tasks.execute_run(Run.objects.get().pk)
    parameters = Run.objects.get().result.report["parameters"]
    assert (parameters["protocol"], parameters["protocol_version"]) == ({}, None)


def test_twice_the_relaxivity_is_half_the_concentration():
    """Without T2* the signal of blood tells the product of the two alone."""
    told = []
    for r1 in (4.0, 8.0):
        protocol = check({"relaxivity_l_per_mmol_s": r1, "saturation_time_ms": 100, "field_t": 1.5})
        how = signal.physics(protocol.acquisition(Acquisition()))
        film = how.recovery(how.r1_blood(np.array([4.0 * 4.0 / r1])))
        told.append(float(signal.blood_concentration(film, 1.0, how)[0]))
    assert told == pytest.approx([4.0, 2.0], rel=0.01)


def test_flow_follows_the_protocol(phantom_files, tmp_path):
    """Flow by the gram of a muscle twice as dense is half as much.

    What is usual for a heart pulls both numbers together, so that less than the half is told.
    """
    for name, content in phantom_files:
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    flows = []
    for density in (0.75, 1.5):
        content = analyse_folder(
            tmp_path / "in", tmp_path / f"{density}", protocol={"tissue_density_g_per_ml": density}
        )
        flows.append(content["series"][0]["mbf"]["global"])
    assert 1.5 < flows[0] / flows[1] <= 2


# --- what the files keep ----------------------------------------------------------------------


def test_the_scanners_pseudonym_is_kept_with_the_study(send, user):
    study = send(user)
    assert study.manufacturer == "SIEMENS"
    assert len(study.scanner_pseudonym) == 12
    with study.files.filter(kind="source").first().file.open("rb") as handle:
        assert dcmread(handle).DeviceSerialNumber == study.scanner_pseudonym
    assert next(iter(protocols.scanners_of(user.trust)))[0] == study.scanner_pseudonym


def test_the_list_of_agents_is_that_of_the_rebuilt_files():
    assert set(RELAXIVITIES) == {name for name, _pattern in _AGENTS}

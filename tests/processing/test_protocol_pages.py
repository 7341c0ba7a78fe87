"""Pages of protocols and of a new analysis: forms, their errors, and what a result shows."""

from __future__ import annotations

import re

import pytest

from accounts.models import AuditEvent, User
from processing import protocols
from processing.models import Protocol, Run
from studies import sharing
from studies.models import Study
from tests.people import (
    make_administrator,
    make_result,
    make_study,
    make_trust,
    make_user,
    protocol_content,
)

pytestmark = pytest.mark.django_db

MINIMAL = {"name": "Dual sequence", "use": "fitting"}


@pytest.fixture
def study() -> Study:
    return make_study(make_trust("Riverside NHS Trust"), manufacturer="SIEMENS")


@pytest.fixture
def user(client, study) -> User:
    user = make_user(study.trust)
    client.force_login(user)
    return user


def words(html: str) -> str:
    html = re.sub(r"<(script|style|svg).*?</\1>", " ", html, flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html)).replace("&#x27;", "'")


def seen(client, path: str) -> str:
    response = client.get(path)
    assert response.status_code == 200
    return words(response.content.decode())


def errors(client, path: str, **data: object) -> list[str]:
    """The sentences of the summary at the top, each a link to its field."""
    response = client.post(path, data)
    assert response.status_code == 200
    html = response.content.decode()
    assert "<title>Error: " in html
    listed = re.search(r'nhsuk-error-summary__list">(.*?)</ul>', html, re.DOTALL)
    assert listed
    found = re.findall(r'<li>(?:<a href="#([^"]+)">)?(.*?)(?:</a>)?</li>', listed[1], re.DOTALL)
    for target, _sentence in found:
        assert not target or f'id="{target}"' in html
    return [words(sentence).strip() for _target, sentence in found]


# --- protocols --------------------------------------------------------------------------------


def test_a_protocol_is_added_changed_and_its_history_shown(client, user):
    assert "There is none yet" in seen(client, "/protocols/")
    answer = client.post("/protocols/new/", {
        **MINIMAL, "manufacturer": "SIEMENS", "rule_field_t": "1.5", "agent": "gadobutrol",
        "dose_mmol_per_kg": "0.05", "stressor": "regadenoson", "saturation_time_ms": " 105 ",
        "pd_frames": "0", "aif_saturation_time_ms": "24",
    })  # fmt: skip
    protocol = Protocol.objects.get()
    assert answer["Location"] == f"/protocols/{protocol.public_id}/"
    version = protocol.versions.get()
    assert version.values == {
        "agent": "gadobutrol", "dose_mmol_per_kg": 0.05, "stressor": "regadenoson",
        "saturation_time_ms": 105.0, "pd_frames": 0, "aif": {"saturation_time_ms": 24.0},
    }  # fmt: skip
    assert (version.manufacturer, version.field_t) == ("SIEMENS", 1.5)
    assert "Studies from SIEMENS, 1.5 T" in seen(client, "/protocols/")
    page = seen(client, answer["Location"])
    assert "Time from saturation to the image 105 ms" in page
    assert "Proton-density frames at the start 0 " in page
    assert "Time from saturation to the image, input series 24 ms" in page
    # The form comes back as it was sent: saving it unchanged makes no version.
    html = client.get(f"{answer['Location']}edit/").content.decode()
    sent = dict(re.findall(r'<input type="(?:text|hidden)" name="(\w+)" value="([^"]*)"', html))
    kept = {**sent, "use": "fitting", "manufacturer": "SIEMENS", "rule_field_t": "1.5",
            "agent": "gadobutrol", "stressor": "regadenoson"}  # fmt: skip
    client.post(f"{answer['Location']}edit/", kept)
    assert protocol.versions.count() == 1
    client.post(f"{answer['Location']}edit/", {**kept, "saturation_time_ms": "110"})
    page = seen(client, answer["Location"])
    assert "Saved as version 2" in page
    assert "Time from saturation to the image: 105 ms → 110 ms" in page
    old = seen(client, f"{answer['Location']}versions/1/")
    assert "This is an earlier version" in old
    assert "Version 2 holds now" in old
    assert client.get(f"{answer['Location']}versions/3/").status_code == 404
    verbs = set(AuditEvent.objects.values_list("verb", flat=True))
    views = {"protocol.list", "protocol.create", "protocol.view", "protocol.change"}
    assert verbs == views | {"access.refused"}  # of the third version


BAD = {
    "seconds": ({"saturation_time_ms": "0.1"}, "Time from saturation to the image (ms): 0.1",
                "It may have been given in seconds: give milliseconds."),
    "percent": ({"haematocrit": "42"}, "Haematocrit: 42",
                "It may have been given in percent: divide it by 100."),
    "comma": ({"echo_time_ms": "1,1"}, "Echo time (ms): “1,1” is not a number.",
              "Give digits with a dot, such as 1.1, or leave it empty if it is not known."),
    "no number": ({"dose_mmol_per_kg": "nan"}, "Dose of each injection (mmol/kg): “nan”",
                  "such as 0.05"),
    "half a frame": ({"pd_frames": "1.5"}, "Proton-density frames at the start: 1.5",
                     "a whole number from 0 to 100. Correct it, or leave it empty"),
    "input series": ({"aif_flip_angle_deg": "999"}, "Input series: flip angle (degrees): 999",
                     "from 0.1 to 180"),
    "no name": ({"name": " "}, "Name: it is empty.", "Give one by which your colleagues"),
    "no use": ({"use": ""}, "When it is used: nothing is chosen.", "Choose one of the three."),
    "readout": ({"pulses_to_centre": "50", "repetition_time_ms": "2.2",
                 "saturation_time_ms": "100"}, "50 pulses of 2.2 ms take 110 ms",
                "more than the 100 ms from saturation to the image. Correct one of the three."),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD)
def test_an_error_names_the_field_the_cause_and_the_next_step(client, user, kind):
    data, what, next_step = BAD[kind]
    (sentence,) = errors(client, "/protocols/new/", **{**MINIMAL, **data})
    assert what in sentence
    assert next_step in sentence
    assert not Protocol.objects.exists()


def test_a_name_that_is_taken_and_a_lost_race_are_told_on_the_form(client, user):
    protocol = protocols.create(by=user, content=protocol_content())
    (sentence,) = errors(client, "/protocols/new/", name="Dual sequence", use="chosen")
    assert "named Dual sequence already" in sentence
    protocols.change(protocol, by=user, content=protocol_content(name="B"), seen=1)
    path = f"/protocols/{protocol.public_id}/edit/"
    (sentence,) = errors(client, path, name="C", use="fitting", seen=1)
    assert "saved version 2 while you were writing" in sentence


def test_another_trusts_protocol_is_not_there(client, user):
    other = make_user(make_trust())
    foreign = protocols.create(by=other, content=protocol_content(name="Theirs"))
    for path in ("", "edit/", "versions/1/"):
        assert client.get(f"/protocols/{foreign.public_id}/{path}").status_code == 404
    assert client.post(f"/protocols/{foreign.public_id}/edit/", MINIMAL).status_code == 404
    assert "Theirs" not in seen(client, "/protocols/")
    assert foreign.versions.count() == 1


def test_what_people_wrote_cannot_become_part_of_the_page(client, user):
    protocols.create(by=user, content=protocol_content(name="<b>Bold</b>"))
    html = client.get("/protocols/").content.decode()
    assert "&lt;b&gt;Bold" in html
    assert "<b>Bold" not in html


# --- analysing again --------------------------------------------------------------------------


def test_the_card_offers_the_trusts_protocols_and_takes_what_is_chosen(client, user, study):
    card = f"/studies/{study.public_id}/run/"
    assert "run-protocol" not in client.get(card).content.decode(), "there is none to choose"
    fitting = protocols.create(by=user, content=protocol_content())
    by_hand = protocols.create(by=user, content=protocol_content(name="By hand", use="chosen"))
    page = seen(client, card)
    assert "By its rule: Dual sequence, version 1" in page
    assert "By hand, version 1" in page
    for asked, version in (
        ({}, fitting.versions.get()),
        ({"protocol": by_hand.public_id}, by_hand.versions.get()),
        ({"protocol": "none"}, None),
    ):
        Run.objects.update(state="failed")
        assert client.post(f"{card}submit/", asked).status_code == 302
        run = Run.objects.latest("pk")
        assert (run.protocol_version, run.requested_by) == (version, user)
        assert run.parameters.get("protocol") == (version and version.values)
    Run.objects.update(state="failed")
    foreign = protocols.create(by=make_user(make_trust()), content=protocol_content())
    assert client.post(f"{card}submit/", {"protocol": foreign.public_id}).status_code == 404


def test_two_that_fit_equally_are_named_where_one_can_be_chosen(client, user, study):
    for name, rule in (("A", {"manufacturer": "SIEMENS"}), ("B", {"input_series": "without"})):
        protocols.create(by=user, content=protocol_content(name=name, **rule))
    page = seen(client, f"/studies/{study.public_id}/run/")
    assert "By rule: none, as these fit equally: A, B" in page


def test_times_are_given_for_a_state_and_for_one_slice(client, user, study):
    make_result(study)
    options = f"/studies/{study.public_id}/run/options/"
    html = client.get(options).content.decode()
    assert "hx-" not in re.search(r"<form method=\"post\" novalidate>.*?</form>", html, re.S)[0]
    assert "All slices, stress" in words(html)
    answer = client.post(options, {"stress-rate": "75", "rest_mid-interval": "0.95"})
    assert answer["Location"] == f"/studies/{study.public_id}/"
    assert Run.objects.get().parameters["times"] == {
        "stress_mid": {
            "frame_interval_s": 0.8, "heart_rate_per_min": 75.0, "beats_per_frame": 1,
        },
        "rest_mid": {"frame_interval_s": 0.95},
    }  # fmt: skip


def test_another_kinetic_model_and_relative_numbers_can_be_asked_for(client, user, study):
    make_result(study)
    options = f"/studies/{study.public_id}/run/options/"
    assert "Exchange (the usual one)" in seen(client, options)
    client.post(options, {"model": "fermi", "concentration": "linear"})
    told = Run.objects.get().parameters
    assert (told["model"], told["concentration"]) == ("fermi", "linear")
    Run.objects.update(state="failed")
    client.post(options, {"model": "", "concentration": ""})
    assert not Run.objects.latest("pk").parameters.keys() & {"model", "concentration"}
    (sentence,) = errors(client, options, model="upslope")
    assert "upslope" in sentence


def test_results_by_two_models_are_told_apart(client, user, study):
    for model in ("exchange", "fermi"):
        result = make_result(study)
        result.parameters = {"model": model}
        result.save()
    for page in ("", "compare/"):
        told = seen(client, f"/studies/{study.public_id}/{page}")
        assert "2: mcaq 0.1.0 fermi" in told
        assert "1: mcaq 0.1.0 exchange" in told


def test_a_slices_own_times_come_before_those_of_its_state(client, user, study):
    make_result(study)
    options = f"/studies/{study.public_id}/run/options/"
    client.post(options, {"stress-interval": "0.8", "stress_mid-interval": "1.6"})
    assert Run.objects.get().parameters["times"] == {"stress_mid": {"frame_interval_s": 1.6}}


BAD_TIMES = {
    "too quick": ({"rest_mid-interval": "0.05"}, "Rest, mid: one frame every (s): 0.05",
                  "from 0.2 to 6"),
    "both": ({"rest_mid-interval": "0.9", "rest_mid-rate": "60"}, "Rest, mid: both an interval",
             "Empty the one or the other."),
    "no rate": ({"stress-beats": "2"}, "All slices, stress: beats from frame to frame",
                "Give the heart rate too, or empty both."),
    "too slow": ({"stress-rate": "30", "stress-beats": "4"}, "All slices, stress: at 30 beats/min",
                 "every 8.0 s"),
    "no number": ({"stress_mid-rate": "sixty"}, "Stress, mid: heart rate", "such as 66"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD_TIMES)
def test_times_that_cannot_be_are_told_with_the_slice(client, user, study, kind):
    make_result(study)
    data, what, next_step = BAD_TIMES[kind]
    (sentence,) = errors(client, f"/studies/{study.public_id}/run/options/", **data)
    assert what in sentence
    assert next_step in sentence
    assert not Run.objects.exists()


def test_who_may_only_read_a_study_cannot_analyse_it_again(client, study):
    owner, reader = make_user(study.trust), make_user(make_trust())
    protocols.create(by=owner, content=protocol_content())
    make_result(study)
    sharing.share(study, by=owner, to_user=reader, reason="opinion")
    client.force_login(reader)
    assert client.get(f"/studies/{study.public_id}/run/options/").status_code == 404
    card = client.get(f"/studies/{study.public_id}/run/").content.decode()
    assert "Dual sequence" not in card
    assert "run/options" not in client.get(f"/studies/{study.public_id}/").content.decode()


# --- what a result shows ----------------------------------------------------------------------


def with_protocol(study: Study, **parameters: object) -> None:
    result = make_result(study)
    result.report["parameters"] = parameters
    result.save()


def test_a_result_names_its_protocol_and_shows_its_values(client, user, study):
    protocol = protocols.create(by=user, content=protocol_content())
    with_protocol(
        study, protocol={"saturation_time_ms": 105.0, "aif": {"flip_angle_deg": 8}},
        protocol_version={"name": "Dual sequence", "version": 1, "id": protocol.public_id,
                          "chosen_by": "person"},
    )  # fmt: skip
    path = f"/studies/{study.public_id}/"
    html = client.get(path).content.decode()
    page = words(html)
    assert "Protocol Dual sequence, version 1" in page
    assert "Dual sequence, version 1, chosen by a person." in page
    assert "saturation time (ms) 105 " in page
    assert "input series: flip angle (degrees) 8" in page
    assert f"/protocols/{protocol.public_id}/versions/1/" in html
    reader = make_user(make_trust())
    sharing.share(study, by=user, to_user=reader, reason="opinion")
    client.force_login(reader)
    html = client.get(path).content.decode()
    assert "Dual sequence, version 1" in words(html)
    assert "/protocols/" + protocol.public_id not in html, "the page is their trust's alone"
    assert 'href="#protocol"' in html


def test_a_result_without_a_protocol_says_so_and_what_was_assumed(client, user, study):
    result = make_result(study)
    result.report["series"][0]["quality"].append(
        {"flag": "assumed_haematocrit", "severity": "info",
         "sentence": "The haematocrit was not measured; 0.42 is used."}
    )  # fmt: skip
    result.save()
    page = seen(client, f"/studies/{study.public_id}/")
    assert "Protocol None: assumptions" in page
    assert "Protocol: none. The files were believed" in page
    assert "The haematocrit was not measured; 0.42 is used." in page


def test_the_times_of_each_slice_are_told_with_their_gaps(client, user, study):
    result = make_result(study)
    stress, rest = result.report["series"]
    stress["frame_times_s"] = [0.0, 0.9, 1.8, 4.5, 5.4, 6.3]
    stress["clock"] = {
        "reason": "it counts up through the film",
        "given": None,
        "of_files": {"time_source": "AcquisitionTime", "median_interval_s": 0.9},
    }
    rest["time_source"] = None
    rest["clock"] = {
        "reason": "no clock was found",
        "given": {"by": "person", "sentence": "one frame every 1.00 s", "frame_interval_s": 1.0,
                  "heart_rate_per_min": None, "beats_per_frame": None},
        "of_files": {"time_source": "InstanceNumber", "median_interval_s": 0.7},
    }  # fmt: skip
    rest["quality"] = [{"flag": "unusual_pace", "severity": "warning",
                        "sentence": "Frames come every 5.0 s."}]  # fmt: skip
    result.save()
    html = client.get(f"/studies/{study.public_id}/").content.decode()
    parts = [part for part in re.findall(r"<details.*?</details>", html, re.DOTALL)
             if "Times of the frames" in part]  # fmt: skip
    told, doubtful = parts
    assert " open" not in told.split(">")[0]
    assert "Told by AcquisitionTime" in words(told)
    assert "From frame to frame, median 0.90 s" in words(told)
    assert "Gaps (frames or beats missing) 1 (2)" in words(told)
    assert "Why: it counts up through the film." in words(told)
    assert " open" in doubtful.split(">")[0]
    assert "Check: Frames come every 5.0 s." in words(doubtful)
    assert "Told by a person" in words(doubtful)
    assert "By InstanceNumber of the files: one frame every 0.70 s." in words(doubtful)
    assert f"/studies/{study.public_id}/run/options/#times-rest" in doubtful
    options = seen(client, f"/studies/{study.public_id}/run/options/")
    assert "Given for this result: one frame every 1.00 s." in options
    assert (
        'name="rest-interval" value="1"'
        in client.get(f"/studies/{study.public_id}/run/options/").content.decode()
    )


def test_a_look_at_protocols_in_the_admin_site_is_recorded(client, user):
    protocol = protocols.create(by=user, content=protocol_content())
    client.force_login(make_administrator())
    version = protocol.versions.get()
    assert client.get("/admin/processing/protocolversion/").status_code == 200
    path = f"/admin/processing/protocolversion/{version.pk}/change/"
    assert client.get(path).status_code == 200
    assert client.post(path, {"name": "x"}).status_code == 403
    verbs = list(AuditEvent.objects.order_by("pk").values_list("verb", flat=True))
    assert verbs[:3] == ["protocol.create", "protocol.list", "protocol.view"]

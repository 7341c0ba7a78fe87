"""Forms about protocols and runs; the rules they ask for live in the services."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.forms.boundfield import BoundField
from django.utils import timezone
from django.utils.translation import gettext as now
from django.utils.translation import gettext_lazy as _

from accounts.models import Trust
from processing import protocols
from processing.mcaq.agents import RELAXIVITIES
from processing.mcaq.kinetics.names import DEFAULT, UNITS, is_flow
from processing.models import ProtocolVersion
from processing.protocol import (
    LONGEST_INTERVAL_S,
    NUMBERS,
    SHORTEST_INTERVAL_S,
    STRESSORS,
    WHOLE_NUMBERS,
)
from processing.protocol_words import GIVEN, SEQUENCE, TISSUE, WORDS, Word
from studies import readings
from studies.forms import DayField
from studies.models import Result
from studies.models.readings import SetAside
from studies.models.studies import ResearchConsent, State
from studies.naming import called
from studies.numbers import KINETIC_MODELS
from studies.pace import DOUBTS_OF_TIME, pace
from studies.scanners import MAKER_NAMES, MODELS
from studies.segments import AHA_NAMES

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)")
_FIELDS_T = (0.55, 1.0, 1.5, 3.0, 7.0)


class NumberField(forms.Field):
    """A number in a unit or nothing; its errors name the field, the likely cause and what to do."""

    def __init__(self, word: Word, low: float, high: float, *, whole: bool, **options: Any) -> None:
        box = forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"})
        super().__init__(required=False, widget=box, **options)
        self.word, self.low, self.high, self.whole = word, low, high, whole

    def to_python(self, value: Any) -> float | None:
        text = str(value if value is not None else "").strip()
        if not text:
            return None
        if not _NUMBER.fullmatch(text):
            raise ValidationError(
                now("%(label)s: “%(text)s” is not a number. Give digits with a dot, such as "
                    "%(example)s, or leave it empty if it is not known.")
                % {"label": self.label, "text": text[:40], "example": self.word.example}
            )  # fmt: skip
        number = float(text)
        if not self.low <= number <= self.high or (self.whole and number != int(number)):
            raise ValidationError(self._why_not(text, number))
        return int(number) if self.whole else number

    def prepare_value(self, value: Any) -> Any:
        return f"{value:g}" if isinstance(value, int | float) else value

    def _why_not(self, text: str, number: float) -> str:
        kind = now("a whole number") if self.whole else now("a number")
        said = now(
            "%(label)s: %(text)s cannot be right; it is %(kind)s from %(low)s to %(high)s."
        ) % {
            "label": self.label, "text": text[:40], "kind": kind,
            "low": f"{self.low:g}", "high": f"{self.high:g}",
        }  # fmt: skip
        if self.word.unit == "ms" and number < self.low <= 1000 * number <= self.high:
            return said + " " + now("It may have been given in seconds: give milliseconds.")
        if not self.word.unit and not self.whole and self.low <= number / 100 <= self.high:
            return said + " " + now("It may have been given in percent: divide it by 100.")
        return said + " " + now("Correct it, or leave it empty if it is not known.")


def _number(key: str, before: str = "") -> NumberField:
    word = WORDS[key]
    low, high = WHOLE_NUMBERS.get(key) or NUMBERS[key]
    label = word.label_with_unit
    return NumberField(
        word, low, high, whole=key in WHOLE_NUMBERS,
        label=f"{before}{label[0].lower()}{label[1:]}" if before else label,
        # Said once, in the part about the images of the muscle.
        help_text="" if before else word.hint,
    )  # fmt: skip


def _sequence(before: str = "") -> forms.ChoiceField:
    word = WORDS["sequence"]
    label = str(word.label)
    return forms.ChoiceField(
        label=f"{before}{label[0].lower()}{label[1:]}" if before else label,
        required=False,
        help_text="" if before else word.hint,
        choices=[
            ("", _("Not known: as the files say")),
            ("flash", _("Spoiled gradient echo (FLASH, TurboFLASH, T1-TFE, FGRE)")),
            ("bssfp", _("Balanced SSFP (TrueFISP, FIESTA, b-TFE)")),
        ],
    )


class ProtocolForm(forms.Form):
    """A protocol's whole content: its name, when it is used, and the values of a protocol file."""

    seen = forms.IntegerField(widget=forms.HiddenInput, required=False)
    name = forms.CharField(
        label=_("Name"),
        max_length=80,
        help_text=_("For example “Dual sequence, 1.5 T, 2026”. It stands with each result."),
        error_messages={
            "required": _("Name: it is empty. Give one by which your colleagues know the sequence.")
        },
    )
    use = forms.ChoiceField(
        label=_("When it is used"), choices=ProtocolVersion.Use.choices, widget=forms.RadioSelect,
        error_messages={
            "required": _("When it is used: nothing is chosen. Choose one of the three.")
        },
    )  # fmt: skip
    manufacturer = forms.ChoiceField(label=_("Maker"), required=False)
    scanner_model = forms.ChoiceField(label=_("Model"), required=False)
    rule_field_t = forms.TypedChoiceField(
        label=_("Field strength of the scanner"), required=False, coerce=float, empty_value=None
    )
    scanner_pseudonym = forms.ChoiceField(
        label=_("One scanner"), required=False,
        help_text=_("Those of your trust’s studies so far, by a code that stands in for the "
                    "serial number."),
    )  # fmt: skip
    input_series = forms.ChoiceField(
        label=_("Low-resolution input series (dual sequence)"), required=False,
        choices=ProtocolVersion.InputSeries.choices,
    )  # fmt: skip
    agent = forms.ChoiceField(
        label=WORDS["agent"].label, required=False, help_text=WORDS["agent"].hint
    )
    stressor = forms.ChoiceField(
        label=WORDS["stressor"].label, required=False, help_text=WORDS["stressor"].hint
    )

    def __init__(
        self, data: Any = None, *, trust: Trust, version: ProtocolVersion | None = None
    ) -> None:
        super().__init__(data, initial=_initial(version))
        self._choices("manufacturer", _("Any maker"), ((name, name) for name in MAKER_NAMES))
        self._choices("scanner_model", _("Any model"), ((name, name) for name in sorted(MODELS)))
        self._choices("rule_field_t", _("Any"), ((f"{t:g}", f"{t:g} T") for t in _FIELDS_T))
        self._choices("scanner_pseudonym", _("Any scanner"), protocols.scanners_of(trust))
        self._choices("agent", _("Not known"), ((name, name.capitalize()) for name in RELAXIVITIES))
        self._choices("stressor", _("Not known"), ((one, one.capitalize()) for one in STRESSORS))
        for key in (*SEQUENCE, *GIVEN, *TISSUE):
            if key not in self.fields:
                self.fields[key] = _sequence() if key == "sequence" else _number(key)
        for key in SEQUENCE:
            before = now("Input series: ")
            self.fields[f"aif_{key}"] = (
                _sequence(before) if key == "sequence" else _number(key, before)
            )
        for field in self.fields.values():
            # The page says it once, at the top.
            field.optional_is_said = True  # type: ignore[attr-defined]

    def _choices(self, name: str, empty: Any, others: Iterable[tuple[str, str]]) -> None:
        """The choices of a field; what the version has is among them, whatever the lists say."""
        choices = [("", empty), *others]
        held = self.initial.get(name)
        if held and held not in {value for value, _label in choices}:
            choices.append((held, held))
        self.fields[name].choices = choices  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        for before in ("", "aif_"):
            self._check_readout(data, before)
        return data

    def _check_readout(self, data: Mapping[str, Any], before: str) -> None:
        pulses, apart = (
            data.get(f"{before}pulses_to_centre"),
            data.get(f"{before}repetition_time_ms"),
        )
        wait = data.get(f"{before}saturation_time_ms")
        if not pulses or not apart or not wait or pulses * apart < wait:
            return
        name = f"{before}pulses_to_centre"
        self.add_error(
            name,
            now("%(label)s: %(pulses)d pulses of %(apart)s ms take %(taken)s ms, which is more "
                "than the %(wait)s ms from saturation to the image. Correct one of the three.")
            % {"label": self.fields[name].label, "pulses": pulses, "apart": f"{apart:g}",
               "taken": f"{pulses * apart:g}", "wait": f"{wait:g}"},
        )  # fmt: skip

    def content(self) -> dict[str, Any]:
        """What a version holds, from a form that is valid."""
        data = self.cleaned_data
        values = _known({key: data[key] for key in (*SEQUENCE, *GIVEN, *TISSUE)})
        aif = _known({key: data[f"aif_{key}"] for key in SEQUENCE})
        return {
            "name": data["name"].strip(),
            "use": data["use"],
            "manufacturer": data["manufacturer"],
            "scanner_model": data["scanner_model"],
            "scanner_pseudonym": data["scanner_pseudonym"],
            "field_t": data["rule_field_t"],
            "input_series": data["input_series"],
            "values": values | ({"aif": aif} if aif else {}),
        }

    def _bound(self, names: Iterable[str]) -> list[BoundField]:
        return [self[name] for name in names]

    @property
    def rule(self) -> list[BoundField]:
        return self._bound(
            ("manufacturer", "scanner_model", "rule_field_t", "scanner_pseudonym", "input_series")
        )

    @property
    def given(self) -> list[BoundField]:
        return self._bound(GIVEN)

    @property
    def readout(self) -> list[BoundField]:  # "sequence" is the name of a field
        return self._bound(SEQUENCE)

    @property
    def tissue(self) -> list[BoundField]:
        return self._bound(TISSUE)

    @property
    def aif(self) -> list[BoundField]:
        return self._bound(f"aif_{key}" for key in SEQUENCE)

    @property
    def aif_is_open(self) -> bool:
        """Whether the part about the input series has something to show."""
        return any(field.errors or field.value() not in {None, ""} for field in self.aif)


def _known(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None and value != ""}


def _initial(version: ProtocolVersion | None) -> dict[str, Any]:
    if version is None:
        return {"use": ProtocolVersion.Use.FITTING}
    values = {key: value for key, value in version.values.items() if key != "aif"}
    aif = version.values.get("aif") or {}
    return {
        **values,
        **{f"aif_{key}": value for key, value in aif.items()},
        "seen": version.number,
        "name": version.name,
        "use": version.use,
        "manufacturer": version.manufacturer,
        "scanner_model": version.scanner_model,
        "scanner_pseudonym": version.scanner_pseudonym,
        "rule_field_t": "" if version.field_t is None else f"{version.field_t:g}",
        "input_series": version.input_series,
    }


# --- the record of a study ---------------------------------------------------------------------


class RecordForm(forms.Form):
    """What DICOM does not say of a study: protocol, what was given, the patient's word."""

    protocol_wanted = forms.ChoiceField(label=_("Protocol"), required=False)
    agent = forms.ChoiceField(
        label=WORDS["agent"].label,
        required=False,
        choices=[
            ("", _("As the files or the protocol say")),
            *((name, name.capitalize()) for name in RELAXIVITIES),
        ],
    )
    dose_mmol_per_kg = _number("dose_mmol_per_kg")
    stressor = forms.ChoiceField(
        label=WORDS["stressor"].label,
        required=False,
        choices=[
            ("", _("As the protocol says, or not known")),
            *((one, one.capitalize()) for one in STRESSORS),
        ],
    )
    research_consent = forms.ChoiceField(
        label=_("The patient’s word on research"),
        required=False,
        choices=ResearchConsent.choices,
        widget=forms.RadioSelect,
        help_text=_(
            "With “Not given” or “Opted out” this study is never released for research. It can be "
            "changed at any time and holds at once."
        ),
    )
    research_consent_on = DayField(
        label=_("Since when"),
        required=False,
        help_text=_(
            "The day on which the patient said so, for example 31/3/2026. Needed for an opt-out."
        ),
        error_messages={
            "invalid": _("Since when: this is no date. Give it as day/month/year, 31/3/2026.")
        },
    )

    def __init__(
        self, data: Any = None, *, initial: Mapping[str, Any], protocols: Iterable[ProtocolVersion],
        by_rule: str,
    ) -> None:  # fmt: skip
        super().__init__(data, initial=dict(initial), auto_id="record_%s")
        choices = [
            ("", by_rule),
            *((one.protocol.public_id, str(one)) for one in protocols),
            ("none", _("None: files and assumptions")),
        ]
        held = self.initial.get("protocol_wanted")
        if held and held not in {value for value, _label in choices}:
            choices.append((held, _("The protocol chosen before, no longer in use")))
        self.fields["protocol_wanted"].choices = choices  # type: ignore[attr-defined]
        self.fields["dose_mmol_per_kg"].help_text = _("Of each injection. Usually 0.03 to 0.1.")
        for field in self.fields.values():
            field.optional_is_said = True  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        when = data.get("research_consent_on")
        if when is not None and when > timezone.localdate():
            self.add_error(
                "research_consent_on",
                now("Since when: this day is still to come. Give the day the patient said so."),
            )
        opted_out = data.get("research_consent") == ResearchConsent.OPTED_OUT
        if opted_out and when is None and "research_consent_on" not in self.errors:
            self.add_error(
                "research_consent_on",
                now("Since when: it is empty. Give the day from which the opt-out holds."),
            )
        return data


# --- analysing again ---------------------------------------------------------------------------

_BOXES = ("interval", "rate", "beats")
_INTERVAL = Word(_("One frame every"), "s", "0.9", "")
_RATE = Word(_("heart rate"), "beats/min", "66", "")
_BEATS = Word(_("heart beats from frame to frame"), "", "1", "")


class TimesForm(forms.Form):
    """Which protocol, and a fixed pace of the frames, of a state or of a slice, if it is known.

    series: entries of a report's ``series``.
    """

    protocol = forms.CharField(required=False, max_length=26)
    model = forms.ChoiceField(
        label=_("Kinetic model of the maps"),
        required=False,
        choices=[("", _("Exchange (the usual one)"))]
        + [(name, KINETIC_MODELS[name]) for name in UNITS if is_flow(name) and name != DEFAULT],
        help_text=_("For MCAQ. Two results with two models can be compared pixel by pixel."),
    )
    concentration = forms.ChoiceField(
        label=_("Contrast concentration"),
        required=False,
        choices=[
            ("", _("From the signal, by the physics of the sequence (the usual way)")),
            ("linear", _("Taken as linear with the signal: relative numbers, no flow")),
        ],
        help_text=_(
            "For MCAQ. Linear where the sequence is not known: to look at, not to compare."
        ),
    )

    def __init__(self, data: Any = None, *, series: Iterable[Mapping[str, Any]]) -> None:
        super().__init__(data)
        self.series = list(series)
        self.times: dict[str, dict[str, Any]] = {}
        self.names = {entry["state"]: _all_of(entry["state"]) for entry in self.series}
        for state in list(self.names):
            slices = [entry for entry in self.series if entry["state"] == state]
            held = [_held(entry) for entry in slices]
            alike = all(one == held[0] for one in held)
            self._add(state, held[0] if alike else {})
            for entry, own in zip(slices, held, strict=True):
                self.names[entry["folder"]] = called(entry)
                self._add(entry["folder"], {} if alike else own)

    @property
    def chosen(self) -> dict[str, str]:
        """Of a valid form, what a run is told besides protocol and times; nothing of the usual."""
        return {
            name: self.cleaned_data[name]
            for name in ("model", "concentration")
            if self.cleaned_data[name]
        }

    def _add(self, place: str, held: Mapping[str, Any]) -> None:
        """The three boxes of a state or a slice, with what a person gave last time."""
        before, rate = f"{self.names[place]}: ", held.get("heart_rate_per_min")
        interval = None if rate else held.get("frame_interval_s")
        boxes = (
            ("interval", now("one frame every (s)"), _INTERVAL, SHORTEST_INTERVAL_S,
             LONGEST_INTERVAL_S, interval),
            ("rate", now("heart rate (beats/min)"), _RATE, 30, 220, rate),
            ("beats", now("beats from frame to frame"), _BEATS, 1, 4, held.get("beats_per_frame")),
        )  # fmt: skip
        for box, label, word, low, high, initial in boxes:
            self.fields[f"{place}-{box}"] = NumberField(
                word, low, high, whole=box == "beats", label=before + label, initial=initial
            )

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        told = {place: self._told(place, data) for place in self.names}
        for entry in self.series:
            # A slice's own word comes before the one for all slices of its state.
            found = told[entry["folder"]] or told[entry["state"]]
            if found:
                self.times[entry["folder"]] = found
        return data

    def _told(self, place: str, data: Mapping[str, Any]) -> dict[str, Any]:
        """What was given for a state or a slice as a run takes it; empty if nothing was."""
        interval, rate, beats = (data.get(f"{place}-{box}") for box in _BOXES)
        if any(self.errors.get(f"{place}-{box}") for box in _BOXES):
            return {}
        if interval is not None and (rate is not None or beats is not None):
            self._refuse(
                place, "interval", now("%(name)s: both an interval and heart beats are given. "
                                       "Empty the one or the other."),
            )  # fmt: skip
        elif interval is not None:
            return {"frame_interval_s": interval}
        elif rate is not None:
            return self._by_heart_rate(place, rate, beats or 1)
        elif beats is not None:
            self._refuse(
                place, "rate", now("%(name)s: beats from frame to frame are given without a heart "
                                   "rate. Give the heart rate too, or empty both."),
            )  # fmt: skip
        return {}

    def _by_heart_rate(self, place: str, rate: float, beats: int) -> dict[str, Any]:
        seconds = round(60 * beats / rate, 4)
        if seconds <= LONGEST_INTERVAL_S:
            return {
                "frame_interval_s": seconds,
                "heart_rate_per_min": rate,
                "beats_per_frame": beats,
            }
        self._refuse(
            place, "rate", now("%(name)s: at %(rate)s beats/min and %(beats)d beats from frame to "
                               "frame, one comes every %(seconds)s s, and more than %(most)s s is "
                               "no first pass. Correct one of the two."),
            rate=f"{rate:g}", beats=beats, seconds=f"{seconds:.1f}", most=f"{LONGEST_INTERVAL_S:g}",
        )  # fmt: skip
        return {}

    def _refuse(self, place: str, box: str, sentence: str, **more: Any) -> None:
        self.add_error(f"{place}-{box}", sentence % {"name": self.names[place], **more})

    def states(self) -> list[dict[str, Any]]:
        """For the page: each state with its boxes and its slices."""
        told = []
        for state in dict.fromkeys(entry["state"] for entry in self.series):
            slices = [self._slice(entry) for entry in self.series if entry["state"] == state]
            told.append(
                {
                    **self._place(state),
                    "slices": slices,
                    "is_open": any(one["doubts"] or one["has_something"] for one in slices),
                }
            )
        return told

    def _place(self, place: str) -> dict[str, Any]:
        fields = [self[f"{place}-{box}"] for box in _BOXES]
        return {
            "place": place,
            "name": self.names[place],
            "fields": fields,
            "has_something": any(one.errors or one.value() not in {None, ""} for one in fields),
        }

    def _slice(self, entry: Mapping[str, Any]) -> dict[str, Any]:
        clock = entry.get("clock") or {}
        of_files = clock.get("of_files") or {"time_source": entry["time_source"]}
        found = pace(entry["frame_times_s"])
        return {
            **self._place(entry["folder"]),
            "source": of_files["time_source"],
            "interval_s": of_files.get("median_interval_s") or (found and found.median_interval_s),
            "last": (clock.get("given") or {}).get("sentence"),
            "doubts": [
                flag["sentence"] for flag in entry["quality"] if flag["flag"] in DOUBTS_OF_TIME
            ],
        }


def _held(entry: Mapping[str, Any]) -> dict[str, Any]:
    """What a person gave for a slice last time."""
    given = (entry.get("clock") or {}).get("given") or {}
    return given if given.get("by") == "person" else {}


def _all_of(state: str) -> str:
    return now("All slices, %(state)s") % {"state": str(State(state).label).lower()}


class ReadingForm(forms.Form):
    """Each value of a result: accepted, or set aside for a reason. Accepted is what nobody says."""

    def __init__(
        self, *args: Any, result: Result, read: readings.Read | None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self._places = {
            f"{state}-{number}": (state, number)
            for state, number in sorted(readings.values(result.report))
        }
        for name, (state, number) in self._places.items():
            label = f"{AHA_NAMES[number]}, {str(State(state).label).lower()}"
            self.fields[name] = forms.ChoiceField(
                label=label, required=False, choices=[("", _("Accept")), *SetAside.choices],
                initial=read.set_aside.get((state, number), "") if read else "",
            )  # fmt: skip
        self._flows = {
            (flow.state, flow.segment): flow for flow in reversed(list(result.segment_flows.all()))
        }

    def set_aside(self) -> dict[tuple[str, int], str]:
        """What was said of a valid form, by state and AHA segment."""
        return {
            place: self.cleaned_data[name]
            for name, place in self._places.items()
            if self.cleaned_data[name]
        }

    def states(self) -> list[str]:
        held = {state for state, _number in self._places.values()}
        return [str(state.label) for state in State if state in held]

    def rows(self) -> list[dict[str, Any]]:
        """One row for each segment: its number and name, and for each state the value and box."""
        held = {state for state, _number in self._places.values()}
        return [
            {
                "number": number,
                "name": name,
                "cells": [
                    {"flow": self._flows[state, number], "box": self[f"{state}-{number}"],
                     "label": state.label}
                    if f"{state}-{number}" in self._places
                    else {"label": state.label}
                    for state in State
                    if state in held
                ],
            }
            for number, name in AHA_NAMES.items()
        ]  # fmt: skip

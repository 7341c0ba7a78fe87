"""Sorting: state, level and role right, or "unknown" where the data cannot say.

On phantoms of every vendor's layout with good, blind and misleading names, and on real studies
where they are; each file de-identified first, as an upload's are.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from processing.mcaq.phantom import PhantomStudy, SeriesTruth, make_study
from processing.phantom_dicom import VENDORS, write_study
from processing.phantom_variants import Variant
from scripts.bench.table import Figure
from studies.dicom.deidentify import deidentify
from studies.dicom.frames import Frame, frames_of
from studies.dicom.read import Refused, read_file
from studies.dicom.sort import SortedStudy, sort_frames

_KEY = b"drill"
_SMALL = {"rows": 48, "cols": 48}
_LEVELS = {
    1: ("mid",),
    2: ("basal", "mid"),
    3: ("basal", "mid", "apical"),
    4: ("basal", "mid", "mid2", "apical"),
}


@dataclass(frozen=True)
class Case:
    """A phantom study and how its files are written."""

    name: str
    vendor: str
    study: dict[str, object]
    variant: Variant

    def made(self) -> PhantomStudy:
        return _made(tuple(sorted(self.study.items())))


@cache
def _made(options: tuple[tuple[str, object], ...]) -> PhantomStudy:
    """A phantom study, made once for all vendors."""
    return make_study(5, **{**_SMALL, "frames": 14, **dict(options)})  # type: ignore[arg-type]


def cases(vendors: tuple[str, ...] = VENDORS) -> Iterator[Case]:
    """Every vendor's layout with every kind of name, number of slices and states."""
    for vendor in vendors:
        for names in ("usual", "blind", "protocol", "misleading"):
            yield Case(f"{names} names", vendor, {}, Variant(names))
        for slices, levels in _LEVELS.items():
            if slices == 4:
                continue  # the phantom has three levels; four come from tests of small files
            yield Case(f"{slices} slices", vendor, {"levels": levels}, Variant())
        for state in ("stress", "rest"):
            yield Case(f"{state} only", vendor, {"states": (state,)}, Variant())
        dual = {"dual_sequence": True, "pd_frames": 2}
        for names in ("usual", "blind"):
            yield Case(f"dual sequence, {names} names", vendor, dual, Variant(names))
        echoes = {**dual, "input_echoes": 2}
        yield Case("dual echo", vendor, echoes, Variant("blind"))
        yield Case("scanner's maps", vendor, {}, Variant(scanner_maps=True))
        yield Case("mirrored", vendor, {"orientation": "mirrored"}, Variant("blind"))
        yield Case("turned", vendor, {"orientation": "any"}, Variant("blind"))
        if "enhanced" not in vendor:
            yield Case("PD frames apart", vendor, {"pd_frames": 2}, Variant(pd_apart=True))
            yield Case("slices in one series", vendor, {}, Variant(one_series=True))


def sorted_files(paths: list[Path]) -> SortedStudy:
    """Sort files as an upload does: each one rebuilt without identity first."""
    frames: list[Frame] = []
    for number, path in enumerate(paths):
        try:
            frames += frames_of(deidentify(read_file(path), key=_KEY), str(number))
        except Refused:
            continue
    return sort_frames(frames)


def judged(case: Case, folder: Path) -> Counter[str]:
    """Of each film of a phantom: how many states, levels and roles are right, unknown or wrong."""
    made = case.made()
    paths = write_study(made, folder, vendor=case.vendor, variant=case.variant)
    found = sorted_files(paths)
    counts: Counter[str] = Counter()
    truths = list(made.truth)
    for film in found.series:
        truth = min(truths, key=lambda one: _apart(film.frames[0], one.placement.position))
        mine = [one for one in truths if one.level == truth.level]
        # Of the films of one place the one that began when this one did.
        truth = _of_its_time(found, film.frames[0], mine)
        counts[f"state {_verdict(film.state, truth.state)}"] += 1
        level = "unknown" if film.level_is_assumed and film.level != truth.level else film.level
        counts[f"level {_verdict(level, truth.level)}"] += 1
    films = len(made.series)
    counts["role right"] += min(len(found.series), films)
    counts["role wrong"] += abs(len(found.series) - films)
    inputs = len({one.state for one in made.series if one.aif is not None})
    inputs *= 2 if any(one.aif and one.aif.later_echo is not None for one in made.series) else 1
    counts["role right"] += min(len(found.aif), inputs)
    counts["role wrong"] += abs(len(found.aif) - inputs)
    maps = films if case.variant.scanner_maps else 0
    counts["role right"] += sum(one.of is not None for one in found.maps)
    counts["role wrong"] += abs(maps - sum(one.of is not None for one in found.maps))
    for aif, served in found.aif:
        right = {found.series[n].state for n in served} == {aif.state}
        counts["state right" if right else "state wrong"] += 1
    return counts


def _apart(frame: Frame, place: tuple[float, ...]) -> float:
    assert frame.position_mm is not None  # noqa: S101
    return sum((a - b) ** 2 for a, b in zip(frame.position_mm, place, strict=True))


def _of_its_time(found: SortedStudy, frame: Frame, mine: Sequence[SeriesTruth]) -> SeriesTruth:
    """Stress comes first in every phantom: of two films of a place the earlier one is stress."""
    begun = _begun(frame)
    others = [
        _begun(one.frames[0]) for one in found.series
        if _apart(one.frames[0], frame.position_mm or (0.0, 0.0, 0.0)) < 1
    ]  # fmt: skip
    rank = sorted(others).index(begun)
    return sorted(mine, key=lambda one: float(one.clock_s[0]))[min(rank, len(mine) - 1)]


def _begun(frame: Frame) -> float:
    times = (frame.frame_datetime_s, frame.acquisition_time_s, frame.acquisition_datetime_s)
    return next((time for time in times if time is not None), 0.0)


def _verdict(found: str, truth: str) -> str:
    return "right" if found == truth else "unknown" if found == "unknown" else "wrong"


def measure(said: Callable[[str], None]) -> list[Figure]:
    counts: dict[str, Counter[str]] = {}
    for case in cases():
        said(f"sorting: {case.vendor}, {case.name}")
        with TemporaryDirectory() as folder:
            found = judged(case, Path(folder))
        counts.setdefault(case.vendor, Counter()).update(found)
        if case.name in {"blind names", "protocol names"}:
            # Nothing in these says stress or rest: any word for it is a guess.
            guessed = found["state right"] + found["state wrong"]
            counts[case.vendor]["state guessed"] += guessed
    figures = []
    for vendor, one in counts.items():
        for what in ("state", "level", "role"):
            note = ", ".join(f"{one[f'{what} {how}']} {how}" for how in ("right", "unknown"))
            figures.append(Figure(f"{what} wrong", vendor, one[f"{what} wrong"], 0, note=note))
        figures.append(Figure("state guessed where nothing says it", vendor,
                              one["state guessed"], 0))  # fmt: skip
    return [*figures, *_of_real_studies(said)]


#: What is known of the real studies: state, level and frames of each film.
REAL = {
    "invivo/dicom/case01": {("stress", "basal"), ("stress", "mid"), ("rest", "basal"),
                            ("rest", "mid")},
    "invivo/dicom/case15": {("stress", "basal"), ("stress", "mid"), ("rest", "basal"),
                            ("rest", "mid")},
    "invivo/dicom/case28": {("stress", "basal"), ("stress", "mid"), ("rest", "basal"),
                            ("rest", "mid")},
    "invivo/dicom-original/ge-first-pass": {("unknown", "mid")},
    "invivo/dicom-original/siemens-single-slice/Rest": {("unknown", "mid")},
    "invivo/dicom-original/siemens-single-slice/Stress": {("unknown", "mid")},
}  # fmt: skip


def data_folder() -> Path | None:
    """Where the data for local tests lie, if they are here."""
    root = Path(__file__).resolve().parents[2]
    asked = os.environ.get("CORECMR_TEST_DATA")
    places = [Path(asked)] if asked else [root.parent / "shared" / "data"]
    return next((place for place in places if (place / "other").is_dir()), None)


def _of_real_studies(said: Callable[[str], None]) -> list[Figure]:
    data = data_folder()
    if data is None:
        nan = float("nan")
        return [Figure("real studies wrong", "no data here", nan, note="not measured")]
    wrong = 0
    for name, expected in REAL.items():
        said(f"sorting: {name}")
        found = sorted_files(_files(data / name))
        wrong += {(one.state, one.level) for one in found.series} != expected or bool(found.aif)
    figures = [Figure("real studies wrong", f"{len(REAL)} studies", wrong, 0)]
    other = _files(data / "other")
    taken, silent = 0, 0
    for path in other:
        try:
            frames = frames_of(deidentify(read_file(path), key=_KEY), path.name)
        except Refused as refused:
            silent += not str(refused)
            continue
        found = sort_frames(frames)
        taken += bool(found.series or found.aif or found.maps)
        silent += {name for name, why in found.unused if why} != {path.name}
    together = sorted_files(other)
    taken += bool(together.series or together.aif or together.maps)
    where = f"{len(other)} files"
    return [
        *figures,
        Figure("no perfusion, taken for it", where, taken, 0),
        Figure("no perfusion, without a reason", where, silent, 0),
    ]


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())

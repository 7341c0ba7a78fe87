"""Sort frames into perfusion series: which films there are, their state, level and input series.

Each decision carries its reason, which the upload's page shows.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from studies.dicom.frames import Frame, Vector
from studies.dicom.labels import State, is_aif, is_corrected, slice_word, state_of
from studies.dicom.order import COUNTERS, DAY_S, Clock, order_frames

Level = Literal["basal", "mid", "mid2", "apical"]
FEWEST_FRAMES = 10
SHORTEST_FILM_S = 8.0
#: Apex to the left, to the front and down, in DICOM's patient coordinates (left, back, up).
_TOWARDS_APEX = (1.0, -1.0, -1.0)
#: Cosine of the angle to it within which a slice cuts the heart's short axis for sure.
_CLEARLY = 0.3
_LEVELS: dict[int, tuple[Level, ...]] = {
    1: ("mid",),
    2: ("basal", "mid"),
    3: ("basal", "mid", "apical"),
    4: ("basal", "mid", "mid2", "apical"),
}


@dataclass(frozen=True)
class SortedSeries:
    """One slice over time; times in s from its first frame."""

    uid: str
    clock: Clock
    state: State
    level: Level
    role: Literal["perfusion", "aif"]
    pd: tuple[bool, ...]
    level_is_assumed: bool = False
    folder: str = ""
    reasons: tuple[str, ...] = ()

    @property
    def frames(self) -> tuple[Frame, ...]:
        return self.clock.frames

    @property
    def times_s(self) -> tuple[float, ...]:
        return self.clock.times_s

    @property
    def mirrored(self) -> bool:
        """Whether the pictures show the heart from its base, left and right the other way round."""
        return is_mirrored(self.frames[0])

    @property
    def duration_s(self) -> float:
        return self.times_s[-1]

    @property
    def median_interval_s(self) -> float:
        steps = [b - a for a, b in itertools.pairwise(self.times_s)]
        return statistics.median(steps)


@dataclass(frozen=True)
class SortedStudy:
    """What a folder holds: perfusion series, input series and whom they serve, and the rest."""

    series: tuple[SortedSeries, ...]
    #: Low-resolution input series, each with the positions in ``series`` of those it serves.
    aif: tuple[tuple[SortedSeries, tuple[int, ...]], ...]
    unused: tuple[tuple[str, str], ...]


@dataclass
class _Film:
    """A slice over time before state and level are settled."""

    clock: Clock
    state: State
    along: float | None
    label: str
    start_s: float | None
    order: tuple[int, int]
    aif: bool = False
    made: bool = False
    reasons: list[str] = field(default_factory=list)

    @property
    def study_uid(self) -> str:
        return self.clock.frames[0].study_uid


def sort_frames(frames: Iterable[Frame]) -> SortedStudy:
    """Sort all frames of a folder."""
    unused: dict[str, str] = {}
    groups = _group(frames, unused)
    films = []
    for members in groups.values():
        film = _film(members, unused)
        if film is not None:
            films.append(film)
    films = _without_copies(films, unused)
    _find_input_series(films)
    tissue = [film for film in films if not film.aif]
    series = _settle(tissue)
    aif = _serve([film for film in films if film.aif], series, unused)
    used = {frame.file_id for one in series for frame in one.frames}
    used |= {frame.file_id for one, _ in aif for frame in one.frames}
    return SortedStudy(
        series=tuple(series),
        aif=tuple(aif),
        unused=tuple((name, why) for name, why in unused.items() if name not in used),
    )


def _group(
    frames: Iterable[Frame], unused: dict[str, str]
) -> dict[tuple[object, ...], list[Frame]]:
    """Frames of one series, one geometry, one slice and one echo belong together."""
    seen: set[tuple[str, int]] = set()
    groups: dict[tuple[object, ...], list[Frame]] = defaultdict(list)
    for frame in frames:
        identity = (frame.sop_instance_uid, frame.frame_number)
        if identity in seen:
            unused.setdefault(frame.file_id, "It is the same image as another file.")
            continue
        seen.add(identity)
        if "P" in frame.image_type[2:3] or "PHASE" in " ".join(frame.image_type):
            unused.setdefault(frame.file_id, "It is a phase image, not a magnitude image.")
            continue
        along = _along_normal(frame)
        groups[
            (
                frame.study_uid,
                frame.series_uid,
                frame.rows,
                frame.cols,
                _rounded(frame.orientation, 2),
                None if along is None else round(along),
            )
        ].append(frame)
    return {
        (*key, echo): part for key, members in groups.items() for echo, part in _echoes(members)
    }


def _echoes(members: list[Frame]) -> Iterator[tuple[float | None, list[Frame]]]:
    """Each echo is a film of its own; a few frames with another echo time are not an echo."""
    by_echo: dict[float | None, list[Frame]] = defaultdict(list)
    for frame in members:
        time = frame.echo_time_ms
        by_echo[None if time is None else round(time, 1)].append(frame)
    if min(len(part) for part in by_echo.values()) < FEWEST_FRAMES:
        yield None, members
    else:
        yield from by_echo.items()


def _rounded(values: Vector | None, digits: int) -> Vector | None:
    return None if values is None else tuple(round(value, digits) + 0.0 for value in values)


def _normal(frame: Frame) -> Vector | None:
    """The slice's normal, turned so that it points towards the apex of a heart in its place."""
    normal = _into_the_picture(frame)
    if normal is None:
        return None
    sign = 1.0 if _apexward(normal) >= 0 else -1.0
    return tuple(sign * n for n in normal)


def is_mirrored(frame: Frame) -> bool:
    """Whether the picture is seen from the base: who looks into it looks towards the apex.

    Short-axis pictures are seen from the apex as a rule. A picture that lies nearly along the
    heart's axis cannot say, and counts as no mirrored one.
    """
    normal = _into_the_picture(frame)
    return normal is not None and _apexward(normal) > _CLEARLY


def _apexward(normal: Vector) -> float:
    return sum(n * t for n, t in zip(normal, _TOWARDS_APEX, strict=True)) / math.hypot(
        *_TOWARDS_APEX
    )


def _into_the_picture(frame: Frame) -> Vector | None:
    """The unit vector of the patient's coordinates that points away from who looks at it."""
    if frame.orientation is None:
        return None
    a, b = frame.orientation[:3], frame.orientation[3:]
    normal = (
        a[1] * b[2] - a[2] * b[1],
        a[2] * b[0] - a[0] * b[2],
        a[0] * b[1] - a[1] * b[0],
    )
    length = math.hypot(*normal)
    if length < 0.5:
        return None
    return tuple(n / length for n in normal)


def _along_normal(frame: Frame) -> float | None:
    """Where the slice lies along its normal in mm, growing from base to apex."""
    normal = _normal(frame)
    if normal is None or frame.position_mm is None:
        return None
    return sum(n * p for n, p in zip(normal, frame.position_mm, strict=True))


def _film(members: list[Frame], unused: dict[str, str]) -> _Film | None:
    """A group as a film of the contrast's passage, or ``None`` with the reason noted."""
    if len(members) < FEWEST_FRAMES:
        _leave(
            members, unused,
            f"Its series has {len(members)} image{'s' * (len(members) > 1)} of this slice; "
            f"a perfusion film has at least {FEWEST_FRAMES}.",
        )  # fmt: skip
        return None
    clock = order_frames(members)
    if _is_cine(members, clock):
        _leave(members, unused, "It belongs to a cine film of one heart beat.")
        return None
    if _is_mapping(members):
        _leave(members, unused, "It belongs to a T1 or T2 map: its waiting times change.")
        return None
    if clock.times_s[-1] < SHORTEST_FILM_S:
        _leave(
            members, unused,
            f"Its series lasts {clock.times_s[-1]:.1f} s; a perfusion film lasts at least "
            f"{SHORTEST_FILM_S:.0f} s.",
        )  # fmt: skip
        return None
    first = clock.frames[0]
    state = state_of(first.label)
    film = _Film(
        clock=clock,
        state=state,
        along=_along_normal(first),
        label=first.label,
        start_s=_start(clock),
        order=(first.series_number or 0, first.instance_number or 0),
        aif=is_aif(first.label),
        made=is_corrected(first.label) or "MOCO" in first.image_type,
    )
    film.reasons.append(f"Time by {clock.source}: {clock.reason}.")
    if state == "unknown":
        film.reasons.append("Neither the series' name nor the protocol's says stress or rest.")
    else:
        film.reasons.append(f"Taken as {state} by the name of the series or the protocol.")
    if film.made:
        film.reasons.append("The scanner has moved these frames already.")
    return film


def _leave(members: list[Frame], unused: dict[str, str], reason: str) -> None:
    for frame in members:
        unused.setdefault(frame.file_id, reason)


def _is_cine(members: list[Frame], clock: Clock) -> bool:
    """Phases of one beat: the delay after the trigger steps on by less than a fifth of a second."""
    if clock.source not in {"TriggerTime", "ContentTime", *COUNTERS}:
        return False
    delays = sorted({f.trigger_time_ms for f in members if f.trigger_time_ms is not None})
    if len(delays) < 0.8 * len(members):
        return False
    steps = [b - a for a, b in itertools.pairwise(delays)]
    return bool(steps) and statistics.median(steps) < 200


def _is_mapping(members: list[Frame]) -> bool:
    """Images of one slice after many different waits: a relaxation map, not a passage."""
    waits = {round(f.inversion_time_ms) for f in members if f.inversion_time_ms is not None}
    return len(waits) > max(4, len(members) // 3)


def _start(clock: Clock) -> float | None:
    """When a film began, on the scanner's clock, whichever attribute told the frames' times."""
    first = clock.frames[0]
    known = (first.frame_datetime_s, first.acquisition_time_s, first.acquisition_datetime_s)
    return next((time for time in known if time is not None), None)


def _without_copies(films: list[_Film], unused: dict[str, str]) -> list[_Film]:
    """Leave out what the scanner made from a film that is here itself."""
    kept = []
    for film in films:
        if film.made and any(_same_place(film, other) for other in films if not other.made):
            _leave(
                list(film.clock.frames), unused,
                "It is the scanner's corrected copy of a series that is here as it was acquired.",
            )  # fmt: skip
        else:
            kept.append(film)
    return kept


def _same_place(a: _Film, b: _Film) -> bool:
    return (
        a.along is not None
        and b.along is not None
        and abs(a.along - b.along) < 2
        and a.state == b.state
        and a.study_uid == b.study_uid
        and len(a.clock.frames) == len(b.clock.frames)
        and _overlap(a, b)
    )


def _find_input_series(films: list[_Film]) -> None:
    """A low-resolution twin of a film, taken in the same beats after a shorter wait."""
    for film in films:
        if film.aif:
            film.reasons.append("Taken as the arterial input series by its name.")
            continue
        for other in films:
            if other is film or other.aif:
                continue
            mine, theirs = film.clock.frames[0], other.clock.frames[0]
            coarse = _pixel_area(mine) > 1.8 * _pixel_area(theirs)
            small = mine.rows * mine.cols < 0.55 * theirs.rows * theirs.cols
            together = len(film.clock.frames) == len(other.clock.frames) and _overlap(film, other)
            waits = mine.inversion_time_ms, theirs.inversion_time_ms
            quicker = waits[0] is None or waits[1] is None or waits[0] < waits[1]
            if coarse and small and together and (quicker or mine.series_uid == theirs.series_uid):
                film.aif = True
                film.reasons.append(
                    "Taken as the arterial input series: coarser pixels and a shorter wait after "
                    "saturation, in the same beats as the images of the muscle."
                )
                break


def _pixel_area(frame: Frame) -> float:
    spacing = frame.pixel_spacing_mm or (1.0, 1.0)
    return spacing[0] * spacing[1]


def _overlap(a: _Film, b: _Film) -> bool:
    """Whether two films were taken in the same minute; unknown starts count as yes."""
    if a.start_s is None or b.start_s is None:
        return a.state == b.state
    later = b.start_s - a.start_s
    if max(a.start_s, b.start_s) <= DAY_S:
        # Times of day: one film may begin just before midnight and the other just after.
        later = (later + DAY_S / 2) % DAY_S - DAY_S / 2
    return -b.clock.times_s[-1] < later < a.clock.times_s[-1]


def _settle(films: list[_Film]) -> list[SortedSeries]:
    """Gather films taken together, then name their levels from base to apex."""
    series: list[SortedSeries] = []
    for acquisition in _acquisitions(films):
        ordered, why = _base_to_apex(acquisition)
        for number, film in enumerate(ordered):
            level = _level(number, len(ordered))
            reasons = [*film.reasons, _level_reason(number, len(ordered), why)]
            series.append(
                SortedSeries(
                    uid=film.clock.frames[0].series_uid,
                    clock=film.clock,
                    state=film.state,
                    level=level,
                    role="perfusion",
                    pd=_proton_density(film.clock.frames),
                    level_is_assumed=len(ordered) == 1,
                    reasons=tuple(reasons),
                )
            )
    return _named(series)


def _acquisitions(films: list[_Film]) -> list[list[_Film]]:
    """Films of one injection: the same state, in the same minute, each slice once."""
    gathered: list[list[_Film]] = []
    order = sorted(films, key=lambda f: (f.start_s is None, f.start_s or 0.0, f.order))
    for film in order:
        for acquisition in gathered:
            first = acquisition[0]
            same = first.state == film.state and first.study_uid == film.study_uid
            if same and _overlap(acquisition[0], film) and not _held(acquisition, film):
                acquisition.append(film)
                break
        else:
            gathered.append([film])
    return gathered


def _held(acquisition: list[_Film], film: _Film) -> bool:
    return any(
        other.along is not None and film.along is not None and abs(other.along - film.along) < 2
        for other in acquisition
    )


def _base_to_apex(films: list[_Film]) -> tuple[list[_Film], str]:
    """The slices of one acquisition from base to apex, and how that was told."""
    words = [slice_word(film.label) for film in films]
    rank = {"basal": 0, "mid": 1, "apical": 2}
    named = [rank[word] for word in words if word is not None]
    by_place = all(film.along is not None for film in films)
    ordered = sorted(films, key=lambda f: (f.along or 0.0 if by_place else 0.0, f.order))
    told = [rank[word] for film in ordered if (word := slice_word(film.label)) is not None]
    agree = told == sorted(told)
    if len(films) > 1 and len(named) == len(films) == len(set(named)):
        order = sorted(range(len(films)), key=lambda n: named[n])
        doubt = "" if agree or not by_place else ", although their place says otherwise"
        return [films[n] for n in order], f"the names of the series{doubt}"
    if by_place:
        if len(told) > 1 and not agree and told == sorted(told, reverse=True):
            return ordered[::-1], "the place of the slices, turned round as their names say"
        doubt = "" if agree else ", although their names say otherwise"
        return ordered, f"the place of the slices{doubt}"
    return ordered, "the order of the series"


def _level(number: int, count: int) -> Level:
    if count in _LEVELS:
        return _LEVELS[count][number]
    if number == 0:
        return "basal"
    if number == count - 1:
        return "apical"
    return "mid" if number < count / 2 else "mid2"


def _level_reason(number: int, count: int, why: str) -> str:
    if count == 1:
        return "One slice alone is taken as mid."
    return f"Slice {number + 1} of {count} from base to apex, by {why}."


def _proton_density(frames: Sequence[Frame]) -> tuple[bool, ...]:
    """Leading frames with a smaller flip angle than the rest measure proton density."""
    angles = [frame.flip_angle_deg for frame in frames]
    known = [angle for angle in angles if angle is not None]
    if len(known) < len(frames):
        return tuple(False for _ in frames)
    usual = statistics.median(known)
    flags = []
    leading = True
    for angle in known:
        leading = leading and angle < 0.75 * usual
        flags.append(leading)
    return tuple(flags) if sum(flags) <= len(frames) // 4 else tuple(False for _ in frames)


def _named(series: list[SortedSeries]) -> list[SortedSeries]:
    """A folder's name for each series; a repeat of state and level is numbered."""
    rank = {"stress": 0, "rest": 1, "unknown": 2}
    levels = ("basal", "mid", "mid2", "apical")
    ordered = sorted(
        range(len(series)),
        key=lambda n: (rank[series[n].state], levels.index(series[n].level), n),
    )
    counts: dict[str, int] = defaultdict(int)
    named = []
    for n in ordered:
        one = series[n]
        name = f"{one.state}_{one.level}"
        counts[name] += 1
        folder = name if counts[name] == 1 else f"{name}_{counts[name]}"
        named.append(replace(one, folder=folder))
    return named


def _serve(
    films: list[_Film], series: list[SortedSeries], unused: dict[str, str]
) -> list[tuple[SortedSeries, tuple[int, ...]]]:
    """Give each input series to the films taken in the same minute."""
    served = []
    for film in films:
        whom = tuple(
            number
            for number, one in enumerate(series)
            if _overlap(film, _as_film(one))
            and (film.state in {one.state, "unknown"} or one.state == "unknown")
        )
        if not whom:
            _leave(
                list(film.clock.frames), unused,
                "It is an arterial input series, but no film of the muscle goes with it.",
            )  # fmt: skip
            continue
        served.append(
            (
                SortedSeries(
                    uid=film.clock.frames[0].series_uid,
                    clock=film.clock,
                    state=film.state,
                    level=series[whom[0]].level,
                    role="aif",
                    pd=_proton_density(film.clock.frames),
                    reasons=tuple(film.reasons),
                ),
                whom,
            )
        )
    return served


def _as_film(one: SortedSeries) -> _Film:
    return _Film(
        clock=one.clock,
        state=one.state,
        along=None,
        label="",
        start_s=_start(one.clock),
        order=(0, 0),
    )

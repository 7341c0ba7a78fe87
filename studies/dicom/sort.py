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
from studies.dicom.labels import State, is_aif, is_corrected, kind_of, slice_word, state_of
from studies.dicom.order import ACQUISITION_CLOCKS, COUNTERS, DAY_S, Clock, order_frames

Level = Literal["basal", "mid", "mid2", "apical"]
FEWEST_FRAMES = 10
SHORTEST_FILM_S = 8.0
#: Frames of one slice that come quicker than this were taken within a heart beat.
QUICKEST_BEAT_S = 0.2
#: Slices of one geometry that lie nearer than this are one slice, followed as the patient breathes.
_SAME_SLICE_MM = 2.0
#: A slice of another film is the same cut of the heart up to this; stacks lie about 8 mm apart.
_SAME_CUT_MM = 4.0
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
    def key(self) -> tuple[str, int]:
        """What names this film whatever is added to it: its first frame's image and number."""
        return self.frames[0].sop_instance_uid, self.frames[0].frame_number

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
class ScannerMap:
    """A flow map that the scanner made, 100 × ml/min/g, and the position of the series it is of.

    of: in ``SortedStudy.series``; None where no series lies in its place.
    """

    frame: Frame
    state: State
    level: Level | None
    of: int | None
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class SortedStudy:
    """What a folder holds: perfusion series, input series and whom they serve, and the rest."""

    series: tuple[SortedSeries, ...]
    #: Low-resolution input series, each with the positions in ``series`` of those it serves.
    aif: tuple[tuple[SortedSeries, tuple[int, ...]], ...]
    unused: tuple[tuple[str, str], ...]
    maps: tuple[ScannerMap, ...] = ()


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
    by_protocol: bool = False
    doubted: bool = False
    reasons: list[str] = field(default_factory=list)

    @property
    def study_uid(self) -> str:
        return self.clock.frames[0].study_uid


def sort_frames(frames: Iterable[Frame]) -> SortedStudy:
    """Sort all frames of a folder."""
    unused: dict[str, str] = {}
    groups = _group(frames, unused)
    found_maps = _take_maps(groups)
    films = []
    for members in groups.values():
        film = _film(members, unused)
        if film is not None:
            films.append(film)
    films = _without_copies(films, unused)
    _find_input_series(films)
    _settle_states(films)
    series = _settle([film for film in films if not film.aif])
    return put_together(series, [_input(film) for film in films if film.aif], unused, found_maps)


def put_together(
    series: Sequence[SortedSeries],
    inputs: Sequence[SortedSeries],
    unused: dict[str, str],
    maps: Iterable[Frame],
) -> SortedStudy:
    """The study of these films: named, each input series given to those that it serves."""
    named = _named(series)
    aif = _serve(inputs, named, unused)
    used = {frame.file_id for one in named for frame in one.frames}
    used |= {frame.file_id for one, _ in aif for frame in one.frames}
    placed = tuple(_placed(frame, named) for frame in maps)
    used |= {one.frame.file_id for one in placed}
    return SortedStudy(
        series=tuple(named),
        aif=tuple(aif),
        unused=tuple((name, why) for name, why in unused.items() if name not in used),
        maps=placed,
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
        groups[
            (
                frame.study_uid,
                frame.series_uid,
                frame.rows,
                frame.cols,
                _rounded(frame.orientation, 2),
            )
        ].append(frame)
    return {
        (*key, number, echo): part
        for key, members in groups.items()
        for number, slice_ in enumerate(_slices(members))
        for echo, part in _echoes(slice_)
    }


def _slices(members: list[Frame]) -> list[list[Frame]]:
    """Frames by the place of their slice; a slice may follow the heart by a little."""
    places = [(_along_normal(frame), frame) for frame in members]
    unknown = [frame for along, frame in places if along is None]
    known = sorted(
        ((along, frame) for along, frame in places if along is not None), key=lambda pair: pair[0]
    )
    slices: list[list[Frame]] = []
    before = -math.inf
    for along, frame in known:
        if along - before > _SAME_SLICE_MM:
            slices.append([])
        slices[-1].append(frame)
        before = along
    return [*slices, unknown] if unknown else slices


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
        _leave(members, unused, _too_few(members))
        return None
    clock = order_frames(members)
    if _is_within_a_beat(members) or _is_cine(members, clock):
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
        by_protocol=first.state_by_protocol,
    )
    film.reasons.append(f"Time by {clock.source}: {clock.reason}.")
    if film.made:
        film.reasons.append("The scanner has moved these frames already.")
    return film


def _too_few(members: list[Frame]) -> str:
    """Why a handful of images is no film, with what they are where the header tells it."""
    count = f"{len(members)} image{'s' * (len(members) > 1)}"
    said = kind_of(members[0].label)
    if said == "scanner map" and "DERIVED" in members[0].image_type:
        return "It is a map that the scanner computed. Of these only its flow maps are shown."
    if said == "proton density" or _are_proton_density(members):
        return (
            f"It is one of {count} without saturation (proton density) in a series of their own. "
            "Only those at the start of a film's own series are used."
        )
    named = f" By its name it is for {said}." if said in _KINDS_OF_FEW else ""
    return (
        f"Its series has {count} of this slice; a perfusion film has at least "
        f"{FEWEST_FRAMES}.{named}"
    )


_KINDS_OF_FEW = frozenset(
    {"late enhancement", "T2* map", "T2 map", "T1 map", "cine", "localiser", "phase contrast"}
)


def _are_proton_density(members: list[Frame]) -> bool:
    """A few images that say so, or of a very small flip angle without any saturation."""
    if any("PROTON_DENSITY" in frame.image_type for frame in members):
        return True
    return all(
        frame.flip_angle_deg is not None
        and frame.flip_angle_deg <= _LARGEST_PD_ANGLE_DEG
        and frame.inversion_time_ms is None
        for frame in members
    )


#: Proton-density frames are taken with 5 to 8 degrees, the film's own with more.
_LARGEST_PD_ANGLE_DEG = 8.0


def _is_within_a_beat(members: list[Frame]) -> bool:
    """Whether a clock of the acquisition tells frames apart that come quicker than hearts beat."""
    for read in ACQUISITION_CLOCKS:
        known = [time for frame in members if (time := read(frame)) is not None]
        steps = [b - a for a, b in itertools.pairwise(sorted(known)) if b - a > 1e-3]
        if len(known) == len(members) and len(steps) + 1 >= 0.9 * len(known):
            return statistics.median(steps) < QUICKEST_BEAT_S
    return False


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
    echoes = {round(f.echo_time_ms, 1) for f in members if f.echo_time_ms is not None}
    return max(len(waits), len(echoes)) > max(4, len(members) // 3)


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
            twin = coarse and small and (quicker or mine.series_uid == theirs.series_uid)
            if together and (twin or _much_quicker(film, other)):
                film.aif = True
                film.reasons.append(
                    "Taken as the arterial input series: coarser pixels and a shorter wait after "
                    "saturation, in the same beats as the images of the muscle."
                    if twin
                    else "Taken as the arterial input series: a far shorter wait after saturation "
                    "than the images of the muscle of the same place and beats."
                )
                break


def _much_quicker(film: _Film, other: _Film) -> bool:
    """Whether ``film`` shows the same cut after less than half the wait: only blood is seen so."""
    mine, theirs = film.clock.frames[0].inversion_time_ms, other.clock.frames[0].inversion_time_ms
    return (
        mine is not None
        and theirs is not None
        and 0 < mine < 0.5 * theirs
        and _lies_in_place_of(film, other)
    )


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


def _settle_states(films: list[_Film]) -> None:
    """Say of each film stress or rest, or that nobody says it; with the reason.

    A state that only the protocol's name gives is dropped where films of one place and different
    minutes would all have it: that name is then one for the whole examination.
    """
    for film in films:
        if film.state == "unknown":
            continue
        rivals = [
            other for other in films
            if other is not film and other.aif == film.aif and _lies_in_place_of(film, other)
            and other.state == film.state and not _overlap(film, other)
        ]  # fmt: skip
        if film.by_protocol and any(other.by_protocol for other in rivals):
            film.doubted = True
    for film in films:
        if film.doubted:
            film.reasons.append(
                f"The protocol's name says {film.state} for films of this slice at different "
                "times, so it does not tell stress from rest."
            )
            film.state = "unknown"
        elif film.state != "unknown":
            film.reasons.append(f"Taken as {film.state} by the name of the series or the protocol.")
    silent = [film for film in films if film.state == "unknown" and not film.doubted]
    told = [(film, _state_of_neighbours(film, films)) for film in silent]
    for film, state in told:
        if state is None:
            film.reasons.append("Neither the series' name nor the protocol's says stress or rest.")
        else:
            film.state = state
            film.reasons.append(
                f"Taken as {state}, as the other slices taken in the same beats are by their name."
            )


def _state_of_neighbours(film: _Film, films: list[_Film]) -> State | None:
    """The state of films taken in the very same beats, if they say one and not both."""
    if film.start_s is None:
        return None
    together = [
        other for other in films
        if other is not film and other.start_s is not None and other.study_uid == film.study_uid
        and other.state != "unknown" and _overlap(film, other)
    ]  # fmt: skip
    states = {other.state for other in together}
    # A film of the same place cannot be of the same beats, whatever its clock says.
    clash = any(other.aif == film.aif and _lies_in_place_of(film, other) for other in together)
    return states.pop() if len(states) == 1 and not clash else None


def _lies_in_place_of(a: _Film, b: _Film) -> bool:
    return (
        a.study_uid == b.study_uid
        and a.along is not None
        and b.along is not None
        and abs(a.along - b.along) < _SAME_CUT_MM
        and _parallel(a.clock.frames[0], b.clock.frames[0])
    )


def _parallel(a: Frame, b: Frame) -> bool:
    """Whether two slices are cut in nearly the same direction."""
    mine, theirs = _normal(a), _normal(b)
    return (
        mine is not None
        and theirs is not None
        and sum(m * t for m, t in zip(mine, theirs, strict=True)) > _PARALLEL
    )


#: Cosine of ten degrees.
_PARALLEL = 0.985


def _settle(films: list[_Film]) -> list[SortedSeries]:
    """Gather films taken together, then name their levels from base to apex.

    Stacks of most slices come first: a stack of fewer whose slices all lie in the place of theirs
    has the levels of those.
    """
    series: list[SortedSeries] = []
    known: list[tuple[_Film, Level]] = []
    acquisitions = _acquisitions(films)
    for acquisition in sorted(acquisitions, key=len, reverse=True):
        ordered, why = _base_to_apex(acquisition)
        levels = _levels(ordered, why, known)
        for film, (level, assumed, reason) in zip(ordered, levels, strict=True):
            if not assumed:
                known.append((film, level))
            series.append(
                SortedSeries(
                    uid=film.clock.frames[0].series_uid,
                    clock=film.clock,
                    state=film.state,
                    level=level,
                    role="perfusion",
                    pd=_proton_density(film.clock.frames),
                    level_is_assumed=assumed,
                    reasons=(*film.reasons, reason),
                )
            )
    return sorted(series, key=_first)


def _first(one: SortedSeries) -> tuple[bool, float, int, int, str]:
    """The order of films in which repeats are counted: by their beginning, then their numbers."""
    first, start = one.frames[0], _start(one.clock)
    return (
        start is None, start or 0.0, first.series_number or 0, first.instance_number or 0,
        first.sop_instance_uid,
    )  # fmt: skip


def _levels(
    ordered: list[_Film], why: str, known: list[tuple[_Film, Level]]
) -> list[tuple[Level, bool, str]]:
    """Level, whether it is assumed, and the reason, for slices from base to apex."""
    count = len(ordered)
    words = [slice_word(film.label) for film in ordered]
    rank = {"basal": 0, "mid": 1, "apical": 2}
    ranks = [rank[word] for word in words if word is not None]
    if count < 3 and len(ranks) == count and ranks == sorted(set(ranks)):
        return [(word, False, "Its level is told by its name.") for word in words if word]
    if count < 4:
        twins = [
            next((level for other, level in known if _lies_in_place_of(film, other)), None)
            for film in ordered
        ]
        if known and None not in twins and len(set(twins)) == count:
            reason = "It lies in the place of this level's slice of another film of this study."
            return [(level, False, reason) for level in twins if level is not None]
    return [
        (_level(number, count), count == 1, _level_reason(number, count, why))
        for number in range(count)
    ]


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
    turned = told == sorted(told, reverse=True)
    # Names in an order that is neither the place's nor its reverse contradict every stack.
    sensible = agree or turned or not by_place
    if len(films) > 1 and len(named) == len(films) == len(set(named)) and sensible:
        order = sorted(range(len(films)), key=lambda n: named[n])
        doubt = "" if agree or not by_place else ", although their place says otherwise"
        return [films[n] for n in order], f"the names of the series{doubt}"
    if by_place:
        if len(told) > 1 and not agree and turned:
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


def _named(series: Sequence[SortedSeries]) -> list[SortedSeries]:
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


def _input(film: _Film) -> SortedSeries:
    """A film as an input series; whom it serves, and so its level, is told later."""
    echo = film.clock.frames[0].echo_time_ms
    told = () if echo is None else (f"Its echo time is {echo:.2f} ms.",)
    return SortedSeries(
        uid=film.clock.frames[0].series_uid,
        clock=film.clock,
        state=film.state,
        level="mid",
        role="aif",
        pd=_proton_density(film.clock.frames),
        reasons=(*film.reasons, *told),
    )


def _serve(
    inputs: Sequence[SortedSeries], series: Sequence[SortedSeries], unused: dict[str, str]
) -> list[tuple[SortedSeries, tuple[int, ...]]]:
    """Give each input series to the films taken in the same minute."""
    served = []
    for one in inputs:
        whom = tuple(
            number
            for number, other in enumerate(series)
            if _overlap(_as_film(one), _as_film(other))
            and (one.state in {other.state, "unknown"} or other.state == "unknown")
        )
        if not whom:
            _leave(
                list(one.frames), unused,
                "It is an arterial input series, but no film of the muscle goes with it.",
            )  # fmt: skip
            continue
        served.append((replace(one, level=series[whom[0]].level), whom))
    return served


def _take_maps(groups: dict[tuple[object, ...], list[Frame]]) -> list[Frame]:
    """Take the scanner's own flow maps out of the groups.

    Gadgetron and Siemens send them as derived images named so, a few of each slice.
    """
    keys = [
        key
        for key, members in groups.items()
        if len(members) < FEWEST_FRAMES
        and kind_of(members[0].label) == "flow map"
        and "DERIVED" in members[0].image_type
    ]
    return [frame for key in keys for frame in groups.pop(key)]


def _placed(frame: Frame, series: Sequence[SortedSeries]) -> ScannerMap:
    """Which series a map of the scanner's is of: the one in its place, of its state, in time."""
    state, along, when = state_of(frame.label), _along_normal(frame), frame.acquisition_time_s
    near: list[tuple[float, int]] = []
    for number, one in enumerate(series):
        theirs = _along_normal(one.frames[0])
        if (
            along is not None
            and theirs is not None
            and abs(along - theirs) < _SAME_CUT_MM
            and frame.study_uid == one.frames[0].study_uid
            and _parallel(frame, one.frames[0])
            and (state == one.state or "unknown" in {state, one.state})
        ):
            began = _start(one.clock)
            apart = 0.0 if when is None or began is None else abs(when - began)
            near.append((apart, number))
    told = "Taken as a flow map of the scanner's by its name: a derived image, 100 × ml/min/g."
    if not near:
        return ScannerMap(frame, state, slice_word(frame.label), None, (told,))
    of = min(near)[1]
    reason = "It lies in the place of this level's slice of a film of this study."
    return ScannerMap(frame, series[of].state, series[of].level, of, (told, reason))


def _as_film(one: SortedSeries) -> _Film:
    return _Film(
        clock=one.clock,
        state=one.state,
        along=None,
        label="",
        start_s=_start(one.clock),
        order=(0, 0),
    )

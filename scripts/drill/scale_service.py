"""A national service, simulated: 150 trusts, 200,000 studies a year, one trust's archive at once.

Not measured but computed, from what one study costs a core (``make bench``): arrivals as a
hospital's day has them, a queue, workers; the next study is one of the trust with the fewest at
work, then with the fewest ended lately, as ``processing.runs`` chooses it. A hundred working days,
from a fixed seed.
"""

from __future__ import annotations

import heapq
import random
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from scripts.bench.table import Figure

TRUSTS, STUDIES_A_DAY, DAYS = 150, 800, 100
#: Share of a day's studies that come in each hour from eight in the morning.
HOURS = (0.06, 0.10, 0.13, 0.14, 0.10, 0.10, 0.14, 0.11, 0.07, 0.05)
#: Seconds of a core, median of a study of six films, and the spread of their logarithm.
SERVICE_S, SPREAD = 11.0, 0.4
#: As in ``processing.runs``.
LATELY_S = 600.0
#: What one trust sends in one hour from an old archive, on each tenth day.
ARCHIVE = 400


@dataclass(frozen=True)
class Study:
    at: float
    trust: int
    seconds: float


def measure(said: Callable[[str], None]) -> Iterator[Figure]:
    for cores in (1, 2, 4, 8):
        said(f"{cores} cores")
        usual, others, longest = simulate(cores)
        where = f"{cores} worker cores, {DAYS} days of {STUDIES_A_DAY} studies"
        yield Figure("waits for a worker, p95, s", where, _p95(usual), note=f"queue {longest}")
        yield Figure(
            "the same while another trust empties an archive", where, _p95(others),
            reach=60 if cores == 4 else None,
        )  # fmt: skip


def simulate(cores: int, seed: int = 1) -> tuple[list[float], list[float], int]:
    """Seconds of waiting on usual days, those of the other trusts on days with an archive, and the
    longest queue of a usual day."""
    draw = random.Random(seed)  # noqa: S311  (a simulation that can be done again)
    usual: list[float] = []
    others: list[float] = []
    longest = 0
    for day in range(DAYS):
        archive = day % 10 == 9
        studies = _day(draw)
        if archive:
            begun = draw.uniform(2, 5) * 3600
            studies += [
                Study(begun + draw.uniform(0, 3600), 0, _seconds(draw)) for _ in range(ARCHIVE)
            ]
        waits, most = _work(sorted(studies, key=lambda one: one.at), cores)
        if archive:
            others += [wait for trust, wait in waits if trust != 0]
        else:
            usual += [wait for _trust, wait in waits]
            longest = max(longest, most)
    return usual, others, longest


def _day(draw: random.Random) -> list[Study]:
    return [
        Study(3600 * (hour + draw.random()), draw.randrange(TRUSTS), _seconds(draw))
        for hour, share in enumerate(HOURS)
        for _ in range(round(share * STUDIES_A_DAY * draw.uniform(0.8, 1.2)))
    ]


def _seconds(draw: random.Random) -> float:
    return SERVICE_S * draw.lognormvariate(0, SPREAD)


def _work(studies: list[Study], cores: int) -> tuple[list[tuple[int, float]], int]:
    """Trust and wait of each study, and the longest queue."""
    waits: list[tuple[int, float]] = []
    waiting: dict[int, deque[Study]] = defaultdict(deque)
    at_work: Counter[int] = Counter()
    ends: list[tuple[float, int]] = []  # when a core is free again, and whose study it has
    lately: dict[int, deque[float]] = defaultdict(deque)
    queued = longest = 0
    place = 0
    while place < len(studies) or queued or ends:
        coming = studies[place].at if place < len(studies) else float("inf")
        if ends and ends[0][0] <= coming:
            now, trust = heapq.heappop(ends)
            at_work[trust] -= 1
            lately[trust].append(now)
        else:
            now, one = coming, studies[place]
            waiting[one.trust].append(one)
            queued += 1
            place += 1
        while queued and len(ends) < cores:
            whose = min(
                (trust for trust, line in waiting.items() if line),
                key=lambda trust: (
                    at_work[trust], _since(lately[trust], now - LATELY_S), waiting[trust][0].at
                ),
            )  # fmt: skip
            one = waiting[whose].popleft()
            queued -= 1
            at_work[whose] += 1
            waits.append((whose, now - one.at))
            heapq.heappush(ends, (now + one.seconds, whose))
        longest = max(longest, queued)
    return waits, longest


def _since(ends: deque[float], moment: float) -> int:
    while ends and ends[0] <= moment:
        ends.popleft()
    return len(ends)


def _p95(values: list[float]) -> float:
    ordered = sorted(values)
    return ordered[int(0.95 * (len(ordered) - 1))]

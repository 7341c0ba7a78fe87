"""How long an open run will still take: its place in the queue, and the median of past runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

from django.conf import settings
from django.db.models import Max, Q
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from processing import states
from processing.models import Run, RunEvent

#: So many past runs of an engine tell how long one takes; fewer than three tell nothing.
_PAST, _LEAST = 20, 3


@dataclass(frozen=True)
class Wait:
    """ahead: analyses that come before it, those that run included; 0 for one that runs itself.
    seconds: until it is done, or None where too few past runs tell."""

    ahead: int
    seconds: float | None

    @property
    def sentence(self) -> str:
        """For the reader, without a full stop."""
        parts = []
        if self.ahead:
            parts.append(
                ngettext("%(n)d before it", "%(n)d before it", self.ahead) % {"n": self.ahead}
            )
        if self.seconds is not None:
            minutes = round(self.seconds / 60)
            parts.append(
                _("about %(minutes)d min left") % {"minutes": minutes}
                if minutes
                else _("less than a minute left")
            )
        return ", ".join(parts)


def of(run: Run) -> Wait:
    """How long an open run will still take."""
    return told([run])[run.pk]


def told(runs: Iterable[Run]) -> dict[int, Wait]:
    """The same for several open runs, by primary key, with few queries whatever their number."""
    runs = list(runs)
    usual = {engine: _usual(engine) for engine in {run.engine for run in runs}}
    queued: list[int] = []
    if any(run.state == states.QUEUED for run in runs):
        queued = _in_turn()
    busy = Run.objects.filter(state=states.RUNNING).count() if queued else 0
    workers = max(1, int(settings.Q_CLUSTER.get("workers", 1)))
    found = {}
    for run in runs:
        takes = usual[run.engine]
        if run.state == states.QUEUED:
            ahead = busy + (queued.index(run.pk) if run.pk in queued else 0)
            seconds = None if takes is None else takes * (ahead / workers + 1)
        else:
            ahead = 0
            seconds = None if takes is None else takes * max(0.0, 1 - run.fraction)
        found[run.pk] = Wait(ahead, seconds)
    return found


def _in_turn() -> list[int]:
    """Runs that wait, about in the order in which they will be taken: trusts take turns."""
    waiting = Run.objects.filter(state=states.QUEUED).order_by("created_at", "pk")
    before: Counter[int] = Counter()
    places = []
    for place, (pk, trust) in enumerate(waiting.values_list("pk", "study__trust")):
        places.append((before[trust], place, pk))
        before[trust] += 1
    return [pk for _turn, _place, pk in sorted(places)]


def _usual(engine: str) -> float | None:
    """Seconds of work that the engine's past runs took, the median."""
    ended = dict(
        RunEvent.objects.filter(run__engine=engine, after=states.SUCCEEDED)
        .order_by("-id")
        .values_list("run", "at")[:_PAST]
    )
    begun = dict(
        RunEvent.objects.filter(Q(run__in=ended), after=states.RUNNING)
        .order_by()
        .values_list("run")
        .annotate(last=Max("at"))
    )
    took = [(at - begun[run]).total_seconds() for run, at in ended.items() if run in begun]
    return median(took) if len(took) >= _LEAST else None

"""The queue: every job by its name, and the one way to ring it.

django-q2 carries a job's name and a primary key. Its table lies in the application's own
database, so a message written inside a transaction exists exactly if that transaction commits.
What happened to the work is never read from here: rows of our own tables say that.
"""

from __future__ import annotations

from collections.abc import Collection

from django.utils import timezone
from django_q.models import OrmQ
from django_q.tasks import async_task

JOBS: dict[str, str] = {
    "ingest": "studies.tasks.ingest_upload",
    "submit": "processing.tasks.submit_study",
    "run": "processing.tasks.execute_run",
    "erase": "studies.tasks.erase_files",
    "ping": "processing.tasks.ping",
    "truth": "processing.truth.measure",
}


def enqueue(job: str, pk: int) -> None:
    """Ring ``job`` for the row ``pk``; joins the transaction that is open."""
    async_task(JOBS[job], pk, group=job, save=False)


def take_back() -> int:
    """Give out anew the messages that a cluster fetched and will not answer for; says how many.

    Left alone they would wait for the retry clock, which is longer than the longest work. A
    message that comes twice does no harm: its row tells whether there is anything left to do.
    """
    now = timezone.now()
    return OrmQ.objects.filter(lock__gt=now).update(lock=now)


def forget(job: str, pks: Collection[int]) -> int:
    """Take waiting messages of ``job`` for these rows out of the queue; says how many."""
    gone = [
        message.pk
        for message in OrmQ.objects.all()
        if message.task.get("func") == JOBS[job] and message.task.get("args", (None,))[0] in pks
    ]
    return OrmQ.objects.filter(pk__in=gone).delete()[0]

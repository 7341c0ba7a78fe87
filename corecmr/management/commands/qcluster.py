"""Takes the place of the library's command: its cluster, with queues that no kill can freeze."""

from __future__ import annotations

from typing import Any

from django_q import cluster
from django_q.management.commands.qcluster import Command as Library

from corecmr.cluster import SurvivingQueue


class Command(Library):
    def handle(self, *args: Any, **options: Any) -> None:
        cluster.Queue = SurvivingQueue
        super().handle(*args, **options)

"""The look-up: 1,000 tries round its lock, in parallel, with valid ones in between."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from typing import Any

from scripts.bench.table import Figure

ROUNDS, TRIES, THREADS = 25, 40, 8


def measure(said: Callable[[str], None]) -> list[Figure]:
    from scripts.drill.database import scene

    with scene():
        tried = through = unlocked = 0
        for number in range(ROUNDS):
            said(f"round {number}")
            counted = one_round(TRIES, THREADS)
            tried += counted["tried"]
            through += counted["through"]
            unlocked += counted["open_afterwards"]
    return [
        Figure("invalid references answered beyond four", f"{tried} tries", through, reach=0),
        Figure("look-ups answered after the lock", f"{ROUNDS} people", unlocked, reach=0),
    ]


def one_round(tries: int, threads: int) -> dict[str, int]:
    """One person tries other trusts' references and nobody's, over two sessions and in parallel.

    Every third request of each thread is for a study of the person's own. ``through``: invalid
    tries that were answered before the lock closed, beyond the four that may be.
    """
    from django.db import connection
    from django.test import Client

    from accounts.identifiers import new_reference
    from tests.people import make_study, make_trust, make_user

    trust = make_trust()
    person, own = make_user(trust), make_study(trust)
    foreign = [make_study(make_trust()).reference for _ in range(3)]
    wrong = itertools.chain(foreign, iter(new_reference, ""))
    answers: list[int] = []
    lock = threading.Lock()

    def try_some(number: int) -> None:
        client = Client()
        client.force_login(person)
        for turn in range(tries // threads):
            with lock:
                reference = next(wrong)
            status = _ask(client, reference)
            with lock:
                answers.append(status)
            if turn % 3 == number % 3:
                _ask(client, own.reference)
        connection.close()

    workers = [threading.Thread(target=try_some, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    later = Client()
    later.force_login(person)
    after = [_ask(later, own.reference), _ask(later, foreign[0])]
    return {
        "tried": len(answers),
        "through": max(0, sum(status != 429 for status in answers) - 4),
        "open_afterwards": sum(status != 429 for status in after),
    }


def _ask(client: Any, reference: str) -> int:
    return client.post("/look-up/", {"reference": reference}).status_code

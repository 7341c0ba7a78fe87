"""The record: 1,000 tamperings by the owner of the database, and how fast it may be written."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from scripts.bench.table import Figure

KINDS = ("edit", "delete", "swap", "insert", "cut", "rebuild")
TAMPERINGS = 1000
EVENTS = 400
WRITERS, WRITES = 8, 250
_TABLES = ("accounts_auditevent", "accounts_auditlink")
_COLUMNS = ("actor", "verb", "object_type", "object_id", "request_id")


class Tampering:
    """What somebody may do who owns the tables: triggers are switched off meanwhile."""

    def __init__(self, seed: int | str) -> None:
        self.random = random.Random(seed)  # noqa: S311

    def tamper(self, kind: str) -> int:
        """Do it at a random place; gives the last position that may be named for it."""
        from django.db import connection

        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            for table in _TABLES:
                cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
            place = int(getattr(self, f"_{kind}")(cursor))
            for table in _TABLES:
                cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
        return place

    def _links(self, cursor, number: int) -> list[tuple[int, int]]:
        cursor.execute("SELECT position, event_id FROM accounts_auditlink ORDER BY position")
        return sorted(self.random.sample(cursor.fetchall(), number))

    def _edit(self, cursor) -> int:
        ((position, event),) = self._links(cursor, 1)
        change = self.random.choice(("column", "time", "detail", "digest"))
        if change == "column":
            column = self.random.choice(_COLUMNS)
            cursor.execute(
                f"UPDATE accounts_auditevent SET {column} = %s WHERE id = %s",  # noqa: S608
                [f"{self.random.getrandbits(64):x}", event],
            )
        elif change == "time":
            cursor.execute(
                "UPDATE accounts_auditevent SET at = at + interval '1 microsecond' WHERE id = %s",
                [event],
            )
        elif change == "detail":
            cursor.execute(
                "UPDATE accounts_auditevent SET detail = detail || '{\"x\": 1}' WHERE id = %s",
                [event],
            )
        else:
            cursor.execute(
                "UPDATE accounts_auditlink SET digest = reverse(digest) WHERE position = %s",
                [position],
            )
        return position

    def _delete(self, cursor) -> int:
        """An event, its link, or both with the later links moved up into the gap."""
        ((position, event),) = self._links(cursor, 1)
        how = self.random.randrange(3)
        if how != 1:
            cursor.execute("DELETE FROM accounts_auditevent WHERE id = %s", [event])
        if how != 0:
            cursor.execute("DELETE FROM accounts_auditlink WHERE position = %s", [position])
        if how == 2:
            cursor.execute(
                "UPDATE accounts_auditlink SET position = -position WHERE position > %s", [position]
            )
            cursor.execute(
                "UPDATE accounts_auditlink SET position = -position - 1 WHERE position < 0"
            )
        return position

    def _swap(self, cursor) -> int:
        (first, one), (second, other) = self._links(cursor, 2)
        for before, after in ((one, -1), (other, one), (-1, other)):
            cursor.execute("UPDATE accounts_auditevent SET id = %s WHERE id = %s", [after, before])
        if self.random.random() < 0.5:  # the links too, so that only digests tell
            for before, after in ((first, -1), (second, first), (-1, second)):
                cursor.execute(
                    "UPDATE accounts_auditlink SET position = %s WHERE position = %s",
                    [after, before],
                )
        return second

    def _insert(self, cursor) -> int:
        """An event beside the chain, or with a link pushed in among the others."""
        ((position, event),) = self._links(cursor, 1)
        cursor.execute(
            "INSERT INTO accounts_auditevent "
            "(at, actor, verb, object_type, object_id, detail, request_id) "
            "SELECT at, actor, verb, object_type, object_id, detail, request_id "
            "FROM accounts_auditevent WHERE id = %s RETURNING id",
            [event],
        )
        (made,) = cursor.fetchone()
        if self.random.random() < 0.5:
            cursor.execute("SELECT max(position) + 1 FROM accounts_auditlink")
            return int(cursor.fetchone()[0])
        cursor.execute(
            "UPDATE accounts_auditlink SET position = -position WHERE position > %s", [position]
        )
        cursor.execute("UPDATE accounts_auditlink SET position = -position + 1 WHERE position < 0")
        cursor.execute(
            "INSERT INTO accounts_auditlink (position, event_id, digest) "
            "SELECT %s, %s, digest FROM accounts_auditlink WHERE position = %s",
            [position + 1, made, position],
        )
        return position + 1

    def _cut(self, cursor) -> int:
        """The end, cleanly: what is left is a chain that is whole in itself."""
        ((position, _),) = self._links(cursor, 1)
        cursor.execute(
            "DELETE FROM accounts_auditevent WHERE id IN "
            "(SELECT event_id FROM accounts_auditlink WHERE position >= %s)",
            [position],
        )
        cursor.execute("DELETE FROM accounts_auditlink WHERE position >= %s", [position])
        return position

    def _rebuild(self, cursor) -> int:
        """Change an event, and let the triggers compute all links from there on anew."""
        ((position, event),) = self._links(cursor, 1)
        cursor.execute("SELECT max(position) FROM accounts_auditlink")
        (last,) = cursor.fetchone()
        cursor.execute("UPDATE accounts_auditevent SET verb = verb || 'x' WHERE id = %s", [event])
        cursor.execute(
            "CREATE TEMPORARY TABLE later ON COMMIT DROP AS SELECT event.* FROM "
            "accounts_auditevent AS event JOIN accounts_auditlink AS link "
            "ON link.event_id = event.id WHERE link.position >= %s ORDER BY link.position",
            [position],
        )
        cursor.execute("DELETE FROM accounts_auditevent WHERE id IN (SELECT id FROM later)")
        cursor.execute("DELETE FROM accounts_auditlink WHERE position >= %s", [position])
        for table in _TABLES:
            cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
        cursor.execute("INSERT INTO accounts_auditevent SELECT * FROM later ORDER BY id")
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("DROP TABLE later")
        return int(last)


def measure(said: Callable[[str], None]) -> list[Figure]:
    from scripts.drill.database import scene

    with scene(), TemporaryDirectory() as folder:
        heads = Path(folder) / "heads.jsonl"
        return [*_speed(said), *_tamperings(said, heads)]


def _speed(said: Callable[[str], None]) -> list[Figure]:
    """Commits of one event each, from several connections at once, and the check of them all."""
    from django.db import connection

    from accounts import audit, chain

    def write() -> None:
        for number in range(WRITES):
            audit.record(None, "study.view", number=number)
        connection.close()

    said("writing")
    writers = [threading.Thread(target=write) for _ in range(WRITERS)]
    begun = time.perf_counter()
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    seconds = time.perf_counter() - begun
    said("checking")
    begun = time.perf_counter()
    finding = chain.verify()
    checked = time.perf_counter() - begun
    written = WRITERS * WRITES
    if finding != chain.Finding(written):
        raise RuntimeError(f"the chain of {written} events is not whole: {finding}")
    return [
        Figure("chained commits per second", f"{WRITERS} writers", written / seconds,
               reach=500, aim=1000, larger_is_better=True),
        Figure("check of a million events, s", f"from {written}", checked * 1e6 / written,
               reach=60),
    ]  # fmt: skip


def _tamperings(said: Callable[[str], None], heads: Path) -> list[Figure]:
    from django.db import connection, transaction

    from accounts import audit, chain

    with connection.cursor() as cursor, transaction.atomic():
        for table in _TABLES:
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
            cursor.execute(f"TRUNCATE {table}")
            cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
    with transaction.atomic():
        for number in range(EVENTS):
            audit.record(None, "study.view", number=number)
    chain.keep_head(heads)
    drill = Tampering(seed=20261125)
    found = dict.fromkeys(KINDS, 0)
    tried = dict.fromkeys(KINDS, 0)
    for number in range(TAMPERINGS):
        said(f"tampering {number}")
        kind = KINDS[number % len(KINDS)]
        with transaction.atomic():
            place = drill.tamper(kind)
            finding = chain.verify(heads)
            transaction.set_rollback(True)
        tried[kind] += 1
        found[kind] += finding.broken_at is not None and finding.broken_at <= place
    return [
        Figure("tamperings found and placed, %", f"{kind}, {tried[kind]} times",
               100 * found[kind] / tried[kind], reach=100, larger_is_better=True)
        for kind in KINDS
    ]  # fmt: skip
